//! A table at its bound: what it gives back, whom it rejects, and what stays.
#![cfg(not(any(connlimit_model, miri)))]

use connlimit::config::ConfigError;
use connlimit::{Config, Limiter, Permit, Rejected};
use core::net::Ipv4Addr;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

/// One test at a time: what is pinned in one holds back the memory of every other.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A segment of 64 bins of 64 bytes, and a little.
const SEGMENT: u64 = 4160;
/// With all overflow blocks.
const SEGMENT_AT_MOST: u64 = SEGMENT + 64 * 64;
/// The smallest IPv4 table: one segment and its level.
const SMALLEST: u64 = SEGMENT + 128;

fn limiter(mib: usize) -> Limiter {
    Limiter::new(Config::new(1).with_table_memory(mib << 20))
}

fn reserved(limiter: &Limiter) -> u64 {
    limiter.stats().v4.reserved_bytes
}

/// More clients than fit, one after the other; those that got in.
fn fill(limiter: &Limiter, first: u32, clients: u32) -> Vec<Permit> {
    let mut held = Vec::new();
    let mut full = 0;
    for client in first..first + clients {
        match limiter.try_acquire(Ipv4Addr::from_bits(client)) {
            Ok(permit) => held.push(permit),
            Err(rejected) => {
                assert_eq!(rejected, Rejected::TableFull);
                full += 1;
            }
        }
    }
    assert!(full > clients / 20, "it is not full: {} held, {full} rejected", held.len());
    held
}

/// Clients for a bound of so many MiB, some more than fit.
fn too_many(mib: usize) -> u32 {
    u32::try_from(mib).unwrap() * 70_000
}

/// The ways for a table to have been full.
type Crowd = fn(&Limiter, usize);

const CROWDS: [(&str, Crowd); 3] = [
    ("in one go", |limiter, mib| drop(fill(limiter, 0, too_many(mib)))),
    ("first in, first out", |limiter, mib| {
        let (mut queue, most) = (VecDeque::new(), 60_000 * mib);
        let mut full = 0;
        for client in 0..too_many(mib) * 3 {
            match limiter.try_acquire(Ipv4Addr::from_bits(client)) {
                Ok(permit) => queue.push_back(permit),
                Err(_) => full += 1,
            }
            if queue.len() > most || client % 3 == 0 && queue.len() > most / 3 {
                queue.pop_front();
            }
        }
        assert!(full > 0, "it was never full");
    }),
    ("with a third leaving in between", |limiter, mib| {
        let mut all = fill(limiter, 0, too_many(mib));
        all.drain(..all.len() / 3);
        limiter.reclaim();
        all.extend(fill(limiter, 1 << 28, too_many(mib)));
    }),
];

fn a_full_table_gives_back(mib: usize) {
    for (how, crowd) in CROWDS {
        let limiter = limiter(mib);
        crowd(&limiter, mib);
        assert!(reserved(&limiter) > 8 * SMALLEST, "filled {how}");
        limiter.reclaim();
        assert!(reserved(&limiter) < 8 * SMALLEST, "{mib} MiB, filled {how}, reclaimed: {:?}", limiter.stats().v4);

        let limiter = self::limiter(mib);
        crowd(&limiter, mib);
        let newcomers = too_many(mib) * 20;
        let enough = (0..newcomers).find(|&client| {
            drop(limiter.try_acquire(Ipv4Addr::from_bits(9 << 28 | client)));
            client % 4096 == 0 && limiter.stats().v4.reserved_bytes < 8 * SMALLEST
        });
        assert!(enough.is_some(), "{mib} MiB, filled {how}, {newcomers} newcomers: {:?}", limiter.stats().v4);
    }
}

#[test]
fn a_table_that_was_full_gives_its_memory_back() {
    let _alone = alone();
    a_full_table_gives_back(1);
    a_full_table_gives_back(if cfg!(debug_assertions) { 2 } else { 16 });
}

#[test]
#[ignore = "tens of millions of clients"]
fn a_large_table_that_was_full_gives_its_memory_back() {
    let _alone = alone();
    a_full_table_gives_back(256);
}

