//! The same limiter seen through both facades, as series with their values: `name{label="value"}`.
#![allow(dead_code, reason = "each test program uses a part of this")]

use connlimit_metrics::{Exporter, LimiterCollector};
use metrics::with_local_recorder;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use prometheus_client::encoding::prometheus_text::encode;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;

pub(crate) type Series = BTreeMap<String, f64>;

/// One limiter's numbers for `prometheus-client` and for `metrics`.
pub(crate) struct Facades {
    registry: Registry,
    exporter: Exporter,
    recorder: DebuggingRecorder,
}

impl Facades {
    /// `exporter` is called with a recorder installed.
    pub(crate) fn new(collector: LimiterCollector, exporter: impl FnOnce() -> Exporter) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(collector));
        let recorder = DebuggingRecorder::new();
        let exporter = with_local_recorder(&recorder, exporter);
        Self { registry, exporter, recorder }
    }

    /// What a scrape shows, in Prometheus' own text format.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).unwrap();
        text
    }

    /// The series of a scrape.
    pub(crate) fn scrape(&self) -> Series {
        let text = self.text();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines
            .map(|line| {
                let (series, value) = line.rsplit_once(' ').unwrap();
                (series.to_owned(), value.parse().unwrap())
            })
            .collect()
    }

    /// What a recorder hears, without the label of the limiter.
    pub(crate) fn publish(&self) -> Series {
        with_local_recorder(&self.recorder, || self.exporter.publish());
        let mut series = Series::new();
        for (key, _, description, value) in self.recorder.snapshotter().snapshot().into_vec() {
            let key = key.key();
            assert!(description.is_some_and(|text| !text.is_empty()), "{key:?} is not described");
            let labels = key.labels().filter(|label| label.key() != "limiter");
            let labels: Vec<_> = labels.map(|label| format!("{}=\"{}\"", label.key(), label.value())).collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            let value = match value {
                DebugValue::Counter(count) => f64::from(u32::try_from(count).unwrap()),
                DebugValue::Gauge(value) => value.into_inner(),
                DebugValue::Histogram(_) => panic!("no histogram was promised"),
            };
            series.insert(format!("{}{labels}", key.name()), value);
        }
        series
    }

    /// Expects both facades to have each series with its value, or none (`None`).
    pub(crate) fn expect(&self, expected: &[(&str, Option<f64>)]) {
        for (facade, series) in [("prometheus-client", self.scrape()), ("metrics", self.publish())] {
            for &(name, value) in expected {
                assert_eq!(series.get(name).copied(), value, "{name}, {facade}: {series:#?}");
            }
        }
    }
}
