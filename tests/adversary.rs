//! Peers and threads that do their worst. Each has a bound on memory or places, asserted in counts.
#![cfg(not(any(connlimit_model, miri)))]

use connlimit::{Config, Limiter, Permit, Rejected};
use core::net::Ipv4Addr;
use std::sync::mpsc::channel;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

/// One test at a time: a thread that stalls holds back the memory of every limiter in the process.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The smallest level of the IPv4 table: 512 bins of 64 bytes, and a little.
const SMALLEST: u64 = 40 << 10;

fn crowd(limiter: &Limiter, first: u32, clients: u32) -> Vec<Permit> {
    (first..first + clients).map(|client| limiter.try_acquire(Ipv4Addr::from_bits(client)).unwrap()).collect()
}

/// Addresses that agree in their low bits, or in their high ones, or count up: the keyed hash spreads them like any.
#[test]
fn chosen_addresses_find_no_common_bin() {
    let _alone = alone();
    let patterns: [fn(u32) -> u32; 4] = [|n| n, |n| n << 12, |n| n.reverse_bits(), |n| n * 0x0101];
    for pattern in patterns {
        let limiter = Limiter::new(Config::new(1));
        let permits: Vec<_> =
            (0..60_000).map(|n| limiter.try_acquire(Ipv4Addr::from_bits(pattern(n))).unwrap()).collect();
        let stats = limiter.stats().v4;
        assert_eq!(stats.clients, 60_000);
        // Six slots of 64 bytes in a bin; a bin that was aimed at would have made the table grow.
        assert!(stats.reserved_bytes < 60_000 * 128, "{} bytes", stats.reserved_bytes);
        drop(permits);
    }
}

/// A crowd comes and goes again and again, and each time one of it stays: in another level each time.
#[test]
fn a_connection_parked_in_each_level_holds_a_segment_and_stops_nothing() {
    let _alone = alone();
    let limiter = Limiter::new(Config::new(1));
    let mut parked = Vec::new();
    for round in 0..40_u32 {
        let mut permits = crowd(&limiter, round << 20, 20_000);
        parked.push(permits.swap_remove(10_000 + round as usize));
        drop(permits);
        limiter.reclaim();
        let stats = limiter.stats().v4;
        assert!(stats.levels <= 32, "{} levels", stats.levels);
        assert_eq!(stats.clients, parked.len() as u64);
        // A segment for each that stays, and the levels that newcomers need.
        let bound = (parked.len() as u64 + 64) * SMALLEST;
        assert!(stats.reserved_bytes < bound, "{} bytes for {} parked", stats.reserved_bytes, parked.len());
    }
    for round in 0..40_u32 {
        let client = Ipv4Addr::from_bits((round << 20) + 10_000 + round);
        assert_eq!(limiter.open_connections(client), 1, "round {round}");
    }
    drop(parked);
    limiter.reclaim();
    assert!(limiter.stats().v4.reserved_bytes < 8 * SMALLEST);
}

/// One client that comes and goes uses one place, however often.
#[test]
fn reconnecting_through_zero_takes_no_place() {
    let _alone = alone();
    let limiter = Limiter::new(Config::new(1));
    drop(limiter.try_acquire(Ipv4Addr::LOCALHOST).unwrap());
    let before = limiter.stats().v4;
    for _ in 0..1_000_000 {
        drop(limiter.try_acquire(Ipv4Addr::LOCALHOST).unwrap());
    }
    assert_eq!(limiter.stats().v4, before);
    assert_eq!((before.lingering, before.dead), (1, 0));
}

/// A thread that stays pinned stops the reuse of places: the table grows, to its bound and no further; clients with
/// connections notice nothing; and what was held back comes back with the thread.
#[test]
fn a_thread_stalled_while_pinned_costs_memory_up_to_the_bound() {
    let _alone = alone();
    let bound = 4 << 20;
    let limiter = Limiter::new(Config::new(2).with_table_memory(bound));
    let regular = limiter.try_acquire(Ipv4Addr::LOCALHOST).unwrap();
    let (stalled, is_stalled) = channel();
    let (resume, resumed) = channel::<()>();
    thread::scope(|scope| {
        let stalling = &limiter;
        scope.spawn(move || {
            let batch = stalling.batch();
            stalled.send(()).unwrap();
            resumed.recv().unwrap();
            drop(batch);
        });
        is_stalled.recv().unwrap();
        let mut full = 0;
        for client in 0..400_000 {
            full +=
                u32::from(limiter.try_acquire(Ipv4Addr::from_bits(client)).is_err_and(|r| r == Rejected::TableFull));
            if client % 4096 == 0 {
                drop(limiter.try_acquire(Ipv4Addr::LOCALHOST).expect("one of two"));
            }
        }
        let stats = limiter.stats().v4;
        assert!(stats.reserved_bytes <= stats.bound_bytes && stats.bound_bytes == bound as u64 / 2);
        assert!(full > 0, "with the clock standing still, four hundred thousand newcomers do not fit");
        assert_eq!(stats.open_connections, 1);
        resume.send(()).unwrap();
    });
    // Newcomers get in again once the clock has moved, and the memory goes back.
    let admitted = (0..100_000).filter(|&n| limiter.try_acquire(Ipv4Addr::from_bits(n << 8)).is_ok()).count();
    assert!(admitted > 90_000, "{admitted} of 100,000 after the stall");
    limiter.reclaim();
    assert!(limiter.stats().v4.reserved_bytes < 8 * SMALLEST, "{:?}", limiter.stats().v4);
    drop(regular);
}

/// Short-lived newcomers by the million in a table with one regular: places are used again.
#[test]
fn a_stream_of_newcomers_lives_in_a_small_table() {
    let _alone = alone();
    let limiter = Limiter::new(Config::new(1));
    let _regular = limiter.try_acquire(Ipv4Addr::LOCALHOST).unwrap();
    for client in 0..1_000_000 {
        drop(limiter.try_acquire(Ipv4Addr::from_bits(client)).unwrap());
    }
    let stats = limiter.stats().v4;
    assert!(stats.reserved_bytes < 1 << 20, "{} bytes for one client at a time", stats.reserved_bytes);
}
