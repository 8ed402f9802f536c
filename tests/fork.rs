//! A child made by `fork` while other threads are inside the library.
#![cfg(all(target_os = "linux", not(any(connlimit_model, miri))))]

use connlimit::{Config, Limiter};
use core::ffi::c_int;
use core::net::Ipv4Addr;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use core::time::Duration;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Instant;

// POSIX.1-2017.
unsafe extern "C" {
    safe fn fork() -> c_int;
    safe fn _exit(status: c_int) -> !;
    safe fn kill(process: c_int, signal: c_int) -> c_int;
    fn waitpid(process: c_int, status: *mut c_int, options: c_int) -> c_int;
}

const WNOHANG: c_int = 1;
const SIGKILL: c_int = 9;

/// Runs `act` in a child; what it exited with. A child that hangs is killed in the end.
fn in_a_child(act: impl FnOnce() -> Result<(), c_int>) -> c_int {
    let child = fork();
    assert!(child >= 0, "fork fails");
    if child == 0 {
        // Not to return into the test's own harness.
        let outcome = std::panic::catch_unwind(core::panic::AssertUnwindSafe(act));
        _exit(match outcome {
            Ok(Ok(())) => 0,
            Ok(Err(step)) => step,
            Err(_) => 100,
        });
    }
    let start = Instant::now();
    loop {
        let mut status = 0;
        // SAFETY: the status is written to a local.
        if unsafe { waitpid(child, &raw mut status, WNOHANG) } == child {
            return status;
        }
        if start.elapsed() > Duration::from_secs(60) {
            kill(child, SIGKILL);
        }
        thread::sleep(Duration::from_millis(2));
    }
}

fn crowd(limiter: &Limiter, clients: u32) -> Result<(), c_int> {
    let permits: Result<Vec<_>, _> =
        (0..clients).map(|client| limiter.try_acquire(Ipv4Addr::from_bits(client))).collect();
    permits.map(drop).map_err(|_| 10)
}

/// Step by step; the number of the step that fails.
fn child(inherited: &Limiter) -> Result<(), c_int> {
    // A limiter of its own forgets who has left, and gives the memory back.
    let own = Limiter::new(Config::new(1));
    crowd(&own, 20_000)?;
    own.reclaim();
    if own.stats().v4.reserved_bytes > 64 << 10 {
        return Err(1);
    }
    for client in 0..100_000 {
        drop(own.try_acquire(Ipv4Addr::from_bits(client)).map_err(|_| 2)?);
    }
    own.reclaim();
    if own.stats().v4.reserved_bytes > 64 << 10 {
        return Err(3);
    }
    // What it has inherited counts, and takes a new configuration.
    let client = Ipv4Addr::new(192, 0, 2, 1);
    inherited.set_config(Config::new(3)).map_err(|_| 4)?;
    let permits: Vec<_> = (0..5).filter_map(|_| inherited.try_acquire(client).ok()).collect();
    if permits.len() != 3 || inherited.open_connections(client) != 3 {
        return Err(5);
    }
    drop(permits);
    if inherited.open_connections(client) != 0 {
        return Err(6);
    }
    // And so in a second thread.
    thread::scope(|scope| scope.spawn(|| inherited.try_acquire(client).map(drop)).join())
        .map_err(|_| 7)?
        .map_err(|_| 8)?;
    Ok(())
}

#[test]
fn a_child_works_with_limiters_of_its_own_and_with_inherited_ones() {
    let limiter = Limiter::new(Config::new(2));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        // One thread is pinned all the time, others come and go and change the configuration.
        let (pinned, is_pinned) = channel();
        let (resume, resumed) = channel::<()>();
        let stays = &limiter;
        scope.spawn(move || {
            let batch = stays.batch();
            pinned.send(()).unwrap();
            resumed.recv().unwrap();
            drop(batch);
        });
        is_pinned.recv().unwrap();
        for thread in 0..2_u32 {
            let (limiter, done) = (&limiter, &done);
            scope.spawn(move || {
                while !done.load(Relaxed) {
                    for client in 0..100 {
                        drop(limiter.try_acquire(Ipv4Addr::from_bits(thread << 24 | client)));
                    }
                    limiter.set_config(Config::new(2)).unwrap();
                }
            });
        }
        let outcomes: Vec<_> = (0..20).map(|_| in_a_child(|| child(&limiter))).collect();
        done.store(true, Relaxed);
        resume.send(()).unwrap();
        assert_eq!(outcomes, [0; 20], "wait statuses: the step that failed, times 256");
    });
}

/// A batch that is open in the thread that forks goes on in the child.
#[test]
fn a_batch_goes_on_in_a_child() {
    let limiter = Limiter::new(Config::new(1));
    let mut batch = limiter.batch();
    let outcome = in_a_child(|| {
        for client in 0..20_000 {
            drop(batch.try_acquire(Ipv4Addr::from_bits(client)).map_err(|_| 1)?);
        }
        drop(batch);
        limiter.reclaim();
        if limiter.stats().v4.reserved_bytes > 1 << 20 { Err(2) } else { Ok(()) }
    });
    assert_eq!(outcome, 0, "a wait status: the step that failed, times 256");
}
