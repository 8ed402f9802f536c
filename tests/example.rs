//! The example `guarded_server`, called as its `main` calls it.
#![cfg(not(miri))] // Miri has no sockets.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "the modules belong to the example, and only its `main` uses all of them"
)]
#![allow(clippy::std_instead_of_core, reason = "a test has the standard library")]

#[path = "../examples/guarded_server/cli.rs"]
mod cli;
#[path = "../examples/guarded_server/crowd.rs"]
mod crowd;
#[path = "../examples/guarded_server/host.rs"]
mod host;
#[path = "../examples/guarded_server/log.rs"]
mod log;
#[path = "../examples/guarded_server/serve.rs"]
mod serve;
#[path = "../examples/guarded_server/tour.rs"]
mod tour;

use cli::Mode;
use connlimit::{Config, Limiter};
use crowd::Guest;
use log::{Budget, LINES_PER_SECOND};
use std::{
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

const ONE: Ipv4Addr = Ipv4Addr::LOCALHOST;

#[test]
fn the_tour_finds_reality_as_it_prints_it() {
    let mut out = Vec::new();
    tour::run(&mut out).unwrap();
    let out = String::from_utf8(out).unwrap();
    for words in ["admitted", "rejected", "released", "limit is now 1", "::ffff:127.0.0.2"] {
        assert!(out.contains(words), "{words:?} is missing in:\n{out}");
    }
    assert!(out.ends_with("Each line above was checked.\n"), "{out}");
}

#[test]
fn no_arguments_mean_the_tour() {
    assert_eq!(parse(&[]), Ok(Mode::Tour));
}

#[test]
fn an_address_and_a_limit_mean_the_server() {
    let listen = SocketAddr::from((ONE, 7000));
    assert_eq!(parse(&["--max-per-client", "3", "--listen", "127.0.0.1:7000"]), Ok(Mode::Serve { listen, limit: 3 }));
    assert_eq!(parse(&["--listen", "127.0.0.1:7000"]), Ok(Mode::Serve { listen, limit: 10 }));
}

#[test]
fn bad_arguments_are_named() {
    for (args, problem) in [
        (&["tour"][..], "unknown argument: tour"),
        (&["--listen"], "--listen needs a value"),
        (&["--max-per-client", "3"], "--max-per-client needs --listen"),
        (&["--listen", "here"], "--listen here: invalid socket address syntax"),
        (&["--max-per-client", "-1"], "--max-per-client -1: invalid digit found in string"),
    ] {
        assert_eq!(parse(args), Err(problem.to_owned()));
    }
}

#[test]
fn the_server_echoes_rejects_and_logs() {
    let (sender, log) = mpsc::channel();
    let limiter = Limiter::new(Config::new(1));
    let listener = TcpListener::bind((ONE, 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    let guarded = limiter.clone();
    thread::spawn(move || serve::serve(listener, guarded, Channel(sender)));

    let mut admitted = Guest::connect(ONE, addr).unwrap();
    assert_eq!(admitted.say("hello").unwrap(), "hello");
    let mut rejected = Guest::connect(ONE, addr).unwrap();
    assert_eq!(rejected.hear().unwrap(), "client connection limit reached");
    assert_eq!(admitted.say("again").unwrap(), "again");

    drop(admitted);
    let deadline = Instant::now() + Duration::from_secs(20);
    while limiter.open_connections(ONE) != 0 {
        assert!(Instant::now() < deadline, "the slot was not released");
        thread::sleep(Duration::from_millis(1));
    }
    let log: String = log.try_iter().collect();
    let words: Vec<_> = log.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(words, ["admitted", "rejected"]);
}

#[test]
fn a_flood_does_not_fill_the_log() {
    let start = Instant::now();
    let (sender, log) = mpsc::channel();
    let mut budget = Budget::new(Channel(sender), start);
    for n in 0..1000 {
        budget.line(start, &n).unwrap();
    }
    budget.line(start + Duration::from_secs(1), &"later").unwrap();
    budget.line(start + Duration::from_secs(2), &"at rest").unwrap();

    let log: String = log.try_iter().collect();
    let lines: Vec<_> = log.lines().collect();
    let [first @ .., left_out, later, at_rest] = &lines[..] else {
        panic!("too few lines: {lines:?}");
    };
    assert_eq!(first.len(), usize::try_from(LINES_PER_SECOND).unwrap());
    assert_eq!([*left_out, *later, *at_rest], ["(990 lines left out)", "later", "at rest"]);
}

/// Sends what is written to it.
struct Channel(mpsc::Sender<String>);

impl Write for Channel {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(buf).into_owned();
        self.0.send(text).map_err(io::Error::other)?;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn parse(args: &[&str]) -> Result<Mode, String> {
    cli::parse(args.iter().map(Into::into))
}
