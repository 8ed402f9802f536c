//! Who has connections open, and in which process.

use crate::SharedLimiter;
use crate::limiter::with_table;
use connlimit::Client;
use core::cmp::Reverse;
use std::collections::BinaryHeap;

/// What a region holds at the moment. Made by [`SharedLimiter::stats`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SharedStats {
    /// The processes that have the region, in the order of their numbers. One that died, and was not swept after yet, is
    /// among them.
    pub processes: Vec<ProcessStats>,
    /// How many processes there is room for.
    pub max_processes: u32,
    /// Clients that have connections.
    pub clients: u64,
    /// Clients there are records for. Newcomers may find no room when more than a quarter of them have connections; see
    /// [`SharedConfig::with_clients`](crate::SharedConfig::with_clients).
    pub records: u64,
    /// Connections of all clients in all processes.
    pub open_connections: u64,
    /// Memory of the region, in bytes. It is there once, however many processes have it.
    pub bytes: u64,
}

/// A process that has the region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessStats {
    /// Its process id, in its own namespace. It is told for people, and nothing depends on it.
    pub pid: u32,
    /// The connections it has open.
    pub open_connections: u64,
}

/// A client and its open connections. Made by [`SharedLimiter::top`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ClientCount {
    /// The client; under a prefix, the first address of the network that is counted together.
    pub client: Client,
    /// Its open connections in all processes, at least one.
    pub open_connections: u32,
}

impl SharedLimiter {
    /// What the region holds at the moment: processes, clients, connections.
    ///
    /// This is no snapshot: the counts are of different moments, and admissions go on undisturbed. It takes about a
    /// millisecond for each hundred thousand records.
    ///
    /// # Examples
    ///
    /// ```
    /// use connlimit_shared::{Limits, SharedConfig, SharedLimiter};
    /// use std::net::Ipv4Addr;
    ///
    /// let limiter = SharedLimiter::create_unnamed(&SharedConfig::new(Limits::new(10)))?;
    /// let _permits = [1, 2, 2].map(|host| limiter.try_acquire(Ipv4Addr::new(192, 0, 2, host)));
    ///
    /// let stats = limiter.stats();
    /// assert_eq!((stats.clients, stats.open_connections), (2, 3));
    /// assert_eq!(stats.processes[0].pid, std::process::id());
    /// assert_eq!(stats.processes[0].open_connections, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn stats(&self) -> SharedStats {
        let (region, table) = (self.region(), self.table());
        let mut held = vec![0; region.shape.processes.into()];
        with_table!(table, table => table.add_held(&mut held));
        let (mut clients, mut open_connections) = (0, 0);
        with_table!(table, table => table.for_each(|_, open| {
            clients += 1;
            open_connections += u64::from(open);
        }));
        let processes = (0..region.shape.processes).zip(held).filter_map(|(number, open_connections)| {
            let member = region.head().member(number);
            member.is_used().then_some(ProcessStats { pid: member.pid(), open_connections })
        });
        SharedStats {
            processes: processes.collect(),
            max_processes: region.shape.processes.into(),
            clients,
            records: region.shape.records() as u64,
            open_connections,
            bytes: region.bytes() as u64,
        }
    }

    /// The `n` clients with the most open connections, those with the most first.
    ///
    /// Clients with equal counts come in the order of their addresses. A client that has connections all the while is
    /// seen; one that comes or goes meanwhile may be. What [`stats`](Self::stats) says about time and moments holds here
    /// too. A [named](Self::named) client is shown as its digest: names themselves are not kept.
    ///
    /// # Examples
    ///
    /// ```
    /// use connlimit_shared::{Limits, SharedConfig, SharedLimiter};
    /// use std::net::Ipv4Addr;
    ///
    /// let limiter = SharedLimiter::create_unnamed(&SharedConfig::new(Limits::new(0)))?;
    /// let _permits = [1, 2, 2, 3, 3, 3].map(|host| limiter.try_acquire(Ipv4Addr::new(192, 0, 2, host)));
    ///
    /// let top: Vec<_> = limiter.top(2).iter().map(|seen| format!("{} {}", seen.client, seen.open_connections)).collect();
    /// assert_eq!(top, ["192.0.2.3 3", "192.0.2.2 2"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn top(&self, n: usize) -> Vec<ClientCount> {
        // The least of the best is at the root, where it is replaced when a better one comes.
        let mut best = BinaryHeap::new();
        with_table!(self.table(), table => table.for_each(|key, open| {
            best.push(Reverse((open, Reverse(key.client()))));
            if best.len() > n {
                best.pop();
            }
        }));
        let best = best.into_sorted_vec().into_iter();
        best.map(|Reverse((open_connections, Reverse(client)))| ClientCount { client, open_connections }).collect()
    }
}
