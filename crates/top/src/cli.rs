//! The command line.

use std::{fmt::Display, net::SocketAddr, str::FromStr};

pub const USAGE: &str = "\
usage: connlimit-top [--once]                            a demo with made-up clients; q quits
       connlimit-top --listen ADDR [--max-per-client N]  an echo server, and who is connected to it

  --once                 print one frame of the demo as text, check it, and end; so it is without a terminal
  --listen ADDR          address and port, such as 127.0.0.1:7000 or [::]:7000
  --max-per-client N     open connections that one client may have; 0 means no limit [default: 10]
  --help                 this text
";

const DEFAULT_LIMIT: u32 = 10;

#[derive(Debug, PartialEq, Eq)]
pub enum Mode {
    Demo { once: bool },
    Serve { listen: SocketAddr, limit: u32 },
    Help,
}

/// Reads the arguments that follow the program's name, or says what is wrong with them.
pub fn parse(mut args: impl Iterator<Item = String>) -> Result<Mode, String> {
    let (mut once, mut listen, mut limit) = (false, None, None);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--help" | "-h" => return Ok(Mode::Help),
            "--once" => once = true,
            "--listen" => listen = Some(value(&arg, args.next())?),
            "--max-per-client" => limit = Some(value(&arg, args.next())?),
            _ => return Err(format!("unknown argument: {arg}")),
        }
    }
    match (listen, limit) {
        (None, None) => Ok(Mode::Demo { once }),
        (None, Some(_)) => Err("--max-per-client needs --listen".into()),
        (Some(_), _) if once => Err("--once is for the demo".into()),
        (Some(listen), limit) => Ok(Mode::Serve { listen, limit: limit.unwrap_or(DEFAULT_LIMIT) }),
    }
}

fn value<T: FromStr<Err: Display>>(flag: &str, arg: Option<String>) -> Result<T, String> {
    let text = arg.ok_or_else(|| format!("{flag} needs a value"))?;
    text.parse().map_err(|error| format!("{flag} {text}: {error}"))
}
