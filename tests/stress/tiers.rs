//! Limits that clients share: tiers and the total. None is ever exceeded, and no contest for a last place has only losers.

use super::{THREADS, Turn, operations, random, share, until};
use connlimit::{Config, Limiter, Permit, Rejected};
use core::net::Ipv4Addr;
use core::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::Mutex;
use std::thread;

const CLIENT: u32 = 2;
const NARROW: u32 = 4;
const WIDE: u32 = 6;
const TOTAL: u32 = 10;

fn strict() -> Config {
    let config = Config::new(CLIENT).with_tier(24, 56, NARROW).and_then(|config| config.with_tier(16, 48, WIDE));
    config.expect("narrow before wide").with_max_total(TOTAL)
}

/// The client `number` of 27: three in each of three narrow networks, in each of three wide ones.
fn client(number: usize) -> Ipv4Addr {
    let digit = |unit: usize| u8::try_from(number / unit % 3).expect("a digit");
    Ipv4Addr::new(10, digit(9), digit(3), digit(1))
}

/// What is certainly open, per client, network and in all: booked after a permit is had, taken off before it is dropped.
struct Books {
    clients: [AtomicU32; 27],
    narrow: [AtomicU32; 9],
    wide: [AtomicU32; 3],
    total: AtomicU32,
}

impl Books {
    const fn new() -> Self {
        Self {
            clients: [const { AtomicU32::new(0) }; 27],
            narrow: [const { AtomicU32::new(0) }; 9],
            wide: [const { AtomicU32::new(0) }; 3],
            total: AtomicU32::new(0),
        }
    }

    fn of(&self, number: usize) -> [(&AtomicU32, u32); 4] {
        [
            (&self.clients[number], CLIENT),
            (&self.narrow[number / 3], NARROW),
            (&self.wide[number / 9], WIDE),
            (&self.total, TOTAL),
        ]
    }

    fn book(&self, number: usize) {
        for (book, limit) in self.of(number) {
            let open = book.fetch_add(1, SeqCst) + 1;
            assert!(open <= limit, "client {number}: {open} open of {limit}");
        }
    }

    fn strike(&self, number: usize) {
        for (book, _) in self.of(number) {
            book.fetch_sub(1, SeqCst);
        }
    }
}

/// Nothing is left in any counter, that of the total among them.
fn settle(limiter: &Limiter) {
    let stats = limiter.stats();
    assert_eq!(stats.total.open_connections, 0);
    assert!(stats.tiers.iter().all(|tier| tier.open_connections == 0), "{:?}", stats.tiers);
    limiter
        .set_config(Config::new(connlimit::config::Limit::Unlimited).with_max_total(TOTAL))
        .expect("the total was built in");
    let all: Vec<Permit> = (0..TOTAL).map(|_| limiter.try_acquire(client(0)).expect("all places are free")).collect();
    assert_eq!(limiter.try_acquire(client(1)).expect_err("all places are taken"), Rejected::TotalLimit);
    drop(all);
}

#[test]
fn no_network_and_no_total_is_ever_above_its_limit() {
    let limiter = Limiter::new(strict());
    let books = Books::new();
    let rejections = AtomicU32::new(0);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (limiter, books, rejections) = (&limiter, &books, &rejections);
            scope.spawn(move || {
                let mut random = random(thread);
                let mut held: Vec<(usize, Permit)> = Vec::new();
                for _ in 0..share() / 2 {
                    if held.len() > 4 || (!held.is_empty() && random.u8(0..3) == 0) {
                        let (number, permit) = held.swap_remove(random.usize(..held.len()));
                        books.strike(number);
                        drop(permit);
                        continue;
                    }
                    let number = random.usize(0..27);
                    match limiter.try_acquire(client(number)) {
                        Ok(permit) => {
                            books.book(number);
                            held.push((number, permit));
                        }
                        Err(_) => _ = rejections.fetch_add(1, SeqCst),
                    }
                }
                for (number, permit) in held {
                    books.strike(number);
                    drop(permit);
                }
            });
        }
    });
    assert!(rejections.load(SeqCst) > 0, "nobody met a limit");
    settle(&limiter);
}

/// The contests differ in what is scarce: each time, so many places are left for all of them together.
#[test]
fn a_contest_for_the_last_places_has_a_winner() {
    // Who takes part, and who holds the places that are gone.
    let contests: [(&str, [usize; 4], &[usize]); 5] = [
        ("the last of a client", [0; 4], &[0]),
        ("the last of a narrow network", [0, 1, 2, 2], &[0, 1, 1]),
        ("the last of a wide network", [0, 3, 6, 6], &[0, 1, 3, 4, 7]),
        ("the last of two narrow networks and of all", [2, 2, 11, 11], &[0, 0, 1, 9, 9, 10, 18, 21, 24]),
        ("the last of all", [0, 3, 9, 18], &[1, 4, 5, 10, 13, 14, 19, 22, 23]),
    ];
    let limiter = Limiter::new(strict());
    let (turn, starts) = (Turn::new(THREADS), AtomicU32::new(0));
    let winners: Mutex<Vec<Permit>> = Mutex::default();
    for (scarce, players, gone) in contests {
        let _gone: Vec<Permit> = gone.iter().map(|&number| limiter.try_acquire(client(number)).unwrap()).collect();
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let (limiter, turn, starts, winners) = (&limiter, &turn, &starts, &winners);
                scope.spawn(move || {
                    for round in 0..operations() / 400 {
                        let player = client(players[thread as usize % players.len()]);
                        turn.wait();
                        // Whoever waited above wakes up late: where there are cores enough, start at once.
                        let started = starts.fetch_add(1, SeqCst) / THREADS;
                        (0..1000)
                            .take_while(|_| starts.load(SeqCst) < (started + 1) * THREADS)
                            .for_each(|_| core::hint::spin_loop());
                        let outcome = limiter.try_acquire(player);
                        winners.lock().unwrap().extend(outcome.ok());
                        turn.wait();
                        if thread == 0 {
                            let won = core::mem::take(&mut *winners.lock().unwrap());
                            assert_eq!(won.len(), 1, "{scarce}, round {round}");
                        }
                    }
                });
            }
        });
    }
    settle(&limiter);
}

/// Permits of all times are out at once: from before the limits were lifted, from meanwhile, from after.
#[test]
fn what_is_charged_under_changing_limits_is_given_back() {
    let limiter = Limiter::new(strict());
    let working = AtomicU32::new(THREADS);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (limiter, working) = (&limiter, &working);
            scope.spawn(move || {
                let mut random = random(thread);
                let mut held = Vec::new();
                for _ in 0..share() / 8 {
                    held.extend(limiter.try_acquire(client(random.usize(0..27))));
                    if held.len() > 8 {
                        drop(held.swap_remove(random.usize(..held.len())));
                    }
                }
                working.fetch_sub(1, SeqCst);
            });
        }
        let lifted = [
            Config::new(connlimit::config::Limit::Unlimited),
            Config::new(CLIENT).with_dry_run(true),
            Config::new(1).with_max_total(3),
            strict(),
        ];
        for config in lifted.iter().cycle() {
            limiter.set_config(config.clone()).expect("of the shape that was built");
            thread::yield_now();
            if working.load(SeqCst) == 0 {
                break;
            }
        }
    });
    until(|| limiter.stats().total.open_connections == 0, || format!("{:?}", limiter.stats()));
    settle(&limiter);
}
