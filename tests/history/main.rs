//! Concurrent runs, recorded and then explained.
//!
//! A run is right when there is one order of its operations, true to real time, in which each gives the answer
//! that a plain counter would have given (linearizability, Herlihy and Wing 1990). Clients share nothing, so each
//! client's part is explained for itself (locality, ibid.), and that is what keeps the search small.
#![cfg(not(connlimit_model))]

mod checker;
mod checker_is_right;
mod faulty;
mod recorder;

use checker::{Unexplained, explain};
use connlimit::{Client, Config, Limiter, Permit};
use core::net::Ipv4Addr;
use core::sync::atomic::{AtomicBool, Ordering::SeqCst};
use recorder::{History, Subject, record};
use std::thread;

/// Runs of each test; each is short, so that its threads meet at the start as well as in the middle.
const RUNS: u64 = if cfg!(miri) { 4 } else { 60 };

impl Subject for Limiter {
    type Held = Permit;

    fn try_acquire(&self, client: Client) -> Option<Permit> {
        Self::try_acquire(self, client).ok()
    }

    fn open_connections(&self, client: Client) -> u32 {
        Self::open_connections(self, client)
    }
}

/// Admissions by batch, otherwise as [`Limiter`].
struct InBatch(Limiter);

impl Subject for InBatch {
    type Held = Permit;

    fn try_acquire(&self, client: Client) -> Option<Permit> {
        self.0.batch().try_acquire(client).ok()
    }

    fn open_connections(&self, client: Client) -> u32 {
        self.0.open_connections(client)
    }
}

/// Explains the history of every client, or says which could not be.
fn explain_all(history: &History) -> Result<(), Unexplained> {
    (0..recorder::CLIENTS).try_for_each(|client| explain(&history.of(client)))
}

#[test]
fn every_answer_can_be_explained() {
    for seed in 0..RUNS {
        let limiter = Limiter::new(Config::new(2));
        explain_all(&record(&limiter, 2, seed)).unwrap();
    }
}

#[test]
fn every_answer_can_be_explained_in_batches() {
    for seed in 0..RUNS {
        let limiter = InBatch(Limiter::new(Config::new(1)));
        explain_all(&record(&limiter, 1, seed)).unwrap();
    }
}

#[test]
fn every_answer_can_be_explained_while_a_crowd_comes_and_goes() {
    for seed in 0..RUNS / 4 {
        let limiter = Limiter::new(Config::new(2));
        let over = AtomicBool::new(false);
        let history = thread::scope(|scope| {
            scope.spawn(|| {
                let newcomers = if cfg!(miri) { 50 } else { 5000 };
                let newcomer = |number: u32| Ipv4Addr::from_bits(0x0a00_0000 + number);
                while !over.load(SeqCst) {
                    let crowd: Vec<_> =
                        (0..newcomers).filter_map(|number| limiter.try_acquire(newcomer(number)).ok()).collect();
                    assert_eq!(crowd.len(), newcomers as usize);
                }
            });
            let recording = scope.spawn(|| record(&limiter, 2, seed)).join();
            over.store(true, SeqCst);
            recording.expect("the recording ends")
        });
        explain_all(&history).unwrap();
    }
}

/// A change of the limit is not one of the operations: an acquire may use any limit that was in force while it ran.
#[test]
fn every_answer_can_be_explained_while_the_limit_changes() {
    for seed in 0..RUNS / 2 {
        let limiter = Limiter::new(Config::new(1));
        let over = AtomicBool::new(false);
        let history = thread::scope(|scope| {
            let changing = scope.spawn(|| {
                let mut changes = recorder::Changes::starting_with(1);
                while !over.load(SeqCst) {
                    for limit in [3, 1, 2] {
                        changes.record(limit, || {
                            limiter.set_config(Config::new(limit)).unwrap();
                        });
                        thread::yield_now();
                    }
                }
                changes
            });
            let recording = scope.spawn(|| record(&limiter, 1, seed)).join();
            over.store(true, SeqCst);
            let changes = changing.join().expect("a change of limits is accepted");
            recording.expect("the recording ends").under(&changes)
        });
        explain_all(&history).unwrap();
    }
}
