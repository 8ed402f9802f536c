//! Too many admitted, or too few.

use super::{CLIENT, ROUNDS, rush};
use connlimit::{Client, Config, Limiter, Rejected, config::WhenFull};
use core::net::Ipv4Addr;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use core::time::Duration;
use std::sync::mpsc;
use std::thread;

/// Asking "is there room" and "count me" are two calls: others slip in between.
#[test]
fn a_check_and_its_count_are_one_step() {
    for round in 0..ROUNDS {
        let limiter = Limiter::new(Config::new(3));
        let admitted = rush(|| (0..4).filter_map(|_| limiter.try_acquire(CLIENT).ok()).collect());
        assert_eq!(admitted, 3, "round {round}");
    }
}

/// The count per client is exact, and the count of all clients beside it is not. Here the count of all is a prefix
/// of no bits, and as exact as any other.
#[test]
fn a_count_of_everybody_is_exact_too() {
    for round in 0..ROUNDS {
        let config = Config::new(5).with_ipv4_prefix(0).unwrap();
        let limiter = Limiter::new(config);
        let next = AtomicU32::new(0);
        let admitted = rush(|| {
            (0..4)
                .map(|_| Ipv4Addr::from_bits(next.fetch_add(0x0101_0101, SeqCst)))
                .filter_map(|addr| limiter.try_acquire(addr).ok())
                .collect()
        });
        assert_eq!(admitted, 5, "round {round}");
    }
}

/// Load, compare and add as three atomic operations: each is atomic, and together they are not.
#[test]
fn a_batch_is_as_exact_as_a_single_admission() {
    for round in 0..ROUNDS {
        let limiter = Limiter::new(Config::new(3));
        let admitted = rush(|| {
            let mut batch = limiter.batch();
            (0..4).filter_map(|_| batch.try_acquire(CLIENT).ok()).collect()
        });
        assert_eq!(admitted, 3, "round {round}");
    }
}

/// Test first and count later once more, at a limit of one and against the first connection of a client, where the
/// entry is made as well.
#[test]
fn of_many_first_connections_one_gets_in() {
    let limiter = Limiter::new(Config::new(1));
    for round in 0..ROUNDS {
        let newcomer = Client::from(Ipv4Addr::from_bits(0x0a00_0000 + round));
        let admitted = rush(|| limiter.try_acquire(newcomer).into_iter().collect());
        assert_eq!(admitted, 1, "round {round}");
        assert_eq!(limiter.open_connections(newcomer), 0, "round {round}");
    }
}

/// Greater, or greater and equal; the value before the addition, or after it: one too many or one too few.
#[test]
fn limit_n_admits_exactly_n() {
    for limit in (1..=40).chain([255, 256, 257, ROUNDS * 200]) {
        let limiter = Limiter::new(Config::new(limit));
        let mut held: Vec<_> = (0..limit).map(|_| limiter.try_acquire(CLIENT).unwrap()).collect();
        assert!(limiter.try_acquire(CLIENT).is_err(), "one more than {limit}");
        drop(held.pop());
        held.push(limiter.try_acquire(CLIENT).unwrap());
        assert!(limiter.try_acquire(CLIENT).is_err(), "one more than {limit}, after a release");
        assert_eq!(limiter.open_connections(CLIENT), limit);
    }
}

/// Clean-up after a rejection takes off what was never put on: an attacker who is rejected often enough lifts the limit.
/// Or it leaves something on, and the attacker shuts everybody out.
#[test]
fn a_rejection_changes_no_count() {
    let limiter = Limiter::new(Config::new(2));
    let held = [limiter.try_acquire(CLIENT).unwrap(), limiter.try_acquire(CLIENT).unwrap()];
    for _ in 0..ROUNDS * 30 {
        assert_eq!(limiter.try_acquire(CLIENT).unwrap_err(), Rejected::ClientLimit);
        assert_eq!(limiter.batch().try_acquire(CLIENT).unwrap_err(), Rejected::ClientLimit);
    }
    assert_eq!(limiter.open_connections(CLIENT), 2);
    drop(held);
    assert_eq!(limiter.open_connections(CLIENT), 0);
}

/// Counting before the check and taking it back after: a rejection that meets the last drop leaves an entry behind
/// that looks occupied, and a client with nothing open is rejected from then on.
#[test]
fn a_reject_that_overlaps_the_last_drop_locks_nobody_out() {
    let limiter = Limiter::new(Config::new(1));
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            // One of the three holds the slot; the others are rejected while it is given back.
            scope.spawn(|| {
                while !over.load(SeqCst) {
                    drop(limiter.try_acquire(CLIENT));
                }
            });
        }
        for _ in 0..200 {
            thread::sleep(Duration::from_micros(200));
        }
        over.store(true, SeqCst);
    });
    assert_eq!(limiter.open_connections(CLIENT), 0);
    assert!(limiter.try_acquire(CLIENT).is_ok(), "locked out with nothing open");
}

/// The entry is removed at nought while another thread is about to count on it: its connection is lost.
#[test]
fn a_connection_that_begins_as_the_last_one_ends_is_counted() {
    let limiter = Limiter::new(Config::new(2));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for turn in 0..ROUNDS * 60 {
                    let permit = limiter.try_acquire(CLIENT).expect("two slots, two threads");
                    let open = limiter.open_connections(CLIENT);
                    assert!((1..=2).contains(&open), "{open} open in turn {turn}");
                    drop(permit);
                }
            });
        }
    });
    assert_eq!(limiter.open_connections(CLIENT), 0);
}

/// One lock around all clients: whoever stops while inside stops every admission of the server.
#[test]
fn an_open_batch_stops_nobody_else() {
    let limiter = Limiter::new(Config::new(2));
    let other = limiter.clone();
    let (done, finished) = mpsc::channel();
    // The batch ends before the outcome is looked at, so that whoever waited for it can go on.
    let (mine, worked, thread) = {
        let mut batch = limiter.batch();
        let mine = batch.try_acquire(CLIENT);
        let thread = thread::spawn(move || {
            let permit = other.try_acquire(CLIENT).unwrap();
            let crowd: Vec<_> = (0..ROUNDS * 20)
                .map(|number| Ipv4Addr::from_bits(0x0a00_0000 + number))
                .map(|newcomer| other.try_acquire(newcomer).unwrap())
                .collect();
            other.set_config(Config::new(3)).unwrap();
            drop((permit, crowd));
            done.send(()).expect("the batch is still open");
        });
        (mine, finished.recv_timeout(Duration::from_secs(20)), thread)
    };
    drop(finished);
    worked.expect("another thread works while a batch is open");
    thread.join().unwrap();
    assert!(mine.is_ok());
}

/// A cache of counts drops the entry that was not used for longest, and its connections are counted from nought.
#[test]
fn an_entry_with_live_connections_is_never_evicted() {
    for when_full in [WhenFull::Reject, WhenFull::AdmitUntracked] {
        let config = Config::new(1).with_when_full(when_full);
        let limiter = Limiter::new(config.with_table_memory(1 << 20));
        let _held = limiter.try_acquire(CLIENT).unwrap();
        let crowd: Vec<_> = (0..ROUNDS * 200)
            .filter_map(|number| limiter.try_acquire(Ipv4Addr::from_bits(0x0a00_0000 + number)).ok())
            .collect();
        assert!(!crowd.is_empty());
        assert_eq!(limiter.open_connections(CLIENT), 1);
        assert_eq!(limiter.try_acquire(CLIENT).unwrap_err(), Rejected::ClientLimit);
    }
}