/// Nobody calls `reclaim`, and nobody is admitted whose insert would drain in passing: those who are rejected do it. What
/// comes back is whole segments of older levels, so the clients of whole levels leave: the first large level has up to a
/// quarter of all. Places in a segment beside clients that stay are found again when those leave as well.
#[test]
fn the_places_of_those_who_left_are_found_again() {
    let _alone = alone();
    for mib in [1, 4] {
        let limiter = limiter(mib);
        let mut all = fill(&limiter, 0, too_many(mib));
        // The first came when the oldest levels were the newest.
        let leave = all.len() * 30 / 100;
        all.drain(..leave);
        let newcomers = (1 << 28..(1 << 28) + too_many(mib) * 20).map(Ipv4Addr::from_bits);
        let admitted: Vec<_> = newcomers.filter_map(|client| limiter.try_acquire(client).ok()).collect();
        assert!(
            admitted.len() > leave / 2,
            "{mib} MiB: {leave} left, {} came, {:?}",
            admitted.len(),
            limiter.stats().v4
        );
    }
}

#[test]
fn nobody_is_rejected_for_want_of_room_while_nobody_has_a_connection() {
    let _alone = alone();
    for preallocate in [false, true] {
        let limiter = Limiter::new(Config::new(1).with_table_memory(2 << 20).with_preallocation(preallocate));
        drop(fill(&limiter, 0, too_many(2)));
        let mut batch = limiter.batch();
        for client in 0..300_000 {
            drop(batch.try_acquire(Ipv4Addr::from_bits(1 << 28 | client)).expect("by itself in a batch"));
        }
        drop(batch);
        drop(fill(&limiter, 2 << 28, too_many(2)));
        for client in 0..300_000 {
            drop(limiter.try_acquire(Ipv4Addr::from_bits(3 << 28 | client)).expect("by itself"));
        }
    }
}

/// A bin has 13 places and each client one bin, chosen by the hash: of 65,000 bins one is full when the table is by about
/// a quarter. What is documented is a fifth.
#[test]
fn a_preallocated_table_rejects_nobody_below_a_fifth() {
    let _alone = alone();
    // One table in some hundred has a bin that is full a little earlier: each has a secret hash of its own.
    let mut loads: Vec<_> = (0..5)
        .map(|_| {
            let limiter = Limiter::new(Config::new(1).with_table_memory(16 << 20).with_preallocation(true));
            let stats = limiter.stats().v4;
            assert!(stats.reserved_bytes <= stats.bound_bytes && stats.reserved_bytes > stats.bound_bytes / 20 * 19);
            let all = (0..).map(Ipv4Addr::from_bits).map_while(|client| limiter.try_acquire(client).ok());
            (all.collect::<Vec<_>>().len() as u64, stats.slots)
        })
        .collect();
    loads.sort_unstable();
    let (held, slots) = loads[2];
    assert!(held > slots / 5, "{loads:?}");
}

#[test]
fn parked_connections_hold_their_segments_and_nothing_else() {
    let _alone = alone();
    for (crowd, parked, from) in [(30_000, 6, 5_000), (60_000, 22, 20_000)] {
        let limiter = Limiter::new(Config::new(1));
        let mut held: Vec<_> =
            (0..crowd).map(|client| limiter.try_acquire(Ipv4Addr::from_bits(client)).unwrap()).collect();
        let stay: Vec<_> = held.drain(from..from + parked).collect();
        drop(held);
        limiter.reclaim();
        let stats = limiter.stats().v4;
        // Directories have eight bytes per segment, and there is a list.
        let lists = 2048 + stats.levels * 128;
        let most = SMALLEST + parked as u64 * SEGMENT_AT_MOST + lists;
        assert!(stats.reserved_bytes <= most, "{parked} of {crowd} stay, {most} bytes at most: {stats:?}");
        assert_eq!(stats.open_connections, stay.len() as u64);
    }
}

#[test]
fn a_batch_at_the_end_of_a_thread_is_a_batch() {
    struct AtExit(Limiter);
    impl Drop for AtExit {
        fn drop(&mut self) {
            let mut batch = self.0.batch();
            for _ in 0..300 {
                drop(batch.try_acquire(Ipv4Addr::LOCALHOST).unwrap());
            }
        }
    }
    thread_local!(static AT_EXIT: core::cell::RefCell<Option<AtExit>> = const { core::cell::RefCell::new(None) });
    let _alone = alone();
    let limiter = Limiter::new(Config::new(1));
    let mine = limiter.clone();
    thread::spawn(move || {
        // Before the library's own thread-local, so its destructor comes after.
        AT_EXIT.with_borrow_mut(|at_exit| *at_exit = Some(AtExit(mine.clone())));
        drop(mine.try_acquire(Ipv4Addr::LOCALHOST).unwrap());
    })
    .join()
    .unwrap();
    assert_eq!(limiter.open_connections(Ipv4Addr::LOCALHOST), 0);
}

