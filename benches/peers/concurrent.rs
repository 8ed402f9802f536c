//! Concurrent maps from libraries, all with `ahash`.

use super::Map;
use core::hash::Hash;
use core::net::IpAddr;
use core::sync::atomic::{AtomicU32, Ordering};

/// The usual choice. Entries are changed under the lock of their shard, so zero and removal are one step.
pub(crate) struct Dash<K>(dashmap::DashMap<K, u32, ahash::RandomState>);

impl<K: Key> Default for Dash<K> {
    fn default() -> Self {
        Self(dashmap::DashMap::default())
    }
}

/// `IpAddr` is what users write. `u32` is for a server that has no IPv6 at all, and the hardest rival.
pub(crate) trait Key: Copy + Eq + Hash + Send + Sync + 'static {
    const MAP_NAME: &'static str;

    fn of(client: IpAddr) -> Self;
}

impl Key for IpAddr {
    const MAP_NAME: &'static str = "dashmap";

    fn of(client: IpAddr) -> Self {
        client
    }
}

impl Key for u32 {
    const MAP_NAME: &'static str = "dashmap-u32";

    fn of(client: IpAddr) -> Self {
        match client {
            IpAddr::V4(v4) => v4.to_bits(),
            IpAddr::V6(_) => unreachable!("the benchmarks have IPv4 clients"),
        }
    }
}

impl<K: Key> Map for Dash<K> {
    const NAME: &'static str = K::MAP_NAME;

    fn raise(&self, client: IpAddr, limit: u32) -> bool {
        use dashmap::Entry;
        match self.0.entry(K::of(client)) {
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

    fn lower(&self, client: IpAddr) {
        self.0.remove_if_mut(&K::of(client), |_, count| {
            *count -= 1;
            *count == 0
        });
    }
}

/// Entries are changed under the lock of their bucket.
#[derive(Default)]
pub(crate) struct Scc(scc::HashMap<IpAddr, u32, ahash::RandomState>);

impl Map for Scc {
    const NAME: &'static str = "scc";

    fn raise(&self, client: IpAddr, limit: u32) -> bool {
        use scc::hash_map::Entry;
        match self.0.entry_sync(client) {
            Entry::Occupied(entry) if *entry.get() >= limit => false,
            Entry::Occupied(mut entry) => {
                *entry.get_mut() += 1;
                true
            }
            Entry::Vacant(entry) => {
                entry.insert_entry(1);
                true
            }
        }
    }

    fn lower(&self, client: IpAddr) {
        self.0.remove_if_sync(&client, |count| {
            *count -= 1;
            *count == 0
        });
    }
}

/// A map without locks: nothing holds an entry still between "it is zero" and "it is gone".
///
/// Hence zero is final. An entry is born at 1; at 0 nobody raises it again, whoever meets it removes it and starts
/// over. The removal is conditional on the zero, so it never takes the live entry that came after.
#[derive(Default)]
pub(crate) struct Papaya(papaya::HashMap<IpAddr, AtomicU32, ahash::RandomState>);

impl Map for Papaya {
    const NAME: &'static str = "papaya";

    fn raise(&self, client: IpAddr, limit: u32) -> bool {
        let counts = self.0.pin();
        loop {
            let Some(count) = counts.get(&client) else {
                if counts.try_insert(client, AtomicU32::new(1)).is_ok() {
                    return true;
                }
                continue;
            };
            let mut seen = count.load(Ordering::Relaxed);
            while seen != 0 {
                if seen >= limit {
                    return false;
                }
                match count.compare_exchange_weak(seen, seen + 1, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => return true,
                    Err(now) => seen = now,
                }
            }
            remove_at_zero(&counts, client);
        }
    }

    fn lower(&self, client: IpAddr) {
        let counts = self.0.pin();
        let count = counts.get(&client).expect("a counted client has an entry");
        if count.fetch_sub(1, Ordering::Relaxed) == 1 {
            remove_at_zero(&counts, client);
        }
    }
}

fn remove_at_zero<G: papaya::Guard>(
    counts: &papaya::HashMapRef<'_, IpAddr, AtomicU32, ahash::RandomState, G>,
    client: IpAddr,
) {
    // An error says that somebody else removed it and the client is back: just as well.
    counts.remove_if(&client, |_, count| count.load(Ordering::Relaxed) == 0).ok();
}
