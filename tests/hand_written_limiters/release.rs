//! Connections that end in other ways than by the last line of their function.

use super::CLIENT;
use connlimit::{Config, Limiter};
use core::pin::pin;
use core::task::{Context, Waker};
use std::thread;

/// A count that is taken off by hand at the end of a task: a panic on the way leaves it on.
#[test]
fn a_panic_gives_the_slot_back() {
    let limiter = Limiter::new(Config::new(1));
    for _ in 0..100 {
        let task = thread::spawn({
            let permit = limiter.try_acquire(CLIENT).expect("the slot came back");
            move || {
                let _permit = permit;
                std::panic::resume_unwind(Box::new("the connection's task fails"));
            }
        });
        assert!(task.join().is_err());
    }
    assert_eq!(limiter.open_connections(CLIENT), 0);
}

/// The line that takes the count off comes last in an async function, and a cancelled function never gets there.
#[test]
fn a_cancelled_future_gives_its_slot_back() {
    let limiter = Limiter::new(Config::new(1));
    for _ in 0..100 {
        let permit = limiter.try_acquire(CLIENT).expect("the slot came back");
        let mut connection = Box::pin(async move {
            core::future::pending::<()>().await;
            drop(permit);
        });
        let mut context = Context::from_waker(Waker::noop());
        assert!(connection.as_mut().poll(&mut context).is_pending());
        assert_eq!(limiter.open_connections(CLIENT), 1);
        drop(connection);
    }
    assert_eq!(limiter.open_connections(CLIENT), 0);
}

/// Counting inside the task that serves the connection: a burst is accepted before the first task has run.
#[test]
fn a_connection_is_counted_before_its_task_has_run() {
    let limiter = Limiter::new(Config::new(3));
    let accepted: Vec<_> = (0..10)
        .filter_map(|_| limiter.try_acquire(CLIENT).ok())
        .map(|permit| async move {
            let _permit = permit;
        })
        .collect();
    assert_eq!(accepted.len(), 3);
    assert_eq!(limiter.open_connections(CLIENT), 3);
    for task in accepted {
        let mut context = Context::from_waker(Waker::noop());
        assert!(pin!(task).poll(&mut context).is_ready());
    }
    assert_eq!(limiter.open_connections(CLIENT), 0);
}

/// Put on and taken off in the same turn of the accept loop: the limit is never reached.
#[test]
fn a_connection_is_counted_for_as_long_as_its_permit_is_held() {
    let limiter = Limiter::new(Config::new(1));
    let permit = limiter.try_acquire(CLIENT).unwrap();
    let moved = Box::new(permit);
    for _ in 0..100 {
        assert!(limiter.try_acquire(CLIENT).is_err());
    }
    let elsewhere = thread::spawn(move || moved).join().unwrap();
    assert_eq!(limiter.open_connections(CLIENT), 1);
    drop(elsewhere);
    assert!(limiter.try_acquire(CLIENT).is_ok());
}

/// The last connection of a client goes down a path of its own, which forgets to take it off or goes below nought.
#[test]
fn the_last_connection_is_taken_off_as_well() {
    let limiter = Limiter::new(Config::new(3));
    for open in (1..=3).chain(1..=2) {
        let held: Vec<_> = (0..open).map(|_| limiter.try_acquire(CLIENT).unwrap()).collect();
        for (released, permit) in (1..).zip(held) {
            drop(permit);
            assert_eq!(limiter.open_connections(CLIENT), open - released);
        }
        assert_eq!(limiter.open_connections(CLIENT), 0);
    }
}

/// A release that looks up its count anew, by the settings of the moment, takes it off somebody else.
#[test]
fn a_release_goes_to_the_count_it_was_taken_from() {
    let limiter = Limiter::new(Config::new(3).with_ipv4_prefix(24).unwrap());
    let first = limiter.try_acquire(CLIENT).unwrap();
    limiter.set_config(Config::new(connlimit::config::Limit::Unlimited)).unwrap();
    let second = limiter.try_acquire(CLIENT).unwrap();
    limiter.set_config(Config::new(1)).unwrap();
    drop(first);
    assert_eq!(limiter.open_connections(CLIENT), 1);
    assert!(limiter.try_acquire(CLIENT).is_err());
    drop(second);
    assert_eq!(limiter.open_connections(CLIENT), 0);
}
