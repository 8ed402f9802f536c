//! What [`connlimit`] counts, for monitoring systems; and what it rejects, for logs.
//!
//! - `Exporter` (feature `metrics`) publishes the numbers of a limiter to the [`metrics`](https://docs.rs/metrics) facade,
//!   and through it to whatever exporter is installed.
//! - `LimiterCollector` (feature `prometheus-client`) gives them to a registry of the crate
//!   [`prometheus-client`](https://docs.rs/prometheus-client) when it is scraped.
//! - `RejectLog` (feature `tracing`) tells rejections as events of [`tracing`](https://docs.rs/tracing).
//!
//! The feature `tokio` lets both tell what the listeners of `connlimit-tokio` count: how connections were turned away, and
//! PROXY errors. Features only add. The crates whose types are in the interface are exported again.
//!
//! The numbers have the same names everywhere. The pages of `Exporter` and `LimiterCollector` list them; a dashboard for
//! Grafana, alert rules for Prometheus and a filter for fail2ban are in the folder `ops` of this crate.
//!
//! Counting is off by default, and what is not counted is absent: say [`Config::with_counting`] for admissions and
//! rejections.
//!
//! [`Config::with_counting`]: connlimit::Config::with_counting

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(all(feature = "tokio", any(feature = "metrics", feature = "prometheus-client")))]
mod adapters;
#[cfg(feature = "prometheus-client")]
mod collector;
#[cfg(feature = "metrics")]
mod exporter;
#[cfg(any(feature = "metrics", feature = "prometheus-client"))]
mod figures;
#[cfg(feature = "tracing")]
mod reject_log;
#[cfg(any(feature = "metrics", feature = "prometheus-client"))]
mod source;

#[cfg(feature = "prometheus-client")]
pub use collector::LimiterCollector;
pub use connlimit;
#[cfg(feature = "tokio")]
pub use connlimit_tokio;
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
