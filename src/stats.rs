//! The state of a limiter in numbers.

pub use crate::clients::{ClientCount, Clients};
use crate::decisions::{Decision, Totals};
use crate::epoch::pin;
use crate::limiter::Limiter;
pub use crate::limiter::{Usage, Zone};
use crate::table::Census;
use core::iter::Sum;

/// What a limiter holds and what it has decided. Plain data, from [`Limiter::stats`].
///
/// The numbers are of different moments within the call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Stats {
    /// The table of IPv4 clients.
    pub v4: TableStats,
    /// The table of IPv6 clients.
    pub v6: TableStats,
    /// The table of [named](crate::Client::named) clients.
    pub named: TableStats,
    /// The sum of the three; of `most_open_connections`, the highest.
    pub total: TableStats,
    /// Per [tier](crate::Config::with_tier), in the order of the configuration: the table of its networks, which stand
    /// in the place of clients there. Not part of `total`.
    pub tiers: Vec<TableStats>,
    /// What the counter of [`Config::with_max_total`](crate::Config::with_max_total) stands at: the open connections that
    /// take a place in the total, exact at one moment within the call. It is this number that meets that limit. `None`
    /// when the limiter was built without a total.
    ///
    /// It is not the sum `total`, though without exempt and untracked connections the two are equal at rest: a connection
    /// of a client that a rule makes [unlimited](crate::config::Action::Unlimited) is in the sum and takes no place, and
    /// one that is admitted untracked, for lack of room in the table, takes a place and is in no table.
    pub counted_in_total: Option<u32>,
    /// What was decided so far.
    pub decisions: Decisions,
}

/// What one table holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct TableStats {
    /// Open connections.
    pub open_connections: u64,
    /// Clients that have connections open.
    pub clients: u64,
    /// Open connections of the client that has the most, which is how near to its limit any client is; in a tier, of the
    /// fullest network.
    pub most_open_connections: u64,
    /// Clients whose last connection has ended, and whose slot is still theirs should they return.
    pub lingering: u64,
    /// Slots that serve again once no thread can be looking at what they held.
    pub dead: u64,
    /// Slots that have memory.
    pub slots: u64,
    /// Arrays that make up the table: one, and more while it changes size.
    pub levels: u64,
    /// Memory taken from the bound, in bytes. Arrays are reserved whole, and take memory as they fill.
    pub reserved_bytes: u64,
    /// Bound on the memory, in bytes: this table's share of
    /// [`Config::table_memory`](crate::Config::table_memory).
    pub bound_bytes: u64,
}

/// How often each decision was made, since the limiter was built and while the configuration says to
/// [count](crate::Config::with_counting).
///
/// Counts only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Decisions {
    /// Admitted with a permit that counts.
    pub admitted: u64,
    /// Admitted with a permit that does not count for a client: the table was full or the peer unknown.
    pub admitted_untracked: u64,
    /// Rejected, by reason.
    pub rejected: Rejections,
    /// Attempts that a [shadow](crate::Config::with_shadow) would have rejected, whatever the configuration in force said:
    /// beside all of `rejected`, this tells what a change would bring, for lower and for higher limits. Counted whether
    /// or not the configuration says to count.
    pub shadow_rejected: u64,
    /// Admitted only because of a [dry run](crate::Config::with_dry_run). Counted whether or not the configuration says
    /// to count.
    pub dry_run_rejected: u64,
}

/// How often attempts were rejected, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Rejections {
    /// The client was at its limit.
    pub client_limit: u64,
    /// The client was new and the table full.
    pub table_full: u64,
    /// A wider network around the client was at its limit.
    pub tier_limit: u64,
    /// All clients together were at the limit.
    pub total_limit: u64,
    /// A rule denies the client.
    pub denied: u64,
    /// The peer could not be identified.
    pub unknown_peer: u64,
}

impl Rejections {
    /// Each reason with its count, under a name that is fit for a label: `client_limit` and so on.
    #[must_use]
    pub const fn by_reason(&self) -> [(&'static str, u64); 6] {
        [
            ("client_limit", self.client_limit),
            ("table_full", self.table_full),
            ("tier_limit", self.tier_limit),
            ("total_limit", self.total_limit),
            ("denied", self.denied),
            ("unknown_peer", self.unknown_peer),
        ]
    }

    /// All of them together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.by_reason().iter().map(|&(_, count)| count).sum()
    }
}

