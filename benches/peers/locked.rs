//! Hash maps behind locks.

use super::Map;
use core::hash::BuildHasher;
use core::net::IpAddr;
use crossbeam_utils::CachePadded;
use std::collections::{HashMap, hash_map::Entry};

type Counts<S> = HashMap<IpAddr, u32, S>;

/// The first thing one writes: a standard mutex, map and hasher.
#[derive(Default)]
pub(crate) struct StdMutex(std::sync::Mutex<HashMap<IpAddr, u32>>);

impl Map for StdMutex {
    const NAME: &'static str = "std-mutex";

    fn raise(&self, client: IpAddr, limit: u32) -> bool {
        raise(&mut self.0.lock().expect("not poisoned"), client, limit)
    }

    fn lower(&self, client: IpAddr) {
        lower(&mut self.0.lock().expect("not poisoned"), client);
    }
}

/// The same with the `parking_lot` mutex and `ahash`.
#[derive(Default)]
pub(crate) struct ParkingLot(parking_lot::Mutex<Counts<ahash::RandomState>>);

impl Map for ParkingLot {
    const NAME: &'static str = "parking-lot";

    fn raise(&self, client: IpAddr, limit: u32) -> bool {
        raise(&mut self.0.lock(), client, limit)
    }

    fn lower(&self, client: IpAddr) {
        lower(&mut self.0.lock(), client);
    }
}

/// 64 of these, each on cache lines of its own.
pub(crate) struct Sharded {
    shards: [CachePadded<ParkingLot>; 64],
    choose: ahash::RandomState,
}

impl Default for Sharded {
    fn default() -> Self {
        Self { shards: core::array::from_fn(|_| CachePadded::default()), choose: ahash::RandomState::new() }
    }
}

impl Sharded {
    fn shard(&self, client: IpAddr) -> &ParkingLot {
        &self.shards[(self.choose.hash_one(client) % 64) as usize]
    }
}

impl Map for Sharded {
    const NAME: &'static str = "sharded-64";

    fn raise(&self, client: IpAddr, limit: u32) -> bool {
        self.shard(client).raise(client, limit)
    }

    fn lower(&self, client: IpAddr) {
        self.shard(client).lower(client);
    }
}

fn raise<S: BuildHasher>(counts: &mut Counts<S>, client: IpAddr, limit: u32) -> bool {
    match counts.entry(client) {
        Entry::Occupied(entry) if *entry.get() >= limit => false,
        Entry::Occupied(mut entry) => {
            *entry.get_mut() += 1;
            true
        }
        Entry::Vacant(entry) => {
            entry.insert(1);
            true
        }
    }
}

fn lower<S: BuildHasher>(counts: &mut Counts<S>, client: IpAddr) {
    if let Entry::Occupied(mut entry) = counts.entry(client) {
        *entry.get_mut() -= 1;
        if *entry.get() == 0 {
            entry.remove();
        }
    }
}
