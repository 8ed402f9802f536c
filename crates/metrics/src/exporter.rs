//! Numbers for the `metrics` facade, when they are asked for.

use crate::figures::{FIGURES, Kind, Sample};
use crate::source::Source;
use connlimit::Limiter;
use metrics::{Key, Label, SharedString, Unit, counter, describe_counter, describe_gauge, gauge};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Publishes the numbers of one limiter to the [`metrics`] facade.
///
/// No client is ever a label: peers choose how many clients there are.
///
/// # Metrics
///
#[doc = include_str!("../METRICS.md")]
///
/// Each carries the label `limiter` as well.
///
/// The facade cannot take a series back. A limit that is lifted after it was published becomes infinite; and when
/// counting is switched off at run time, the counters stand still where they are, and `connlimit_counting` says so.
///
/// # Examples
///
/// ```
/// use connlimit::{Config, Limiter};
/// use connlimit_metrics::Exporter;
/// use std::{sync::mpsc, thread, time::Duration};
///
/// let limiter = Limiter::new(Config::new(100).with_counting(true));
/// let exporter = Exporter::new(limiter.clone(), "public");
///
/// // Of course any timer will do.
/// let (stop, stopped) = mpsc::channel::<()>();
/// let publisher = thread::spawn(move || {
///     while stopped.recv_timeout(Duration::from_secs(10)) == Err(mpsc::RecvTimeoutError::Timeout) {
///         exporter.publish();
///     }
/// });
/// // ... serve ...
/// drop(stop);
/// publisher.join().unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Exporter {
    source: Source,
    name: SharedString,
    /// Gauges that have been published: when the limit that one stands for is lifted, that has to be said. Clones share it.
    published: Arc<Mutex<HashSet<Key>>>,
}

impl Exporter {
    /// Describes the metrics to the recorder that is installed, which should be done before. `name` becomes the label
    /// `limiter`, for servers that have several.
    pub fn new(limiter: Limiter, name: impl Into<SharedString>) -> Self {
        for figure in &FIGURES {
            match figure.kind {
                Kind::Gauge => describe_gauge!(figure.name, Unit::Count, figure.help),
                Kind::Bytes => describe_gauge!(figure.name, Unit::Bytes, figure.help),
                Kind::Counter => describe_counter!(format!("{}_total", figure.name), Unit::Count, figure.help),
            }
        }
        Self { source: Source::new(limiter), name: name.into(), published: Arc::default() }
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

    /// Publishes the numbers as they are now. Nothing is published by itself: call this every few seconds.
    ///
    /// Reads the whole table, as [`Limiter::stats`] does.
    pub fn publish(&self) {
        let now = self.source.read();
        for figure in &FIGURES {
            for Sample { labels, value } in (figure.samples)(&now) {
                let labels = labels.into_iter().map(|(key, label)| Label::new(key, label));
                let labels: Vec<_> = [Label::new("limiter", self.name.clone())].into_iter().chain(labels).collect();
                match (figure.kind, value) {
                    (Kind::Counter, value) => {
                        counter!(format!("{}_total", figure.name), labels).absolute(value.unwrap_or(0));
                    }
                    (Kind::Gauge | Kind::Bytes, value) => self.set(figure.name, labels, value),
                }
            }
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
    fn set(&self, name: &'static str, labels: Vec<Label>, value: Option<u64>) {
        let value = match value {
            Some(value) => value as f64,
            None => f64::INFINITY,
        };
        let key = Key::from_parts(name, labels.clone());
        if self.is_due(key, value) {
            gauge!(name, labels).set(value);
        }
    }

    /// Whether a gauge has anything to say: a limit that there never was has not.
    fn is_due(&self, key: Key, value: f64) -> bool {
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        published.contains(&key) || (value.is_finite() && published.insert(key))
    }
}
