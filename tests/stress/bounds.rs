//! A client is admitted up to its limit, and rejected only at it.

use super::ledger::{Booked, Ledger};
use super::{THREADS, Turn, operations, random, share, steady};
use connlimit::{Config, Limiter, Permit, config::Limit};
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, mpsc};
use std::thread;

/// Threads that acquire, and that send what they hold to one another to be released there.
pub(crate) fn acquire_here_release_there(ledger: &Ledger, operations: u64) {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..THREADS).map(|_| mpsc::channel::<Booked>()).unzip();
    thread::scope(|scope| {
        for (thread, inbox) in (0..).zip(receivers) {
            let senders = senders.clone();
            scope.spawn(move || {
                let mut random = random(thread);
                let mut held = Vec::new();
                for _ in 0..operations / u64::from(THREADS) {
                    match random.u8(0..8) {
                        0..4 => held.extend(ledger.acquire(random.u32(0..ledger.clients()))),
                        4 | 5 if !held.is_empty() => {
                            held.swap_remove(random.usize(..held.len())).release();
                        }
                        6 if !held.is_empty() => {
                            let booked = held.swap_remove(random.usize(..held.len()));
                            // Only a thread that has failed takes no more.
                            if let Err(returned) = random.choice(&senders).unwrap().send(booked) {
                                held.push(returned.0);
                            }
                        }
                        _ => inbox.try_iter().for_each(Booked::release),
                    }
                }
                held.into_iter().for_each(Booked::release);
                // Until the last of the others has finished, and nothing more can come.
                drop(senders);
                inbox.iter().for_each(Booked::release);
            });
        }
        drop(senders);
    });
}

#[test]
fn no_client_is_ever_above_its_limit() {
    let limiter = Limiter::new(Config::new(3));
    let ledger = Ledger::new(&limiter, 4, 3);
    acquire_here_release_there(&ledger, operations());
    ledger.settle();
}

#[test]
#[ignore = "takes minutes in release mode"]
fn a_billion_operations_leave_nothing_behind() {
    let limiter = Limiter::new(Config::new(3));
    let ledger = Ledger::new(&limiter, 4, 3);
    let total = std::env::var_os("CONNLIMIT_STRESS_OPS").map_or(1_000_000_000, |_| operations());
    acquire_here_release_there(&ledger, total);
    ledger.settle();
    for client in 0..ledger.clients() {
        assert_eq!(limiter.open_connections(steady(client)), 0, "client {client}");
    }
}

/// With one slot for each thread, and one permit at most in each thread's hand, there is always room.
#[test]
fn a_client_with_room_is_never_rejected() {
    let limiter = Limiter::new(Config::new(THREADS));
    let ledger = Ledger::new(&limiter, 2, THREADS);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let ledger = &ledger;
            scope.spawn(move || {
                let mut random = random(thread);
                for _ in 0..share() {
                    let client = random.u32(0..2);
                    let booked = ledger.acquire(client);
                    booked.expect("there is room for each thread").release();
                }
            });
        }
    });
    ledger.settle();
}

/// Nobody releases while the others still acquire, so the number that gets in is no matter of luck.
#[test]
fn a_rush_admits_exactly_the_limit() {
    const LIMIT: u32 = 5;
    const ATTEMPTS: usize = 4;
    let limiter = Limiter::new(Config::new(LIMIT));
    let turn = Turn::new(THREADS);
    let all: Mutex<Vec<Permit>> = Mutex::default();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (limiter, turn, all) = (&limiter, &turn, &all);
            scope.spawn(move || {
                for round in 0..share() / 16 {
                    // An old client in even rounds, a new one in odd rounds.
                    let client = steady(if round % 2 == 0 { 0 } else { round });
                    turn.wait();
                    let held: Vec<Permit> = (0..ATTEMPTS).filter_map(|_| limiter.try_acquire(client).ok()).collect();
                    all.lock().unwrap().extend(held);
                    turn.wait();
                    assert_eq!(limiter.open_connections(client), LIMIT, "round {round}");
                    turn.wait();
                    if thread == 0 {
                        let held = core::mem::take(&mut *all.lock().unwrap());
                        assert_eq!(held.len(), LIMIT as usize, "round {round}");
                    }
                    turn.wait();
                    assert_eq!(limiter.open_connections(client), 0, "round {round}");
                }
            });
        }
    });
}

/// Each thread has a client of its own, so it knows the right answer whenever the limit stood still for a call.
#[test]
fn a_new_limit_holds_for_every_call_that_starts_after_it_was_set() {
    const LIMITS: [Limit; 4] = [Limit::AtMost(1), Limit::AtMost(4), Limit::AtMost(2), Limit::Unlimited];
    let limiter = Limiter::new(Config::new(LIMITS[0]));
    // Odd while a change is under way; half of it counts the changes.
    let changes = AtomicUsize::new(0);
    let working = AtomicU32::new(THREADS);
    let judged = AtomicUsize::new(0);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (limiter, changes, working, judged) = (&limiter, &changes, &working, &judged);
            scope.spawn(move || {
                let _done = OnDrop(|| {
                    working.fetch_sub(1, SeqCst);
                });
                let mut held = Vec::new();
                for _ in 0..share() {
                    let before = changes.load(SeqCst);
                    let outcome = limiter.try_acquire(steady(thread));
                    let still = before % 2 == 0 && changes.load(SeqCst) == before;
                    if still {
                        let limit = LIMITS[before / 2 % LIMITS.len()];
                        let room = limit.at_most().is_none_or(|limit| held.len() < limit as usize);
                        assert_eq!(outcome.is_ok(), room, "{} of {limit} open", held.len());
                        judged.fetch_add(1, SeqCst);
                    }
                    held.extend(outcome);
                    if held.len() > 5 {
                        held.clear();
                    }
                    assert_eq!(limiter.open_connections(steady(thread)) as usize, held.len());
                }
            });
        }
        while working.load(SeqCst) > 0 {
            let change = changes.fetch_add(1, SeqCst) / 2 + 1;
            let limit = LIMITS[change % LIMITS.len()];
            limiter.set_config(Config::new(limit)).unwrap();
            assert_eq!(limiter.config().max_per_client(), limit);
            changes.fetch_add(1, SeqCst);
            thread::yield_now();
        }
    });
    assert!(judged.load(SeqCst) > 0, "the limit never stood still");
}

/// Runs a closure when it is dropped, in a panic too: nobody waits for a thread that is gone.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