#[test]
fn memory_that_nobody_has_is_an_error() {
    let _alone = alone();
    for bytes in [usize::MAX, usize::MAX - 4096, isize::MAX.unsigned_abs(), 1 << 50] {
        let config = Config::new(1).with_table_memory(bytes);
        // As a bound only it is as good as none.
        drop(Limiter::new(config.clone()).try_acquire(Ipv4Addr::LOCALHOST).unwrap());
        let error = Limiter::try_new(config.with_preallocation(true)).unwrap_err();
        let ConfigError::NoMemory { bytes: asked } = error else { panic!("{error:?}") };
        assert!(asked > bytes / 8 && error.to_string().contains(&asked.to_string()), "{error}");
    }
}

/// Four threads keep a table at its bound, each with clients of its own, so that it knows every answer: a client with one
/// connection gets its second, is then at its limit, and is never told that there is no room. Only a newcomer may be.
fn churn_at_the_bound(operations: u64) {
    const THREADS: u64 = 4;
    let limiter = Limiter::new(Config::new(2).with_table_memory(1 << 20));
    let full = core::sync::atomic::AtomicU64::new(0);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (limiter, full) = (&limiter, &full);
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(thread);
                let address = |client: u32| Ipv4Addr::from_bits(u32::try_from(thread).unwrap() << 28 | client);
                let (mut held, mut newest): (Vec<(u32, Vec<Permit>)>, u32) = (Vec::new(), 0);
                for operation in 0..operations / THREADS {
                    // It grows to more than fits, and in long waves it shrinks to little.
                    let most = if operation >> 18 & 3 == 3 { 500 } else { 20_000 };
                    if held.len() > most || random.u8(..) < 100 && !held.is_empty() {
                        let index = random.usize(..held.len());
                        held[index].1.pop();
                        if held[index].1.is_empty() {
                            held.swap_remove(index);
                        }
                    } else if random.u8(..) < 40 && !held.is_empty() {
                        let index = random.usize(..held.len());
                        let (client, permits) = &mut held[index];
                        match limiter.try_acquire(address(*client)) {
                            Ok(permit) => permits.push(permit),
                            Err(rejected) => assert_eq!((rejected, permits.len()), (Rejected::ClientLimit, 2)),
                        }
                        assert!(permits.len() <= 2, "client {client} has {}", permits.len());
                    } else {
                        newest = (newest + 1) % (1 << 28);
                        let client = newest;
                        match limiter.try_acquire(address(client)) {
                            Ok(permit) => held.push((client, vec![permit])),
                            Err(rejected) => {
                                assert_eq!(rejected, Rejected::TableFull);
                                full.fetch_add(1, core::sync::atomic::Ordering::Relaxed);
                            }
                        }
                    }
                }
                for (client, permits) in held {
                    assert_eq!(limiter.open_connections(address(client)) as usize, permits.len());
                    drop(permits);
                    assert_eq!(limiter.open_connections(address(client)), 0);
                }
            });
        }
    });
    assert!(full.into_inner() > 0, "it was never full");
    limiter.reclaim();
    let stats = limiter.stats().v4;
    assert!(stats.open_connections == 0 && stats.reserved_bytes < 8 * SMALLEST, "{stats:?}");
}

#[test]
fn whoever_is_in_a_full_table_gets_exact_answers() {
    let _alone = alone();
    churn_at_the_bound(2_000_000);
}

/// `SOAK_OPERATIONS` says how many.
#[test]
#[ignore = "a thousand million operations"]
fn a_soak_at_the_bound() {
    let _alone = alone();
    let operations = std::env::var("SOAK_OPERATIONS").ok().and_then(|operations| operations.parse().ok());
    churn_at_the_bound(operations.unwrap_or(1_000_000_000));
}
