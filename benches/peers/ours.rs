//! connlimit itself, call by call and in batches.

use super::Peer;
use connlimit::{Batch, Config, Limiter, Permit};
use core::net::IpAddr;

pub(crate) struct Connlimit(Limiter);

impl Peer for Connlimit {
    const NAME: &'static str = "connlimit";
    type Permit<'p> = Permit;
    type Batch<'p> = ();

    fn new(limit: u32, _: u32) -> Self {
        Self(Limiter::new(Config::new(limit)))
    }

    fn batch(&self) {}

    fn try_acquire(&self, (): &mut (), client: IpAddr) -> Option<Permit> {
        self.0.try_acquire(client).ok()
    }
}

/// As an accept loop would use it: a batch for each batch of connections, never kept for long.
pub(crate) struct InBatch(Limiter);

impl Peer for InBatch {
    const NAME: &'static str = "connlimit-batch";
    type Permit<'p> = Permit;
    type Batch<'p> = Batch<'p>;

    fn new(limit: u32, _: u32) -> Self {
        Self(Limiter::new(Config::new(limit)))
    }

    fn batch(&self) -> Batch<'_> {
        self.0.batch()
    }

    fn try_acquire<'p>(&'p self, batch: &mut Batch<'p>, client: IpAddr) -> Option<Permit> {
        batch.try_acquire(client).ok()
    }
}
