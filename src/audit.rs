//! Where each permit that is out was taken, if the configuration says to note it.

use crate::client::Client;
use crate::limiter::Limiter;
use crate::registry::Record;
use core::panic::Location;
use core::time::Duration;
use std::collections::BTreeMap;

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
    /// Empty unless the configuration says [`with_audit`](crate::Config::with_audit): a debugging aid and not for
    /// production.
    ///
    /// # Examples
    ///
    /// ```
    /// use connlimit::{Config, Limiter};
    /// use std::net::Ipv4Addr;
    ///
    /// let limiter = Limiter::new(Config::new(2).with_audit(true));
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

    /// Clients whose permits do not add up to their count. At rest, and audited from the start, there are none.
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

#[cfg(all(test, not(connlimit_model)))]
mod tests {
    use super::*;
    use crate::config::Config;
    use core::net::Ipv4Addr;

    #[test]
    fn a_count_without_a_permit_and_a_permit_without_a_count_are_told() {
        let limiter = Limiter::new(Config::new(4).with_ipv4_prefix(24).unwrap());
        let [one, two] = [1, 2].map(|net| Client::from(Ipv4Addr::new(192, 0, net, 7)));
        let _unknown = limiter.try_acquire(one).unwrap();
        limiter.update_config(|config| config.with_audit(true)).unwrap();
        let _known = limiter.try_acquire(one).unwrap();
        let _no_permit = limiter.registry().enter(two);
        let found: Vec<_> = (limiter.audit_mismatches().into_iter())
            .map(|found| (found.client.to_string(), found.outstanding, found.open_connections))
            .collect();
        assert_eq!(found, [("192.0.1.0".to_owned(), 1, 2), ("192.0.2.0".to_owned(), 1, 0)]);
    }
}
