//! Who has connections open: every client, or those with the most.

use crate::client::Client;
use crate::counts::ClientKey;
use crate::limiter::Limiter;
use crate::table::Cursor;
use core::cmp::Reverse;
use core::fmt;
use core::iter::FusedIterator;
use std::collections::BinaryHeap;

/// A client and its open connections, as [`Limiter::clients`] and [`Limiter::top`] report them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ClientCount {
    /// The client; under a prefix, the first address of the network that is counted together.
    pub client: Client,
    /// Its open connections, at least one.
    pub open_connections: u32,
}

impl Limiter {
    /// Goes through the clients that have connections open, in no particular order, while admissions go on undisturbed.
    ///
    /// A client that has connections from before this call until the iterator ends is seen exactly once, with a count
    /// that it had at one moment. One whose connections all end meanwhile, or whose first one begins, may be missed;
    /// and if both happens, be seen twice.
    ///
    /// This is no snapshot: the counts are of different moments. The table is read in pieces of a few hundred clients
    /// and nothing is held in between, so the iterator may be kept, and dropped early, at no cost to others. Its work
    /// is proportional to the size of the table, not to the clients in it.
    ///
    /// # Examples
    ///
    /// ```
    /// use connlimit::{Config, Limiter};
    /// use std::net::Ipv4Addr;
    ///
    /// let limiter = Limiter::new(Config::new(10));
    /// let _permits = [1, 2, 2].map(|host| limiter.try_acquire(Ipv4Addr::new(192, 0, 2, host)));
    ///
    /// let mut lines: Vec<_> = limiter.clients().map(|seen| format!("{} {}", seen.client, seen.open_connections)).collect();
    /// lines.sort();
    /// assert_eq!(lines, ["192.0.2.1 1", "192.0.2.2 2"]);
    /// ```
    pub fn clients(&self) -> Clients<'_> {
        let counts = self.counts();
        Clients {
            limiter: self,
            v4: counts.v4().start(),
            v6: counts.v6().start(),
            named: counts.named().start(),
            seen: Vec::new(),
        }
    }

    /// The `n` clients with the most open connections, those with the most first.
    ///
    /// Clients with equal counts come in the order of their addresses. What [`clients`](Self::clients) says about
    /// changes that happen meanwhile holds here too. The memory needed is that of `n` clients, not of all.
    ///
    /// # Examples
    ///
    /// ```
    /// use connlimit::{Config, Limiter};
    /// use std::net::Ipv4Addr;
    ///
    /// let limiter = Limiter::new(Config::new(10));
    /// let _permits = [1, 2, 2, 3, 3, 3].map(|host| limiter.try_acquire(Ipv4Addr::new(192, 0, 2, host)));
    ///
    /// let top: Vec<_> = limiter.top(2).iter().map(|seen| format!("{} {}", seen.client, seen.open_connections)).collect();
    /// assert_eq!(top, ["192.0.2.3 3", "192.0.2.2 2"]);
    /// ```
    #[must_use]
    pub fn top(&self, n: usize) -> Vec<ClientCount> {
        // The least of the best is at the root, where it is replaced when a better one comes.
        let mut best = BinaryHeap::new();
        for ClientCount { client, open_connections: open } in self.clients() {
            best.push(Reverse((open, Reverse(client))));
            if best.len() > n {
                best.pop();
            }
        }
        let best = best.into_sorted_vec().into_iter();
        best.map(|Reverse((open, Reverse(client)))| ClientCount { client, open_connections: open }).collect()
    }
}

/// Iterator over the clients that have connections open. Made by [`Limiter::clients`].
#[must_use = "iterators do nothing unless they are consumed"]
pub struct Clients<'a> {
    limiter: &'a Limiter,
    v4: Cursor,
    v6: Cursor,
    named: Cursor,
    /// What is left of the piece of the table that was looked at last.
    seen: Vec<ClientCount>,
}

impl Clients<'_> {
    /// Looks at the next piece of a table; `false` when there is none.
    fn look_on(&mut self) -> bool {
        let (counts, seen) = (self.limiter.counts(), &mut self.seen);
        let mut see = |key: ClientKey, open| seen.push(ClientCount { client: key.client(), open_connections: open });
        counts.v4().visit_segment(&mut self.v4, |addr, open| see(ClientKey::V4(addr), open))
            || counts.v6().visit_segment(&mut self.v6, |addr, open| see(ClientKey::V6(addr), open))
            || counts.named().visit_segment(&mut self.named, |name, open| see(ClientKey::Named(name), open))
    }
}

impl Iterator for Clients<'_> {
    type Item = ClientCount;

    fn next(&mut self) -> Option<ClientCount> {
        while self.seen.is_empty() {
            if !self.look_on() {
                return None;
            }
        }
        self.seen.pop()
    }
}

impl FusedIterator for Clients<'_> {}

impl fmt::Debug for Clients<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients").finish_non_exhaustive()
    }
}
