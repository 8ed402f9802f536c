//! The registry of permits that are out. It locks, unlike the rest of the crate.

use crate::client::Client;
use crate::sync::{Arc, AtomicU64, Mutex, Relaxed, lock};
use core::array;
use core::fmt;
use core::panic::Location;
use std::collections::HashMap;
use std::time::Instant;

#[derive(Clone, Copy)]
pub(crate) struct Record {
    pub(crate) client: Client,
    pub(crate) taken_at: &'static Location<'static>,
    pub(crate) since: Instant,
}

const SHARDS: usize = 16;

struct Shards {
    next: AtomicU64,
    shards: [Mutex<HashMap<u64, Record>>; SHARDS],
}

impl Shards {
    #[expect(clippy::cast_possible_truncation, reason = "any part of the number will do")]
    fn shard(&self, id: u64) -> &Mutex<HashMap<u64, Record>> {
        &self.shards[id as usize % SHARDS]
    }
}

/// The permits of one limiter that are out.
pub(crate) struct Registry(Arc<Shards>);

impl Registry {
    pub(crate) fn new() -> Self {
        let shards = array::from_fn(|_| Mutex::new(HashMap::new()));
        Self(Arc::new(Shards { next: AtomicU64::new(0), shards }))
    }

    /// Enters a permit that the caller has just taken.
    #[track_caller]
    pub(crate) fn enter(&self, client: Client) -> Entry {
        let record = Record { client, taken_at: Location::caller(), since: Instant::now() };
        // ORDERING: Relaxed; all that matters is that the numbers differ.
        let id = self.0.next.fetch_add(1, Relaxed);
        lock(self.0.shard(id)).insert(id, record);
        Entry(Arc::clone(&self.0), id)
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        self.0.shards.iter().flat_map(|shard| lock(shard).values().copied().collect::<Vec<_>>()).collect()
    }
}

/// A permit's place in the registry, for as long as the permit is out.
pub(crate) struct Entry(Arc<Shards>, u64);

impl Drop for Entry {
    fn drop(&mut self) {
        lock(self.0.shard(self.1)).remove(&self.1);
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Entry").field(&self.1).finish()
    }
}
