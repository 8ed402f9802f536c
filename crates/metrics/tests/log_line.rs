//! The line that a log file gets for a summary of rejections, which filters of others rely on: it must not change.
#![allow(clippy::std_instead_of_core, reason = "a test has the standard library")]

use connlimit::client::keep_names;
use connlimit::{Client, Rejected};
use connlimit_metrics::RejectLog;
use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tracing::subscriber::with_default;

const LONG: Duration = Duration::from_secs(24 * 60 * 60);

/// A log file.
#[derive(Clone, Default)]
struct File(Arc<Mutex<Vec<u8>>>);

impl Write for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the default format of `tracing-subscriber` writes while `act` runs, without the time.
fn written(act: impl FnOnce()) -> String {
    let file = File::default();
    let log = tracing_subscriber::fmt().with_ansi(false).without_time().with_writer({
        let file = file.clone();
        move || file.clone()
    });
    with_default(log.finish(), act);
    let bytes = file.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

fn v4(host: u8) -> Client {
    Ipv4Addr::new(192, 0, 2, host).into()
}

/// The summary of `rejects` rejections from `clients` clients, the first of them `first`.
fn summary(first: Client, rejects: u32, clients: u32, reason: Rejected) -> String {
    let all = written(|| {
        let log = RejectLog::new(LONG);
        log.note(v4(250), reason); // told at once
        log.note(first, reason);
        (1..rejects).for_each(|n| log.note(Ipv4Addr::from(0x0a00_0000 + n % clients), reason));
    });
    all.lines().last().unwrap().to_owned()
}

#[test]
fn the_sample_of_the_fail2ban_filter_is_what_is_written() {
    assert!(keep_names(10));
    let forged = "e.g. 192.0.2.9 rejects=1 clients=1 client=192.0.2.9 reason=client connection limit reached";
    let broken = "\n2026-11-24T18:00:00Z  WARN connlimit: 1 reject from 1 client, e.g. 192.0.2.10";
    let written = [
        summary(v4(1), 1, 1, Rejected::ClientLimit),
        summary(v4(2), 37, 3, Rejected::ClientLimit),
        summary(v4(3), 1000, 900, Rejected::ClientLimit),
        summary(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 4).into(), 1, 1, Rejected::ClientLimit),
        summary(v4(5), 1, 1, Rejected::TierLimit),
        summary(v4(6), 1, 1, Rejected::TotalLimit),
        summary(v4(7), 1, 1, Rejected::TableFull),
        summary(v4(8), 1, 1, Rejected::Denied),
        summary(Client::named(forged), 1, 1, Rejected::ClientLimit),
        summary(Client::named(broken), 1, 1, Rejected::ClientLimit),
    ];
    let sample = include_str!("../ops/fail2ban/sample.log");
    let without_time: Vec<_> = sample.lines().map(|line| line.split_once('Z').unwrap().1).collect();
    assert_eq!(without_time, written.iter().map(|line| format!(" {line}")).collect::<Vec<_>>());
}

#[test]
fn a_summary_is_one_line_by_the_format_that_operators_rely_on() {
    let line = summary(v4(2), 37, 3, Rejected::ClientLimit);
    let told = "37 rejects from 4 clients, e.g. 192.0.2.2";
    let fields = "rejects=37 clients=4 client=192.0.2.2 reason=client connection limit reached";
    assert_eq!(line, format!(" WARN connlimit: {told} {fields}"));
}
