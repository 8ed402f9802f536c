//! The limiters that are compared, behind one trait, each written as its users would write it.
//!
//! A permit of a peer borrows the map, as if the server had leaked it: no peer pays for an `Arc` unless its own
//! library insists. Permits of connlimit are `'static`, and it pays for that.

mod concurrent;
mod floor;
mod locked;
mod ours;
mod pingora;

pub(crate) use concurrent::{Dash, Papaya, Scc};
pub(crate) use floor::Floor;
pub(crate) use locked::{ParkingLot, Sharded, StdMutex};
pub(crate) use ours::{Connlimit, InBatch};
pub(crate) use pingora::Pingora;

use core::net::{IpAddr, Ipv4Addr};

/// A limiter of connections per client.
pub(crate) trait Peer: Sync + Sized + 'static {
    const NAME: &'static str;
    /// Whether it admits a client exactly when fewer than `limit` of its connections are open.
    const EXACT: bool = true;

    /// Releases its connection when dropped, on any thread.
    type Permit<'p>: Send
    where
        Self: 'p;
    /// What a thread may keep for a batch of calls; `()` when there is nothing to keep.
    type Batch<'p>
    where
        Self: 'p;

    /// At most `limit` connections per client; `limit` is at least 1. Only the floor, which is an array, needs to
    /// know that all clients are `client(0)..client(clients)`.
    fn new(limit: u32, clients: u32) -> Self;

    fn batch(&self) -> Self::Batch<'_>;

    fn try_acquire<'p>(&'p self, batch: &mut Self::Batch<'p>, client: IpAddr) -> Option<Self::Permit<'p>>;
}

/// The `index`-th client: the addresses of 10.0.0.0/8 in order.
pub(crate) const fn client(index: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(FIRST_CLIENT + index)
}

const FIRST_CLIENT: u32 = 10 << 24;

/// An array of what the function `$entry` returns for each peer, in the order of the columns of the tables.
macro_rules! each_peer {
    ($entry:ident) => {
        [
            $entry::<$crate::peers::Floor>(),
            $entry::<$crate::peers::Connlimit>(),
            $entry::<$crate::peers::InBatch>(),
            $entry::<$crate::peers::Mapped<$crate::peers::Dash<core::net::IpAddr>>>(),
            $entry::<$crate::peers::Mapped<$crate::peers::Dash<u32>>>(),
            $entry::<$crate::peers::Mapped<$crate::peers::Scc>>(),
            $entry::<$crate::peers::Mapped<$crate::peers::Papaya>>(),
            $entry::<$crate::peers::Mapped<$crate::peers::Sharded>>(),
            $entry::<$crate::peers::Mapped<$crate::peers::ParkingLot>>(),
            $entry::<$crate::peers::Mapped<$crate::peers::StdMutex>>(),
            $entry::<$crate::peers::Pingora>(),
        ]
    };
}
pub(crate) use each_peer;

/// A concurrent map from clients to counts. An entry at zero is removed, or an attacker could fill the memory.
pub(crate) trait Map: Default + Sync + 'static {
    const NAME: &'static str;

    /// Counts one more connection, unless there are `limit`.
    fn raise(&self, client: IpAddr, limit: u32) -> bool;

    /// Counts one less of a client that has one.
    fn lower(&self, client: IpAddr);
}

/// The limiter that a [`Map`] makes.
pub(crate) struct Mapped<M> {
    counts: M,
    limit: u32,
}

pub(crate) struct MapPermit<'p, M: Map> {
    counts: &'p M,
    client: IpAddr,
}

impl<M: Map> Drop for MapPermit<'_, M> {
    fn drop(&mut self) {
        self.counts.lower(self.client);
    }
}

impl<M: Map> Peer for Mapped<M> {
    const NAME: &'static str = M::NAME;
    type Permit<'p>
        = MapPermit<'p, M>
    where
        M: 'p;
    type Batch<'p>
        = ()
    where
        M: 'p;

    fn new(limit: u32, _: u32) -> Self {
        Self { counts: M::default(), limit }
    }

    fn batch(&self) {}

    fn try_acquire<'p>(&'p self, (): &mut (), client: IpAddr) -> Option<MapPermit<'p, M>> {
        // Not `then_some`: a permit that is made and thrown away releases a connection.
        self.counts.raise(client, self.limit).then(|| MapPermit { counts: &self.counts, client })
    }
}
