//! What nobody can go below: the bare atomic operations of an exact count, with nothing to look up.

use super::{FIRST_CLIENT, Peer};
use core::net::IpAddr;
use core::sync::atomic::{AtomicU32, Ordering};

/// An array with one counter per possible client: a compare-and-swap to acquire, a subtraction to release. No
/// hash, no key, no growth, no reclamation: not a limiter that anybody could use.
pub(crate) struct Floor {
    counts: Box<[AtomicU32]>,
    limit: u32,
}

pub(crate) struct FloorPermit<'p>(&'p AtomicU32);

impl Drop for FloorPermit<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Peer for Floor {
    const NAME: &'static str = "floor";
    type Permit<'p> = FloorPermit<'p>;
    type Batch<'p> = ();

    fn new(limit: u32, clients: u32) -> Self {
        Self { counts: (0..clients).map(|_| AtomicU32::new(0)).collect(), limit }
    }

    fn batch(&self) {}

    fn try_acquire<'p>(&'p self, (): &mut (), client: IpAddr) -> Option<FloorPermit<'p>> {
        let IpAddr::V4(client) = client else {
            unreachable!("the benchmarks have IPv4 clients");
        };
        let count = &self.counts[(client.to_bits() - FIRST_CLIENT) as usize];
        let mut seen = count.load(Ordering::Relaxed);
        while seen < self.limit {
            match count.compare_exchange_weak(seen, seen + 1, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Some(FloorPermit(count)),
                Err(now) => seen = now,
            }
        }
        None
    }
}
