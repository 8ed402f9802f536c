//! Numbers for a registry of `prometheus-client`, collected when it is scraped.

use crate::figures::{FIGURES, Kind, Sample};
use crate::source::Source;
use connlimit::Limiter;
use core::fmt;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// Collects the numbers of one limiter for a registry of [`prometheus_client`], when it is scraped.
///
/// A scrape reads the whole table, as [`Limiter::stats`] does.
///
/// # Metrics
///
#[doc = include_str!("../METRICS.md")]
///
/// # Examples
///
/// ```
/// use connlimit::{Config, Limiter};
/// use connlimit_metrics::LimiterCollector;
/// use prometheus_client::{encoding::text::encode, registry::Registry};
/// use std::net::Ipv4Addr;
///
/// let limiter = Limiter::new(Config::new(2).with_counting(true));
/// let mut registry = Registry::default();
/// registry.register_collector(Box::new(LimiterCollector::new(limiter.clone()).with_clients(10, 2)));
///
/// let attempts = [1, 2, 2, 2].map(|host| limiter.try_acquire(Ipv4Addr::new(192, 0, 2, host)));
///
/// let mut text = String::new();
/// encode(&mut text, &registry)?;
/// assert!(text.contains("connlimit_open_connections{family=\"ipv4\"} 3\n"));
/// assert!(text.contains("connlimit_rejected_total{reason=\"client_limit\"} 1\n"));
/// assert!(text.contains("connlimit_client_open_connections{client=\"192.0.2.2\"} 2\n"));
/// assert!(text.contains("connlimit_client_limit 2\n"));
/// # drop(attempts);
/// # Ok::<(), std::fmt::Error>(())
/// ```
///
/// A server with several limiters tells them apart by a label:
///
/// ```
/// use connlimit::{Config, Limiter};
/// use connlimit_metrics::LimiterCollector;
/// use prometheus_client::registry::Registry;
///
/// let mut registry = Registry::default();
/// for (name, max) in [("public", 10), ("internal", 1000)] {
///     let collector = LimiterCollector::new(Limiter::new(Config::new(max).with_counting(true)));
///     registry.sub_registry_with_label(("limiter".into(), name.into())).register_collector(Box::new(collector));
/// }
/// ```
#[derive(Clone, Debug)]
pub struct LimiterCollector {
    source: Source,
    most_clients: usize,
    at_least: u32,
}

impl LimiterCollector {
    /// A collector that names no client.
    #[must_use]
    pub fn new(limiter: Limiter) -> Self {
        Self { source: Source::new(limiter), most_clients: 0, at_least: 0 }
    }

    /// Names the clients with the most connections: at most `most` of them, each with `at_least` connections or more.
    ///
    /// Each client that is ever named makes a time series in the monitoring system, and peers choose how many clients
    /// there are: keep `most` small and `at_least` near the limit. Addresses may be personal data where you are.
    #[must_use]
    pub const fn with_clients(mut self, most: usize, at_least: u32) -> Self {
        self.most_clients = most;
        self.at_least = at_least;
        self
    }

    /// Tells what became of the connections that `rejecter` turned away. Of several rejecters, the sums are told; clones
    /// of one rejecter share their counts, so add it once.
    #[cfg(feature = "tokio")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
    #[must_use]
    pub fn with_rejecter<S: connlimit_tokio::Transport + 'static>(
        mut self,
        rejecter: connlimit_tokio::Rejecter<S>,
    ) -> Self {
        self.source.adapters.add_rejecter(rejecter);
        self
    }

    /// Tells the PROXY errors of one listener. Of several listeners, the sums are told.
    #[cfg(feature = "tokio")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
    #[must_use]
    pub fn with_proxy_errors(mut self, errors: connlimit_tokio::proxy::ProxyErrors) -> Self {
        self.source.adapters.add_proxy(errors);
        self
    }

    fn encode_clients(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let clients = self.source.limiter.top(self.most_clients);
        let mut metric = encoder.encode_descriptor(
            "connlimit_client_open_connections",
            "Open connections of the clients that have the most",
            None,
            MetricType::Gauge,
        )?;
        for seen in clients.iter().filter(|seen| seen.open_connections >= self.at_least) {
            metric.encode_family(&[("client", seen.client.to_string())])?.encode_gauge(&seen.open_connections)?;
        }
        Ok(())
    }
}

impl Collector for LimiterCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let now = self.source.read();
        for figure in &FIGURES {
            let samples = (figure.samples)(&now);
            let mut known = samples.iter().filter_map(|sample| Some((sample, sample.value?))).peekable();
            if known.peek().is_none() {
                continue;
            }
            let kind = match figure.kind {
                Kind::Gauge | Kind::Bytes => MetricType::Gauge,
                Kind::Counter => MetricType::Counter,
            };
            let mut metric = encoder.encode_descriptor(figure.name, figure.help, None, kind)?;
            for (Sample { labels, .. }, value) in known {
                if labels.is_empty() {
                    encode_value(&mut metric, figure.kind, value)?;
                } else {
                    encode_value(&mut metric.encode_family(labels)?, figure.kind, value)?;
                }
            }
        }
        if self.most_clients > 0 {
            self.encode_clients(&mut encoder)?;
        }
        Ok(())
    }
}

fn encode_value(metric: &mut MetricEncoder<'_>, kind: Kind, value: u64) -> fmt::Result {
    match kind {
        Kind::Gauge | Kind::Bytes => metric.encode_gauge(&value),
        Kind::Counter => metric.encode_counter::<NoLabelSet, _, u64>(&value, None),
    }
}
