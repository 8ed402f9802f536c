//! The faults that hand-written limiters have had, one test for each.
//!
//! They come from public bug threads and from reading servers that carry a limiter of their own. A test's comment
//! names the class of the fault; a limiter with that fault fails it.
#![cfg(not(connlimit_model))]

mod exactness;
mod identity;
#[cfg(all(target_os = "linux", not(miri)))]
mod memory;
mod release;

use connlimit::Permit;
use core::net::Ipv4Addr;
use std::thread;

const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// Repetitions of a race.
const ROUNDS: u32 = if cfg!(miri) { 3 } else { 300 };

/// Runs `act` on four threads and counts what they were given in all; nothing is released before all have tried.
fn rush(act: impl Fn() -> Vec<Permit> + Sync) -> usize {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(&act)).collect();
        let held: Vec<Vec<Permit>> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        held.iter().map(Vec::len).sum()
    })
}
