//! The numbers that go to monitoring systems, under the same names in each.

use connlimit::stats::{Stats, TableStats};

pub(crate) struct Figure {
    /// In lower case with underscores; counters without the suffix `_total`.
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) kind: Kind,
    /// The key of the label that tells the values apart, if there are several.
    pub(crate) label: Option<&'static str>,
    /// Each value with that label's.
    pub(crate) values: fn(&Stats) -> Vec<(&'static str, u64)>,
}

#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Gauge,
    Bytes,
    Counter,
}

pub(crate) const FIGURES: [Figure; 9] = [
    Figure {
        name: "connlimit_open_connections",
        help: "Open connections",
        kind: Kind::Gauge,
        label: Some("family"),
        values: |stats| by_family(stats, |table| table.open_connections),
    },
    Figure {
        name: "connlimit_clients",
        help: "Clients that have connections open",
        kind: Kind::Gauge,
        label: Some("family"),
        values: |stats| by_family(stats, |table| table.clients),
    },
    Figure {
        name: "connlimit_table_reserved_bytes",
        help: "Memory that the table has taken from its bound",
        kind: Kind::Bytes,
        label: Some("family"),
        values: |stats| by_family(stats, |table| table.reserved_bytes),
    },
    Figure {
        name: "connlimit_table_bound_bytes",
        help: "Bound on the memory of the table",
        kind: Kind::Bytes,
        label: Some("family"),
        values: |stats| by_family(stats, |table| table.bound_bytes),
    },
    Figure {
        name: "connlimit_admitted",
        help: "Connections admitted and counted",
        kind: Kind::Counter,
        label: None,
        values: |stats| vec![("", stats.decisions.admitted)],
    },
    Figure {
        name: "connlimit_admitted_untracked",
        help: "Connections admitted without being counted: the table was full or the peer unknown",
        kind: Kind::Counter,
        label: None,
        values: |stats| vec![("", stats.decisions.admitted_untracked)],
    },
    Figure {
        name: "connlimit_rejected",
        help: "Connections rejected",
        kind: Kind::Counter,
        label: Some("reason"),
        values: |stats| stats.decisions.rejected.by_reason().into(),
    },
    Figure {
        name: "connlimit_shadow_rejected",
        help: "Connections that the shadow configuration would have rejected",
        kind: Kind::Counter,
        label: None,
        values: |stats| vec![("", stats.decisions.shadow_rejected)],
    },
    Figure {
        name: "connlimit_dry_run_rejected",
        help: "Connections that were not rejected only because of the dry run",
        kind: Kind::Counter,
        label: None,
        values: |stats| vec![("", stats.decisions.dry_run_rejected)],
    },
];

fn by_family(stats: &Stats, value: fn(&TableStats) -> u64) -> Vec<(&'static str, u64)> {
    vec![("ipv4", value(&stats.v4)), ("ipv6", value(&stats.v6)), ("named", value(&stats.named))]
}
