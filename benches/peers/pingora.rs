//! The count-min sketch of `pingora-limits`.

use super::Peer;
use core::net::IpAddr;
use pingora_limits::inflight::{Guard, Inflight};

/// Approximate, both ways: clients share 4 x 8192 counters, so a crowd raises everybody's estimate and clients
/// below their limit are rejected; and the four counters of a client are raised one by one, so threads that race
/// each may find another one of them low and pass together. Its guard holds an `Arc`, the library's own choice.
pub(crate) struct Pingora {
    inflight: Inflight,
    limit: isize,
}

impl Peer for Pingora {
    const NAME: &'static str = "pingora";
    const EXACT: bool = false;
    type Permit<'p> = Guard;
    type Batch<'p> = ();

    fn new(limit: u32, _: u32) -> Self {
        Self { inflight: Inflight::new(), limit: isize::try_from(limit).expect("limits of the benchmarks are small") }
    }

    fn batch(&self) {}

    fn try_acquire(&self, (): &mut (), client: IpAddr) -> Option<Guard> {
        let (guard, estimate) = self.inflight.incr(client, 1);
        (estimate <= self.limit).then_some(guard)
    }
}
