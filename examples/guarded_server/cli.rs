//! The command line.

use std::{ffi::OsString, net::SocketAddr};

pub const USAGE: &str = "\
usage: guarded_server                                        a short tour that ends by itself
       guarded_server --listen ADDR [--max-per-client N]     an echo server that stays up

  --listen ADDR          address and port, such as 127.0.0.1:7000 or [::]:7000
  --max-per-client N     open connections that one client may have; 0 means no limit [default: 10]
  --help                 this text
";

const DEFAULT_LIMIT: u32 = 10;

#[derive(Debug, PartialEq, Eq)]
pub enum Mode {
    Tour,
    Help,
    Serve { listen: SocketAddr, limit: u32 },
}

/// Reads the arguments that follow the program's name, or says what is wrong with them.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Mode, String> {
    let (mut listen, mut limit) = (None, None);
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("--help" | "-h") => return Ok(Mode::Help),
            Some(flag @ "--listen") => listen = Some(value(flag, args.next())?),
            Some(flag @ "--max-per-client") => limit = Some(value(flag, args.next())?),
            _ => return Err(format!("unknown argument: {}", arg.to_string_lossy())),
        }
    }
    match (listen, limit) {
        (None, None) => Ok(Mode::Tour),
        (None, Some(_)) => Err("--max-per-client needs --listen".into()),
        (Some(listen), limit) => Ok(Mode::Serve { listen, limit: limit.unwrap_or(DEFAULT_LIMIT) }),
    }
}

fn value<T: core::str::FromStr>(flag: &str, arg: Option<OsString>) -> Result<T, String>
where
    T::Err: core::fmt::Display,
{
    let arg = arg.ok_or_else(|| format!("{flag} needs a value"))?;
    let text = arg.to_string_lossy();
    text.parse().map_err(|error| format!("{flag} {text}: {error}"))
}
