//! Rejections, as a subscriber of `tracing` hears them.
#![allow(clippy::std_instead_of_core, reason = "a test has the standard library")]

use connlimit::{Client, Rejected};
use connlimit_metrics::RejectLog;
use std::{
    collections::BTreeMap,
    fmt::Debug,
    net::Ipv4Addr,
    sync::{Arc, Barrier, Mutex},
    thread,
    time::Duration,
};
use tracing::{
    Dispatch, Event, Level, Subscriber,
    dispatcher::with_default,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, Registry, layer::Context, layer::SubscriberExt};

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(24 * 60 * 60);

type Fields = BTreeMap<&'static str, String>;

/// Keeps the fields of each event.
#[derive(Clone, Default)]
struct Ear(Arc<Mutex<Vec<Fields>>>);

struct Reader<'a>(&'a mut Fields);

impl Visit for Reader<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl<S: Subscriber> Layer<S> for Ear {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        assert_eq!((event.metadata().target(), *event.metadata().level()), ("connlimit", Level::WARN));
        let mut fields = Fields::new();
        event.record(&mut Reader(&mut fields));
        self.0.lock().unwrap().push(fields);
    }
}

impl Ear {
    fn listen<T>(&self, act: impl FnOnce() -> T) -> T {
        with_default(&Dispatch::new(Registry::default().with(self.clone())), act)
    }

    fn heard(&self) -> Vec<Fields> {
        self.0.lock().unwrap().clone()
    }

    fn messages(&self) -> Vec<String> {
        self.heard().into_iter().map(|mut event| event.remove("message").unwrap()).collect()
    }
}

fn client(host: u32) -> Client {
    Ipv4Addr::from(0xc000_0200 + host).into()
}

#[test]
fn rejections_are_gathered_between_the_first_one_and_a_flush() {
    let ear = Ear::default();
    ear.listen(|| {
        let log = RejectLog::new(LONG);
        log.note(client(9), Rejected::ClientLimit);
        assert_eq!(ear.messages(), ["1 reject from 1 client, e.g. 192.0.2.9"], "the first one is told at once");
        for turn in 0..37 {
            log.note(client(1 + turn % 4), Rejected::TableFull);
        }
        assert_eq!(ear.heard().len(), 1, "the others wait");
        log.flush();
        assert_eq!(ear.messages()[1], "37 rejects from 4 clients, e.g. 192.0.2.1");
        log.flush();
        assert_eq!(ear.heard().len(), 2, "there is nothing to tell");
    });
    let event = ear.heard().remove(1);
    let field = |name| event.get(name).map(String::as_str);
    assert_eq!((field("rejects"), field("clients")), (Some("37"), Some("4")));
    assert_eq!((field("client"), field("reason")), (Some("192.0.2.1"), Some("connection table full")));
}

#[test]
fn what_is_left_is_told_when_the_log_goes() {
    let ear = Ear::default();
    ear.listen(|| {
        let log = RejectLog::new(LONG);
        (0..3).for_each(|_| log.note(client(1), Rejected::ClientLimit));
        drop(log);
        drop(RejectLog::new(LONG));
    });
    assert_eq!(
        ear.messages(),
        ["1 reject from 1 client, e.g. 192.0.2.1", "2 rejects from 1 client, e.g. 192.0.2.1"],
        "and a log without rejections is silent"
    );
}

#[test]
fn without_an_interval_each_rejection_is_an_event() {
    let ear = Ear::default();
    ear.listen(|| {
        let log = RejectLog::new(Duration::ZERO);
        (0..5).for_each(|host| log.note(client(host), Rejected::ClientLimit));
    });
    assert_eq!(ear.heard().len(), 5);
}

#[test]
fn an_interval_beyond_reckoning_is_no_trouble() {
    let ear = Ear::default();
    ear.listen(|| {
        let log = RejectLog::new(Duration::MAX);
        thread::sleep(Duration::from_millis(2)); // so that the sum would overflow
        (0..5).for_each(|host| log.note(client(host), Rejected::ClientLimit));
    });
    assert_eq!(ear.heard().len(), 2);
}

#[test]
fn a_crowd_of_clients_is_not_kept() {
    let ear = Ear::default();
    ear.listen(|| {
        let log = RejectLog::new(LONG);
        (0..1001).for_each(|host| log.note(client(host), Rejected::ClientLimit));
    });
    assert_eq!(ear.messages()[1], "1000 rejects from 64 or more clients, e.g. 192.0.2.1");
}

#[test]
fn the_next_rejection_after_the_interval_tells_what_was_gathered() {
    let ear = Ear::default();
    let mut noted = 0;
    ear.listen(|| {
        let log = RejectLog::new(Duration::from_millis(20));
        while ear.heard().len() < 3 {
            assert!(noted < 5_000, "the interval never ends");
            log.note(client(1), Rejected::ClientLimit);
            noted += 1;
            thread::sleep(Duration::from_millis(1));
        }
    });
    let told: Vec<u64> = ear.heard().iter().map(|event| event["rejects"].parse().unwrap()).collect();
    assert_eq!(told[0], 1);
    assert_eq!(told.iter().sum::<u64>(), noted);
}

#[test]
fn counts_are_exact_however_many_threads_note() {
    const THREADS: u32 = 4;
    const EACH: u32 = if cfg!(miri) { 50 } else { 5_000 };
    for (interval, most) in [(LONG, 2), (Duration::from_millis(1), usize::MAX), (Duration::ZERO, usize::MAX)] {
        let ear = Ear::default();
        let log = RejectLog::new(interval);
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let (ear, log) = (&ear, &log);
                scope.spawn(move || {
                    ear.listen(|| (0..EACH).for_each(|_| log.note(client(thread), Rejected::ClientLimit)));
                });
            }
        });
        ear.listen(|| drop(log));
        let heard = ear.heard();
        assert!(heard.len() <= most, "{} events within one interval", heard.len());
        let told: u64 = heard.iter().map(|event| event["rejects"].parse::<u64>().unwrap()).sum();
        assert_eq!(told, u64::from(THREADS * EACH));
        for event in heard {
            let clients: u32 = event["clients"].parse().unwrap();
            assert!((1..=THREADS).contains(&clients), "{event:?}");
            assert!(event["client"].starts_with("192.0.2."), "{event:?}");
        }
    }
}

#[test]
fn of_threads_that_find_an_event_due_one_emits_it() {
    const ROUNDS: usize = if cfg!(miri) { 3 } else { 300 };
    let ear = Ear::default();
    let logs: Vec<_> = (0..ROUNDS).map(|_| RejectLog::new(LONG)).collect();
    let start = Barrier::new(3);
    thread::scope(|scope| {
        for thread in 0..3 {
            let (ear, logs, start) = (&ear, &logs, &start);
            scope.spawn(move || {
                ear.listen(|| {
                    for log in logs {
                        start.wait();
                        log.note(client(thread), Rejected::ClientLimit);
                    }
                });
            });
        }
    });
    assert_eq!(ear.heard().len(), ROUNDS, "an event for each log");
}
