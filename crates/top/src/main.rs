//! The busiest clients of a running server and what it rejects, in a terminal, refreshed live.
//!
//! ```text
//! connlimit-top                                                    # a demo with made-up clients
//! connlimit-top --listen 127.0.0.1:7000 --max-per-client 10        # a real echo server
//! connlimit-top --once                                             # one frame as text
//! ```
//!
//! `q` quits. Without a terminal it prints one frame of the demo, checks it, and ends.

#![allow(unreachable_pub, reason = "modules of a program have no outside")]
#![allow(clippy::std_instead_of_core, reason = "a program has the standard library")]

mod cli;
mod demo;
mod server;
mod view;

use cli::{Mode, USAGE};
use connlimit::{Config, Limiter};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use std::{
    env,
    error::Error,
    io::{self, IsTerminal},
    net::{Ipv4Addr, SocketAddr},
    process::ExitCode,
    time::{Duration, Instant},
};
use view::View;

/// Rates are told over this time.
const REFRESH: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let outcome = match cli::parse(env::args().skip(1)) {
        Ok(Mode::Help) => {
            print!("{USAGE}");
            Ok(())
        }
        Ok(Mode::Demo { once }) => watch_demo(once),
        Ok(Mode::Serve { listen, limit }) => watch_server(listen, limit),
        Err(problem) => {
            eprint!("{problem}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("connlimit-top: {error}");
            ExitCode::FAILURE
        }
    }
}

fn limiter(max_per_client: u32) -> Result<Limiter, Box<dyn Error>> {
    let config = Config::new(max_per_client).with_ipv6_prefix(64)?.with_counting(true).with_soft_percent(75);
    Ok(Limiter::new(config))
}

fn watch_demo(once: bool) -> Result<(), Box<dyn Error>> {
    let limiter = limiter(demo::LIMIT)?;
    let addr = server::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), limiter.clone())?;
    let mut demo = demo::Demo::new(addr);
    demo.open(&limiter)?;
    if once || !io::stdout().is_terminal() {
        let text = View::new(&limiter, "demo").text(80, 24);
        println!("{text}");
        return demo::check(&text).map_err(Into::into);
    }
    watch(&limiter, &format!("demo on {addr}"), || demo.stir())
}

fn watch_server(listen: SocketAddr, limit: u32) -> Result<(), Box<dyn Error>> {
    if !io::stdout().is_terminal() {
        return Err("--listen needs a terminal to show what happens".into());
    }
    let limiter = limiter(limit)?;
    let addr = server::start(listen, limiter.clone())?;
    watch(&limiter, &format!("echo server on {addr}"), || Ok(()))
}

/// Draws until somebody quits; `stir` is called before each frame.
fn watch(limiter: &Limiter, title: &str, mut stir: impl FnMut() -> io::Result<()>) -> Result<(), Box<dyn Error>> {
    let mut terminal = ratatui::try_init()?;
    let mut view = View::new(limiter, title);
    let outcome = loop {
        let step = stir().and_then(|()| {
            view.refresh();
            terminal.draw(|frame| view.draw(frame))?;
            asked_to_quit(Instant::now() + REFRESH)
        });
        match step {
            Ok(false) => {}
            Ok(true) => break Ok(()),
            Err(error) => break Err(error.into()),
        }
    };
    ratatui::try_restore()?;
    outcome
}

/// Waits until `deadline` for a key that quits. A terminal whose size has changed is drawn at once.
fn asked_to_quit(deadline: Instant) -> io::Result<bool> {
    while event::poll(deadline.saturating_duration_since(Instant::now()))? {
        match event::read()? {
            Event::Key(key) if key.kind == KeyEventKind::Press => {
                let interrupt = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
                if interrupt || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) {
                    return Ok(true);
                }
            }
            Event::Resize(..) => return Ok(false),
            _ => {}
        }
    }
    Ok(false)
}
