//! The registry of permits that are out. A debugging aid: it locks, unlike the rest of the crate.

use crate::client::Client;
use crate::limiter::Limiter;
use crate::permit::Permit;
use crate::rejected::Rejected;
use crate::sync::{Arc, AtomicU64, Mutex, Relaxed, lock};
use core::array;
use core::fmt;
use core::panic::Location;
use core::time::Duration;
use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

/// A permit that is out, as [`Limiter::audit`] reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outstanding {
    /// The client, as it was named to the limiter; no prefix is applied.
    pub client: Client,
    /// The call that took the permit. For an adapter, this is a line of the adapter.
    pub taken_at: &'static Location<'static>,
    /// How long ago that was.
    pub age: Duration,
}

/// A client whose permits and whose count disagree, as [`Limiter::audit_mismatches`] reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mismatch {
    /// The client; under a prefix, the first address of the network that is counted together.
    pub client: Client,
    /// Its permits that are out.
    pub outstanding: u32,
    /// Its open connections, as counted.
    pub open_connections: u32,
}

impl Limiter {
    /// Every permit that counts and has not been dropped, the oldest first: with it, where and when it was taken.
    ///
    /// For finding leaks. A permit that was given to [`core::mem::forget`], or that sits in a reference cycle or in a
    /// task that never ends, stays on this list, and its age gives it away.
    ///
    /// The feature `audit` is a debugging aid and not for production: each permit costs an allocation and a lock that
    /// threads share, and the promises to be lock-free do not hold with it.
    ///
    /// # Examples
    ///
    /// ```
    /// use connlimit::{Config, Limiter};
    /// use std::net::Ipv4Addr;
    ///
    /// let limiter = Limiter::new(Config::new(2));
    /// std::mem::forget(limiter.try_acquire(Ipv4Addr::LOCALHOST)?); // as a cycle of Arcs would
    /// drop(limiter.try_acquire(Ipv4Addr::LOCALHOST)?);
    ///
    /// let leaks = limiter.audit();
    /// assert_eq!(leaks.len(), 1);
    /// println!("{} for {:?}: {}", leaks[0].client, leaks[0].age, leaks[0].taken_at);
    /// # Ok::<(), connlimit::Rejected>(())
    /// ```
    #[must_use]
    pub fn audit(&self) -> Vec<Outstanding> {
        let mut records = self.registry().records();
        records.sort_by_key(|record| record.since);
        let outstanding = |record: Record| Outstanding {
            client: record.client,
            taken_at: record.taken_at,
            age: record.since.elapsed(),
        };
        records.into_iter().map(outstanding).collect()
    }

    /// Clients whose permits do not add up to their count. At rest, there are none.
    ///
    /// A permit that is taken or dropped during the call may show up as a mismatch that is none: only one that stays
    /// is a fault.
    #[must_use]
    pub fn audit_mismatches(&self) -> Vec<Mismatch> {
        let mut clients = BTreeMap::<Client, (u32, u32)>::new();
        for record in self.registry().records() {
            clients.entry(self.counts().key(record.client).client()).or_default().0 += 1;
        }
        for seen in self.clients() {
            clients.entry(seen.client).or_default().1 = seen.open_connections;
        }
        let mismatches = clients.into_iter().filter(|(_, (outstanding, open))| outstanding != open);
        mismatches
            .map(|(client, (outstanding, open))| Mismatch { client, outstanding, open_connections: open })
            .collect()
    }
}

impl Limiter {
    /// Enters what was admitted in the registry, as taken by the caller.
    #[track_caller]
    pub(crate) fn entered(&self, client: Client, answer: Result<Permit, Rejected>) -> Result<Permit, Rejected> {
        let permit = answer?;
        Ok(if permit.is_tracked() { permit.entered(self.registry().enter(client)) } else { permit })
    }
}

#[derive(Clone, Copy)]
struct Record {
    client: Client,
    taken_at: &'static Location<'static>,
    since: Instant,
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
        Entry(Some((Arc::clone(&self.0), id)))
    }

    fn records(&self) -> Vec<Record> {
        self.0.shards.iter().flat_map(|shard| lock(shard).values().copied().collect::<Vec<_>>()).collect()
    }
}

/// A permit's place in the registry, for as long as the permit is out.
pub(crate) struct Entry(Option<(Arc<Shards>, u64)>);

impl Entry {
    pub(crate) const NONE: Self = Self(None);
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some((shards, id)) = &self.0 {
            lock(shards.shard(*id)).remove(id);
        }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Entry").field(&self.0.as_ref().map(|(_, id)| id)).finish()
    }
}

#[cfg(all(test, not(connlimit_model)))]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::epoch::Anew;
    use core::net::Ipv4Addr;

    #[test]
    fn a_count_without_a_permit_and_a_permit_without_a_count_are_told() {
        let limiter = Limiter::new(Config::new(0).with_ipv4_prefix(24).unwrap());
        let [one, two] = [1, 2].map(|net| Client::from(Ipv4Addr::new(192, 0, net, 7)));
        let _unknown = limiter.acquire(one, Anew).unwrap();
        let _known = limiter.try_acquire(one).unwrap();
        let _no_permit = limiter.registry().enter(two);
        let found: Vec<_> = (limiter.audit_mismatches().into_iter())
            .map(|found| (found.client.to_string(), found.outstanding, found.open_connections))
            .collect();
        assert_eq!(found, [("192.0.1.0".to_owned(), 1, 2), ("192.0.2.0".to_owned(), 1, 0)]);
    }
}
