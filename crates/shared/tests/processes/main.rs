//! Real processes that share a region, and are killed.
//!
//! This program is the workers as well: started with `CONNLIMIT_ROLE`, it plays that role. Sizes come from the
//! environment: `CONNLIMIT_KILLS` (random kills; `all` for a kill after each change that single steps find),
//! `CONNLIMIT_REPLACED` (processes that come and go).

mod child;
mod kills;
mod lives;
mod roles;
mod steps;

use connlimit_shared::{Limits, SharedConfig, SharedLimiter};
use core::net::Ipv4Addr;
use core::time::Duration;
use libtest_mimic::{Arguments, Trial};
use std::env;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Instant;

fn main() -> ExitCode {
    if let Ok(role) = env::var("CONNLIMIT_ROLE") {
        roles::play(&role);
        return ExitCode::SUCCESS;
    }
    let mut arguments = Arguments::from_args();
    // Each of them has several processes, and a machine may have two cores.
    arguments.test_threads = Some(1);
    let mut trials = lives::trials();
    trials.extend(kills::trials());
    let stepping = steps::is_possible();
    if !stepping {
        println!("SKIP: this system allows no tracing (ptrace), so nothing is killed after each instruction");
    }
    trials.extend(steps::trials().into_iter().map(|trial| trial.with_ignored_flag(!stepping)));
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(name: &'static str, test: fn()) -> Trial {
    Trial::test(name, move || {
        test();
        Ok(())
    })
}

/// The limit of most tests.
const LIMIT: u32 = 3;

/// One group: fifteen records.
fn small() -> SharedConfig {
    SharedConfig::new(Limits::new(LIMIT)).with_clients(3)
}

fn client(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(number)
}

fn number(variable: &str, default: u32) -> u32 {
    env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Sweeps after who has died, when no other process is at it.
fn reap(limiter: &SharedLimiter) -> connlimit_shared::Reaped {
    let mut reaped = None;
    eventually("nobody else sweeps", || {
        reaped = limiter.reap().unwrap();
        reaped.is_some()
    });
    reaped.unwrap()
}

/// Waits until `holds`, for as long as even a busy machine needs.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "not in a minute: {what}");
        sleep(Duration::from_millis(1));
    }
}

/// Every record of a small region can be had, when nobody has connections.
fn check_no_record_is_lost(limiter: &SharedLimiter) {
    let all: Vec<_> = (0..15).map(|n| limiter.try_acquire(client(1000 + n)).expect("a record is lost")).collect();
    assert_eq!(limiter.try_acquire(client(2000)).unwrap_err(), connlimit::Rejected::TableFull);
    drop(all);
}
