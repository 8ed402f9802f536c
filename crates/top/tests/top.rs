//! The program, called as its `main` calls it.
#![cfg(not(miri))] // Miri has no sockets.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "the modules belong to the example, and only its `main` uses all of them"
)]
#![allow(clippy::std_instead_of_core, reason = "a test has the standard library")]

#[path = "../src/cli.rs"]
mod cli;
#[path = "../src/demo.rs"]
mod demo;
#[path = "../src/server.rs"]
mod server;
#[path = "../src/view.rs"]
mod view;

use cli::{Mode, parse};
use connlimit::{Client, Config, Limiter, Permit};
use ratatui::{Terminal, backend::TestBackend, style::Color};
use std::net::{Ipv4Addr, SocketAddr};
use view::View;

fn parsed(args: &[&str]) -> Result<Mode, String> {
    parse(args.iter().map(|&arg| arg.to_owned()))
}

#[test]
fn the_command_line_is_read_or_named_as_wrong() {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 7000));
    assert_eq!(parsed(&[]), Ok(Mode::Demo { once: false }));
    assert_eq!(parsed(&["--once"]), Ok(Mode::Demo { once: true }));
    assert_eq!(parsed(&["--listen", "127.0.0.1:7000"]), Ok(Mode::Serve { listen, limit: 10 }));
    assert_eq!(parsed(&["--max-per-client", "3", "--listen", "127.0.0.1:7000"]), Ok(Mode::Serve { listen, limit: 3 }));
    for (args, problem) in [
        (&["top"][..], "unknown argument: top"),
        (&["--listen"], "--listen needs a value"),
        (&["--max-per-client", "3"], "--max-per-client needs --listen"),
        (&["--listen", "127.0.0.1:7000", "--once"], "--once is for the demo"),
        (&["--listen", "here"], "--listen here: invalid socket address syntax"),
    ] {
        assert_eq!(parsed(args), Err(problem.to_owned()));
    }
}

#[test]
fn a_frame_shows_the_busiest_clients_and_what_was_decided() {
    let limiter = Limiter::new(Config::new(4).with_counting(true).with_soft_percent(50));
    let client = |host| Client::from(Ipv4Addr::new(192, 0, 2, host));
    let mut permits: Vec<Permit> = Vec::new();
    for (host, attempts) in [(1, 1), (2, 6), (3, 3)] {
        permits.extend((0..attempts).filter_map(|_| limiter.try_acquire(client(host)).ok()));
    }
    let mut view = View::new(&limiter, "test");
    let text = view.text(80, 24);
    assert!(text.starts_with("connlimit test: 8 connections, 3 clients,"), "{text}");
    let rows: Vec<&str> = text.lines().filter(|line| line.contains("192.0.2.")).collect();
    let column = |row: &str| row.split('│').nth(1).unwrap_or_default().trim().to_owned();
    let words = |row: &&str| column(row).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(
        rows.iter().map(words).collect::<Vec<_>>(),
        [["192.0.2.2", "4", "■■■■■■■■■■■■"], ["192.0.2.3", "3", "■■■■■■■■■"], ["192.0.2.1", "1", "■■■"]],
        "{text}"
    );
    let said = |name: &str, count: &str| {
        let rest = text.lines().find_map(|line| line.split_once(name)).map(|(_, rest)| rest);
        assert_eq!(rest.and_then(|rest| rest.split_whitespace().next()), Some(count), "{name} in\n{text}");
    };
    said("│admitted  ", "8");
    said("client limit", "2");
    said("total limit", "0");

    permits.clear();
    assert!(limiter.try_acquire(client(9)).is_ok());
    view.refresh();
    let text = view.text(80, 24);
    assert!(!text.contains("192.0.2."), "everybody has left:\n{text}");
    assert!(text.lines().any(|line| line.contains("admitted  ") && line.contains("/s")), "a rate:\n{text}");
}

#[test]
fn clients_near_their_limit_stand_out() {
    let limiter = Limiter::new(Config::new(4).with_soft_percent(50));
    let _permits: Vec<_> = [(1, 4), (2, 3), (3, 1)]
        .into_iter()
        .flat_map(|(host, open)| (0..open).map(move |_| Ipv4Addr::new(192, 0, 2, host)))
        .map(|client| limiter.try_acquire(client).unwrap())
        .collect();
    let view = View::new(&limiter, "test");
    let mut terminal = Terminal::new(TestBackend::new(60, 12)).unwrap();
    terminal.draw(|frame| view.draw(frame)).unwrap();
    let buffer = terminal.backend().buffer();
    // Below the summary, the border and the header, behind the border.
    assert_eq!([3, 4, 5].map(|line| buffer[(1, line)].fg), [Color::Red, Color::Yellow, Color::Reset]);
}

#[test]
fn a_terminal_of_any_size_can_be_drawn_on() {
    let limiter = Limiter::new(Config::new(connlimit::config::Limit::Unlimited));
    let _permit = limiter.try_acquire(Ipv4Addr::LOCALHOST).unwrap();
    let view = View::new(&limiter, "test");
    for (width, height) in [(1, 1), (3, 2), (20, 5), (300, 100)] {
        let text = view.text(width, height);
        assert_eq!(text.split('\n').count(), usize::from(height));
        assert!(text.lines().all(|line| line.chars().count() <= usize::from(width)), "{text}");
    }
}

#[test]
fn the_demo_finds_reality_as_it_shows_it() {
    let limiter = Limiter::new(Config::new(demo::LIMIT).with_counting(true));
    let addr = server::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), limiter.clone()).unwrap();
    let mut demo = demo::Demo::new(addr);
    demo.open(&limiter).unwrap();
    let text = View::new(&limiter, "demo").text(80, 24);
    assert_eq!(demo::check(&text), Ok(()), "{text}");
    let other = text.replace("127.0.0.13     ", "127.0.0.99     ");
    assert!(demo::check(&other).is_err(), "a frame that says something else is found out");
    for _ in 0..5 {
        demo.stir().unwrap();
    }
    assert!(limiter.top(1)[0].open_connections <= demo::LIMIT);
}
