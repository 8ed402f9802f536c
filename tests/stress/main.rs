//! Threads against one limiter, with counts that are exact at every moment.
//!
//! `CONNLIMIT_STRESS_OPS` sets how many operations each test of this binary makes; the default suits two cores
//! and a few seconds in all. `cargo test --release --test stress -- --ignored` runs the long soak.
#![cfg(not(connlimit_model))]

mod bounds;
mod crowd;
mod ledger;
mod ownership;
mod shutdown;
mod tiers;

use core::net::Ipv4Addr;
use core::sync::atomic::{AtomicU32, Ordering::SeqCst};
use core::time::Duration;
use std::thread;

/// Threads of a test: more than two cores, so that they are also interrupted at awkward places.
const THREADS: u32 = 4;

/// Operations that one test makes, over all of its threads.
fn operations() -> u64 {
    std::env::var("CONNLIMIT_STRESS_OPS").map_or(if cfg!(miri) { 2000 } else { 400_000 }, |text| {
        text.parse().expect("CONNLIMIT_STRESS_OPS is a number of operations")
    })
}

/// Operations that one thread makes.
fn share() -> u32 {
    u32::try_from(operations() / u64::from(THREADS)).unwrap_or(u32::MAX)
}

/// Rounds of a test in which one round costs as much as `cost` operations.
fn rounds(cost: u64) -> u64 {
    (operations() / cost).max(2)
}

/// A generator for one thread of one test, the same in every run.
fn random(thread: u32) -> fastrand::Rng {
    fastrand::Rng::with_seed(0x00c0_ffee ^ u64::from(thread) << 32)
}

/// The steady client number `number`; crowds use other networks.
const fn steady(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(0xc000_0200 + number)
}

/// Where threads wait for one another. Unlike [`std::sync::Barrier`] it gives up when one of them has failed.
struct Turn {
    threads: u32,
    arrivals: AtomicU32,
}

impl Turn {
    const fn new(threads: u32) -> Self {
        Self { threads, arrivals: AtomicU32::new(0) }
    }

    fn wait(&self) {
        let before = self.arrivals.fetch_add(1, SeqCst);
        let everybody = (before / self.threads + 1) * self.threads;
        until(|| self.arrivals.load(SeqCst) >= everybody, || "the other threads did not come".into());
    }
}

/// Waits for what other threads are about to do, and fails with `message` when it takes absurdly long.
fn until(mut reached: impl FnMut() -> bool, message: impl Fn() -> String) {
    for patience in 0..40_000 {
        if reached() {
            return;
        }
        if patience < 30_000 {
            thread::yield_now();
        } else {
            thread::sleep(Duration::from_millis(1));
        }
    }
    panic!("{}", message());
}