impl Limiter {
    /// What the limiter holds and what it has decided, in numbers.
    ///
    /// Reads the whole table, in the manner of [`clients`](Self::clients) and as carefully of others: right for a
    /// look every few seconds, not for each connection.
    ///
    /// # Examples
    ///
    /// ```
    /// use connlimit::{Config, Limiter};
    /// use std::net::{Ipv4Addr, Ipv6Addr};
    ///
    /// let limiter = Limiter::new(Config::new(2));
    /// let _permits = [limiter.try_acquire(Ipv4Addr::LOCALHOST), limiter.try_acquire(Ipv6Addr::LOCALHOST)];
    ///
    /// let stats = limiter.stats();
    /// assert_eq!((stats.v4.open_connections, stats.v6.open_connections, stats.total.open_connections), (1, 1, 2));
    /// assert!(stats.total.reserved_bytes <= stats.total.bound_bytes);
    /// ```
    #[must_use]
    pub fn stats(&self) -> Stats {
        let counts = self.counts();
        let [v4, v6, named] =
            [counts.v4().census(), counts.v6().census(), counts.named().census()].map(TableStats::from);
        let total = [v4, v6, named].into_iter().sum();
        let tiers = counts.tiers().map(|table| table.census().into()).collect();
        let counted_in_total = counts.total_open(&pin());
        Stats { v4, v6, named, total, tiers, counted_in_total, decisions: self.decisions().sum().into() }
    }
}

impl From<Census> for TableStats {
    fn from(census: Census) -> Self {
        let Census {
            open_connections,
            clients,
            most_open_connections,
            lingering,
            dead,
            slots,
            levels,
            reserved_bytes,
            bound_bytes,
        } = census;
        Self {
            open_connections,
            clients,
            most_open_connections,
            lingering,
            dead,
            slots,
            levels,
            reserved_bytes,
            bound_bytes,
        }
    }
}

impl Sum for TableStats {
    fn sum<I: Iterator<Item = Self>>(tables: I) -> Self {
        tables.fold(Self::default(), |sum, table| Self {
            open_connections: sum.open_connections + table.open_connections,
            clients: sum.clients + table.clients,
            most_open_connections: sum.most_open_connections.max(table.most_open_connections),
            lingering: sum.lingering + table.lingering,
            dead: sum.dead + table.dead,
            slots: sum.slots + table.slots,
            levels: sum.levels + table.levels,
            reserved_bytes: sum.reserved_bytes + table.reserved_bytes,
            bound_bytes: sum.bound_bytes + table.bound_bytes,
        })
    }
}

impl From<Totals> for Decisions {
    fn from(sums: Totals) -> Self {
        Self {
            admitted: sums.of(Decision::Admitted),
            admitted_untracked: sums.of(Decision::AdmittedUntracked),
            rejected: Rejections {
                client_limit: sums.of(Decision::ClientLimit),
                table_full: sums.of(Decision::TableFull),
                tier_limit: sums.of(Decision::TierLimit),
                total_limit: sums.of(Decision::TotalLimit),
                denied: sums.of(Decision::Denied),
                unknown_peer: sums.of(Decision::UnknownPeer),
            },
            shadow_rejected: sums.of(Decision::ShadowRejected),
            dry_run_rejected: sums.of(Decision::DryRunRejected),
        }
    }
}

#[cfg(all(test, not(connlimit_model)))]
mod tests {
    use crate::{Config, Limiter, decisions::Decision};

    #[test]
    fn each_event_arrives_in_its_own_place() {
        let limiter = Limiter::new(Config::new(1));
        let times = [
            (Decision::Admitted, 1),
            (Decision::ClientLimit, 2),
            (Decision::TableFull, 3),
            (Decision::TierLimit, 4),
            (Decision::TotalLimit, 5),
            (Decision::Denied, 6),
            (Decision::UnknownPeer, 7),
            (Decision::AdmittedUntracked, 8),
            (Decision::ShadowRejected, 9),
            (Decision::DryRunRejected, 10),
        ];
        for (event, times) in times {
            (0..times).for_each(|_| limiter.decisions().count(event));
        }
        let decisions = limiter.stats().decisions;
        let rejected = decisions.rejected;
        assert_eq!(rejected.by_reason().map(|(_, count)| count), [2, 3, 4, 5, 6, 7]);
        assert_eq!(rejected.by_reason().map(|(reason, _)| reason)[..2], ["client_limit", "table_full"]);
        assert_eq!(rejected.total(), 27);
        assert_eq!((decisions.admitted, decisions.admitted_untracked), (1, 8));
        assert_eq!((decisions.shadow_rejected, decisions.dry_run_rejected), (9, 10));
    }
}
