//! Crowds make the table grow and shrink; the clients that were there before must not notice.

use super::ledger::{Booked, Ledger};
use super::{THREADS, bounds, operations, random, rounds, share};
use connlimit::{Client, Config, Limiter, Permit};
use core::net::{Ipv4Addr, Ipv6Addr};
use core::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

/// Newcomers of one wave: far more than a new table has room for.
const WAVE: u32 = if cfg!(miri) { 200 } else { 20_000 };

/// Waves of newcomers until `over`, each gone before the next; every newcomer is counted once, and then not at all.
fn waves(limiter: &Limiter, over: &AtomicBool, newcomer: fn(u32, u32) -> Client) {
    let mut wave = 0;
    while !over.load(SeqCst) || wave == 0 {
        let mut permits: Vec<Permit> = Vec::new();
        for number in 0..WAVE {
            let permit = limiter.try_acquire(newcomer(wave, number));
            permits.push(permit.expect("a newcomer is admitted"));
        }
        for number in 0..WAVE {
            assert_eq!(limiter.open_connections(newcomer(wave, number)), 1);
        }
        // From both ends and then the middle, so that no part of the table empties first.
        while let Some(last) = permits.pop() {
            drop(last);
            if permits.len() > WAVE as usize / 2 {
                drop(permits.swap_remove(0));
            }
        }
        for number in 0..WAVE {
            assert_eq!(limiter.open_connections(newcomer(wave, number)), 0);
        }
        wave += 1;
    }
}

fn v4_newcomer(wave: u32, number: u32) -> Client {
    Ipv4Addr::from_bits(0x0a00_0000 | (wave % 64) << 18 | number).into()
}

fn v6_newcomer(wave: u32, number: u32) -> Client {
    Ipv6Addr::from_bits(u128::from(0x2001_0db8_u32) << 96 | u128::from(wave) << 64 | u128::from(number)).into()
}

fn named_newcomer(wave: u32, number: u32) -> Client {
    Client::named([wave.to_be_bytes(), number.to_be_bytes()].concat())
}

fn beside_a_crowd(newcomer: fn(u32, u32) -> Client) {
    let limiter = Limiter::new(Config::new(3));
    let ledger = Ledger::new(&limiter, 16, 3);
    let parked: Vec<Booked> = (0..8).filter_map(|client| ledger.acquire(client)).collect();
    assert_eq!(parked.len(), 8);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| waves(&limiter, &over, newcomer));
        // In a thread of its own, so that a failure here still lets the crowd end.
        let steady = scope.spawn(|| bounds::acquire_here_release_there(&ledger, operations() / 2));
        let outcome = steady.join();
        over.store(true, SeqCst);
        outcome.expect("the steady clients were counted exactly");
    });
    ledger.settle();
    parked.into_iter().for_each(Booked::release);
    ledger.settle();
}

#[test]
fn a_crowd_of_ipv4_clients_disturbs_no_count() {
    beside_a_crowd(v4_newcomer);
}

#[test]
fn a_crowd_of_ipv6_clients_disturbs_no_count() {
    beside_a_crowd(v6_newcomer);
}

#[test]
fn a_crowd_of_named_clients_disturbs_no_count() {
    beside_a_crowd(named_newcomer);
}

/// Each client of a crowd is new to all threads at once, so first admissions of one client race.
#[test]
fn newcomers_that_arrive_on_every_thread_at_once_have_one_count() {
    let limiter = Limiter::new(Config::new(1));
    let newcomers = share().min(1 << 18);
    let permits: Vec<Permit> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let limiter = &limiter;
                scope.spawn(move || {
                    (0..newcomers)
                        .filter_map(|number| limiter.try_acquire(v4_newcomer(0, number)).ok())
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(permits.len(), newcomers as usize, "one permit for each client");
    drop(permits);
    for number in 0..newcomers {
        assert_eq!(limiter.open_connections(v4_newcomer(0, number)), 0);
    }
}

/// Batches keep what they found for a while; other threads grow the table under them.
#[test]
fn batches_stay_exact_while_the_table_grows_under_them() {
    let limiter = Limiter::new(Config::new(2));
    let ledger = Ledger::new(&limiter, 4, 2);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| waves(&limiter, &over, v4_newcomer));
        let batches: Vec<_> = (0..2)
            .map(|thread| {
                let (limiter, ledger) = (&limiter, &ledger);
                scope.spawn(move || {
                    let mut random = random(thread);
                    for _ in 0..rounds(64) {
                        let mut held = Vec::new();
                        {
                            let mut batch = limiter.batch();
                            for _ in 0..16 {
                                held.extend(ledger.book(random.u32(0..4), |addr| batch.try_acquire(addr).ok()));
                            }
                        }
                        held.into_iter().for_each(Booked::release);
                    }
                })
            })
            .collect();
        let outcomes: Vec<_> = batches.into_iter().map(thread::ScopedJoinHandle::join).collect();
        over.store(true, SeqCst);
        assert!(outcomes.iter().all(Result::is_ok), "a batch lost count");
    });
    ledger.settle();
}
