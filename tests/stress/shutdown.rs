//! Permits outlive their limiter, whichever of the two goes first and wherever.

use super::{THREADS, rounds, steady};
use connlimit::{Client, Config, Limiter, Permit};
use std::sync::{Barrier, mpsc};
use std::thread;

fn some_of_each_family(limiter: &Limiter, clients: u32) -> Vec<Permit> {
    (0..clients)
        .flat_map(|number| {
            let v4 = steady(number % 97);
            let v6 = core::net::Ipv6Addr::from_bits(u128::from(number) << 64 | 1);
            [Client::from(v4), Client::from(v6), Client::named(number.to_be_bytes())]
        })
        .filter_map(|client| limiter.try_acquire(client).ok())
        .collect()
}

#[test]
fn permits_are_released_after_their_limiter_is_gone() {
    let limiter = Limiter::new(Config::new(connlimit::config::Limit::Unlimited));
    let mut permits = some_of_each_family(&limiter, 2000);
    assert_eq!(permits.len(), 6000);
    drop(limiter);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            let share = permits.split_off(permits.len() - 1500);
            scope.spawn(move || drop(share));
        }
    });
    assert!(permits.is_empty());
}

#[test]
fn the_last_handle_may_go_while_permits_are_being_released() {
    for _ in 0..rounds(600) {
        let limiter = Limiter::new(Config::new(connlimit::config::Limit::Unlimited));
        let start = Barrier::new(THREADS as usize);
        thread::scope(|scope| {
            let shares: Vec<_> = (1..THREADS).map(|_| some_of_each_family(&limiter, 12)).collect();
            for share in shares {
                scope.spawn(|| {
                    start.wait();
                    drop(share);
                });
            }
            scope.spawn(|| {
                start.wait();
                drop(limiter);
            });
        });
    }
}

/// Handles, permits and the last acquires all end at once, on every thread.
#[test]
fn handles_go_on_every_thread_at_once() {
    for round in 0..rounds(600) {
        let limiter = Limiter::new(Config::new(2));
        let witness = Limiter::new(Config::new(1));
        let start = Barrier::new(THREADS as usize);
        let (give, take) = mpsc::channel();
        thread::scope(|scope| {
            for _ in 0..THREADS {
                let (limiter, witness, start, give) = (limiter.clone(), &witness, &start, give.clone());
                scope.spawn(move || {
                    start.wait();
                    let permit = limiter.try_acquire(steady(0));
                    give.send(permit.ok()).expect("the test still waits");
                    let own = some_of_each_family(&limiter, 2);
                    drop(limiter);
                    drop(own);
                    drop(witness.try_acquire(steady(0)));
                });
            }
            drop(limiter);
        });
        drop(give);
        let admitted = take.iter().flatten().count();
        assert!(admitted >= 1, "round {round}: nobody was admitted");
        assert_eq!(witness.open_connections(steady(0)), 0, "a limiter is counted for itself");
    }
}

#[test]
fn a_new_limiter_knows_nothing_of_the_permits_of_an_old_one() {
    let mut old: Vec<Permit> = Vec::new();
    for _ in 0..rounds(1000) {
        let limiter = Limiter::new(Config::new(2));
        assert_eq!(limiter.open_connections(steady(0)), 0);
        let first = limiter.try_acquire(steady(0)).expect("a new limiter is empty");
        old.clear();
        assert_eq!(limiter.open_connections(steady(0)), 1, "a permit was given back to the wrong limiter");
        old.push(limiter.try_acquire(steady(0)).expect("one of two is free"));
        assert!(limiter.try_acquire(steady(0)).is_err());
        old.push(first);
    }
}
