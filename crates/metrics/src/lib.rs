//! What [`connlimit`] counts, for monitoring systems; and what it rejects, for logs.
//!
//! - `Exporter` (feature `metrics`) publishes the numbers of a limiter to the [`metrics`](https://docs.rs/metrics) facade,
//!   and through it to whatever exporter is installed.
//! - `LimiterCollector` (feature `prometheus-client`) gives them to a registry of the crate
//!   [`prometheus-client`](https://docs.rs/prometheus-client) when it is scraped.
//! - `RejectLog` (feature `tracing`) tells rejections as events of [`tracing`](https://docs.rs/tracing).
//!
//! Features only add. The crates whose types are in the interface are exported again.
//!
//! The numbers have the same names everywhere:
//!
//! | name | kind | label |
//! |---|---|---|
//! | `connlimit_open_connections` | gauge | `family`: `ipv4`, `ipv6`, `named` |
//! | `connlimit_clients` | gauge | `family` |
//! | `connlimit_table_reserved_bytes`, `connlimit_table_bound_bytes` | gauge | `family` |
//! | `connlimit_admitted_total`, `connlimit_admitted_untracked_total` | counter | |
//! | `connlimit_rejected_total` | counter | `reason`: `client_limit`, `table_full`, `tier_limit`, … |
//! | `connlimit_shadow_rejected_total`, `connlimit_dry_run_rejected_total` | counter | |
//!
//! The counters stay at zero unless the configuration says to [count](connlimit::Config::with_counting).

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "prometheus-client")]
mod collector;
#[cfg(feature = "metrics")]
mod exporter;
#[cfg(any(feature = "metrics", feature = "prometheus-client"))]
mod figures;
#[cfg(feature = "tracing")]
mod reject_log;

#[cfg(feature = "prometheus-client")]
pub use collector::LimiterCollector;
pub use connlimit;
#[cfg(feature = "metrics")]
pub use exporter::Exporter;
#[cfg(feature = "metrics")]
pub use metrics;
#[cfg(feature = "prometheus-client")]
pub use prometheus_client;
#[cfg(feature = "tracing")]
pub use reject_log::RejectLog;
#[cfg(feature = "tracing")]
pub use tracing;

/// The code of this crate's README is compiled with the other examples.
#[cfg(all(doctest, feature = "prometheus-client"))]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
