//! The numbers that go to monitoring systems, under the same names in each. `METRICS.md` explains them to users.

use crate::source::Snapshot;
use connlimit::config::{Limit, Tier};
use connlimit::stats::{Stats, TableStats};

/// One metric.
pub(crate) struct Figure {
    /// In lower case with underscores; counters without the suffix `_total`.
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) kind: Kind,
    /// Its series, as they are now. None at all: the metric says nothing now, and is left out.
    pub(crate) samples: fn(&Snapshot) -> Vec<Sample>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Gauge,
    Bytes,
    Counter,
}

/// One series.
pub(crate) struct Sample {
    pub(crate) labels: Vec<(&'static str, String)>,
    /// `None`: a limit that there is not.
    pub(crate) value: Option<u64>,
}

impl Figure {
    const fn new(kind: Kind, name: &'static str, help: &'static str, samples: fn(&Snapshot) -> Vec<Sample>) -> Self {
        Self { name, help, kind, samples }
    }

    const fn gauge(name: &'static str, help: &'static str, samples: fn(&Snapshot) -> Vec<Sample>) -> Self {
        Self::new(Kind::Gauge, name, help, samples)
    }

    const fn counter(name: &'static str, help: &'static str, samples: fn(&Snapshot) -> Vec<Sample>) -> Self {
        Self::new(Kind::Counter, name, help, samples)
    }
}

pub(crate) const FIGURES: [Figure; 21] = [
    Figure::gauge("connlimit_open_connections", "Open connections", |now| {
        by_family(&now.stats, |table| table.open_connections)
    }),
    Figure::gauge("connlimit_clients", "Clients that have connections open", |now| {
        by_family(&now.stats, |table| table.clients)
    }),
    Figure::gauge(
        "connlimit_client_most_open_connections",
        "Open connections of the client that has the most",
        |now| by_family(&now.stats, |table| table.most_open_connections),
    ),
    Figure::gauge("connlimit_client_limit", "Connections that one client may have open", |now| {
        vec![Sample { labels: vec![], value: count(now.config.max_per_client()) }]
    }),
    Figure::gauge("connlimit_tier_open_connections", "Open connections that take a place in a tier", |now| {
        by_tier(now, |_, table| Some(table.open_connections))
    }),
    Figure::gauge("connlimit_tier_networks", "Networks of a tier that have connections open", |now| {
        by_tier(now, |_, table| Some(table.clients))
    }),
    Figure::gauge(
        "connlimit_tier_most_open_connections",
        "Open connections of the network of a tier that has the most",
        |now| by_tier(now, |_, table| Some(table.most_open_connections)),
    ),
    Figure::gauge("connlimit_tier_limit", "Connections that one network of a tier may have open", |now| {
        by_tier(now, |tier, _| count(tier.limit()))
    }),
    Figure::gauge("connlimit_total_open_connections", "Open connections that take a place in the total", |now| {
        now.stats.counted_in_total.map(|open| alone(open.into())).unwrap_or_default()
    }),
    Figure::gauge("connlimit_total_limit", "Connections that all clients together may have open", |now| {
        let limit = now.config.max_total();
        limit.map(|limit| Sample { labels: vec![], value: count(limit) }).into_iter().collect()
    }),
    Figure::new(
        Kind::Bytes,
        "connlimit_table_reserved_bytes",
        "Memory that the table has taken from its bound",
        |now| by_family(&now.stats, |table| table.reserved_bytes),
    ),
    Figure::new(Kind::Bytes, "connlimit_table_bound_bytes", "Bound on the memory of the table", |now| {
        by_family(&now.stats, |table| table.bound_bytes)
    }),
    Figure::gauge("connlimit_counting", "1 while admissions and rejections are counted", |now| {
        alone(now.config.counting().into())
    }),
    Figure::gauge("connlimit_dry_run", "1 while limits are only tried out and reject nobody", |now| {
        alone(now.config.dry_run().into())
    }),
    Figure::counter("connlimit_admitted", "Connections admitted and counted", |now| {
        while_counting(now, || alone(now.stats.decisions.admitted))
    }),
    Figure::counter(
        "connlimit_admitted_untracked",
        "Connections admitted without being counted for a client: the table was full or the peer unknown",
        |now| while_counting(now, || alone(now.stats.decisions.admitted_untracked)),
    ),
    Figure::counter("connlimit_rejected", "Connections rejected", |now| {
        while_counting(now, || labelled("reason", &now.stats.decisions.rejected.by_reason()))
    }),
    Figure::counter(
        "connlimit_shadow_rejected",
        "Connections that the shadow configuration would have rejected",
        |now| alone(now.stats.decisions.shadow_rejected),
    ),
    Figure::counter(
        "connlimit_dry_run_rejected",
        "Connections that were not rejected only because of the dry run",
        |now| alone(now.stats.decisions.dry_run_rejected),
    ),
    Figure::counter("connlimit_reject_outcomes", "What became of rejected connections", |now| {
        labelled("outcome", &now.reject_outcomes)
    }),
    Figure::counter("connlimit_proxy_errors", "Connections closed for want of a valid PROXY header", |now| {
        labelled("kind", &now.proxy_errors)
    }),
];

fn alone(value: u64) -> Vec<Sample> {
    vec![Sample { labels: vec![], value: Some(value) }]
}

fn labelled(key: &'static str, values: &[(&'static str, u64)]) -> Vec<Sample> {
    let sample = |&(label, value): &(_, u64)| Sample { labels: vec![(key, str::to_owned(label))], value: Some(value) };
    values.iter().map(sample).collect()
}

fn by_family(stats: &Stats, value: fn(&TableStats) -> u64) -> Vec<Sample> {
    let tables = [("ipv4", &stats.v4), ("ipv6", &stats.v6), ("named", &stats.named)];
    labelled("family", &tables.map(|(family, table)| (family, value(table))))
}

/// A limiter keeps the tiers that it was built with, and its configuration names each of them in the same order.
fn by_tier(now: &Snapshot, value: fn(&Tier, &TableStats) -> Option<u64>) -> Vec<Sample> {
    let tiers = now.config.tiers().iter().zip(&now.stats.tiers);
    let labels = |tier: &Tier| {
        vec![("ipv4_prefix", tier.ipv4_prefix().to_string()), ("ipv6_prefix", tier.ipv6_prefix().to_string())]
    };
    tiers.map(|(tier, table)| Sample { labels: labels(tier), value: value(tier, table) }).collect()
}

/// What nobody counts is no zero.
fn while_counting(now: &Snapshot, samples: impl FnOnce() -> Vec<Sample>) -> Vec<Sample> {
    if now.config.counting() { samples() } else { Vec::new() }
}

fn count(limit: Limit) -> Option<u64> {
    limit.at_most().map(u64::from)
}
