//! The numbers of a limiter, as a recorder of `metrics` hears them.
#![allow(clippy::std_instead_of_core, reason = "a test has the standard library")]

use connlimit::{Client, Config, Limiter};
use connlimit_metrics::Exporter;
use metrics::{Unit, with_local_recorder};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use std::{collections::BTreeMap, net::Ipv4Addr};

fn client(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, host)
}

/// By name and labels, each value with its unit.
fn heard(snapshotter: &Snapshotter) -> BTreeMap<String, (f64, Option<Unit>)> {
    let mut heard = BTreeMap::new();
    for (key, unit, description, value) in snapshotter.snapshot().into_vec() {
        let labels: Vec<_> = key.key().labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let value = match value {
            DebugValue::Counter(count) => f64::from(u32::try_from(count).unwrap()),
            DebugValue::Gauge(value) => value.into_inner(),
            DebugValue::Histogram(_) => panic!("no histogram was promised"),
        };
        assert!(description.is_some_and(|text| !text.is_empty()), "{key:?} is not described");
        let old = heard.insert(format!("{} {}", key.key().name(), labels.join(" ")), (value, unit));
        assert_eq!(old, None, "{key:?} twice");
    }
    heard
}

#[test]
#[expect(clippy::float_cmp, reason = "small whole numbers")]
fn a_recorder_hears_what_the_limiter_knows() {
    let recorder = DebuggingRecorder::new();
    let limiter = Limiter::new(Config::new(2).with_counting(true));
    let mut attempts: Vec<_> = [1, 1, 1, 2].map(|host| limiter.try_acquire(client(host))).into();
    attempts.push(limiter.try_acquire(Client::named("unix:/run/app.sock")));
    with_local_recorder(&recorder, || Exporter::new(limiter.clone(), "public").publish());

    let first = heard(&recorder.snapshotter());
    for (name, value, unit) in [
        ("connlimit_open_connections limiter=public family=ipv4", 3.0, Unit::Count),
        ("connlimit_open_connections limiter=public family=ipv6", 0.0, Unit::Count),
        ("connlimit_open_connections limiter=public family=named", 1.0, Unit::Count),
        ("connlimit_clients limiter=public family=ipv4", 2.0, Unit::Count),
        ("connlimit_admitted_total limiter=public", 4.0, Unit::Count),
        ("connlimit_rejected_total limiter=public reason=client_limit", 1.0, Unit::Count),
        ("connlimit_rejected_total limiter=public reason=table_full", 0.0, Unit::Count),
        ("connlimit_table_bound_bytes limiter=public family=ipv4", f64::from(128 << 20), Unit::Bytes),
    ] {
        assert_eq!(first.get(name), Some(&(value, Some(unit))), "{name} in {first:#?}");
    }

    attempts.clear();
    with_local_recorder(&recorder, || Exporter::new(limiter.clone(), "public").publish());
    let second = heard(&recorder.snapshotter());
    assert_eq!(second.len(), first.len(), "the same series again");
    assert_eq!(second["connlimit_open_connections limiter=public family=ipv4"].0, 0.0);
}

#[test]
fn the_number_of_clients_makes_no_more_series() {
    let recorder = DebuggingRecorder::new();
    let limiter = Limiter::new(Config::new(1));
    let exporter = with_local_recorder(&recorder, || Exporter::new(limiter.clone(), String::from("x")));
    let publish = || with_local_recorder(&recorder, || exporter.publish());
    publish();
    let alone = heard(&recorder.snapshotter()).len();
    let _crowd: Vec<_> = (0..200).map(|host| limiter.try_acquire(client(host))).collect();
    publish();
    assert_eq!(heard(&recorder.snapshotter()).len(), alone);
}

#[test]
fn without_a_recorder_nothing_happens() {
    Exporter::new(Limiter::new(Config::new(1)), "x").publish();
}
