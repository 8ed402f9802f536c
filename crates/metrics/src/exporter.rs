//! Numbers for the `metrics` facade, when they are asked for.

use crate::figures::{FIGURES, Kind};
use connlimit::Limiter;
use metrics::{Label, SharedString, Unit, counter, describe_counter, describe_gauge, gauge};

/// Publishes the numbers of one limiter to the [`metrics`] facade.
///
/// Their names stand in the documentation of the [crate]. Each carries the label `limiter` as well. No client is ever a
/// label: peers choose how many clients there are.
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
    limiter: Limiter,
    name: SharedString,
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
        Self { limiter, name: name.into() }
    }

    /// Publishes the numbers as they are now. Nothing is published by itself: call this every few seconds.
    ///
    /// Reads the whole table, as [`Limiter::stats`] does.
    #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
    pub fn publish(&self) {
        let stats = self.limiter.stats();
        for figure in &FIGURES {
            for (label, value) in (figure.values)(&stats) {
                let mut labels = vec![Label::new("limiter", self.name.clone())];
                labels.extend(figure.label.map(|key| Label::from_static_parts(key, label)));
                match figure.kind {
                    Kind::Gauge | Kind::Bytes => gauge!(figure.name, labels).set(value as f64),
                    Kind::Counter => counter!(format!("{}_total", figure.name), labels).absolute(value),
                }
            }
        }
    }
}
