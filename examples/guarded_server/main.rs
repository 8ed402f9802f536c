//! A server that admits a bounded number of connections per client.
//!
//! `cargo run --release --example guarded_server` shows what that means on real loopback sockets, checks each line it
//! prints, and ends by itself. With `--listen ADDR` it stays up as an echo server.

#![allow(unreachable_pub, reason = "modules of a program have no outside")]
#![allow(clippy::std_instead_of_core, reason = "a program has the standard library")]

mod cli;
mod crowd;
mod host;
mod log;
mod serve;
mod tour;

use cli::Mode;
use std::{env, io, process::ExitCode};

fn main() -> ExitCode {
    match cli::parse(env::args_os().skip(1)) {
        Ok(Mode::Tour) => match tour::run(&mut io::stdout().lock()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(difference) => fail(&*difference),
        },
        Ok(Mode::Help) => {
            print!("{}", cli::USAGE);
            ExitCode::SUCCESS
        }
        Ok(Mode::Serve { listen, limit }) => match serve::run(listen, limit) {
            Ok(never) => match never {},
            Err(error) => fail(&*error),
        },
        Err(problem) => {
            eprint!("{problem}\n\n{}", cli::USAGE);
            ExitCode::from(2)
        }
    }
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("guarded_server: {error}");
    ExitCode::FAILURE
}
