//! Where a permit may be dropped: on another thread, in a panic, in the destructor of a thread's locals, or never.

#![expect(clippy::mem_forget, reason = "leaks are among what is tried here")]

use super::{THREADS, rounds, steady};
use connlimit::{Client, Config, Limiter, Permit};
use core::cell::RefCell;
use core::net::Ipv4Addr;
use core::panic::AssertUnwindSafe;
use std::panic;
use std::thread;

/// What a thread keeps in its locals; dropping it uses the limiter once more, as a connection's last log line may.
struct Locals {
    limiter: Limiter,
    permits: Vec<Permit>,
}

impl Drop for Locals {
    fn drop(&mut self) {
        let mine = Client::named(format!("{:?}", thread::current().id()));
        for _ in 0..3 {
            // Nobody can see a panic here, so a fault shows in the counts that are compared afterwards.
            self.permits.extend(self.limiter.try_acquire(mine));
            self.permits.extend(self.limiter.try_acquire(steady(0)));
        }
        self.permits.extend(self.limiter.batch().try_acquire(steady(1)));
        if self.limiter.open_connections(mine) == 3 {
            self.permits.clear();
        } else {
            self.permits.drain(..).for_each(core::mem::forget);
        }
    }
}

thread_local! {
    static LOCALS: RefCell<Option<Locals>> = const { RefCell::new(None) };
}

/// So that whatever the limiter keeps for a thread is there.
fn use_everything(limiter: &Limiter) {
    let permit = limiter.try_acquire(steady(3)).unwrap();
    let other = limiter.batch().try_acquire(steady(3)).unwrap();
    assert!(limiter.open_connections(steady(3)) >= 2);
    drop((permit, other));
}

#[test]
fn a_thread_that_ends_gives_back_what_its_locals_hold() {
    let limiter = Limiter::new(Config::new(connlimit::config::Limit::Unlimited));
    for round in 0..rounds(4000) {
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let limiter = &limiter;
                scope.spawn(move || {
                    // Locals are destroyed in the order of their first use, or against it: try both.
                    if thread % 2 == 0 {
                        use_everything(limiter);
                    }
                    LOCALS.set(Some(Locals { limiter: limiter.clone(), permits: Vec::new() }));
                    use_everything(limiter);
                    for client in 0..3 {
                        let permit = limiter.try_acquire(steady(client)).unwrap();
                        LOCALS.with_borrow_mut(|locals| {
                            locals.as_mut().unwrap().permits.push(permit);
                        });
                    }
                });
            }
        });
        // A scope waits for the closures of its threads and not for their locals.
        for client in 0..4 {
            super::until(
                || limiter.open_connections(steady(client)) == 0,
                || format!("client {client} has {} open after round {round}", limiter.open_connections(steady(client))),
            );
        }
    }
}

#[test]
fn a_panic_gives_back_what_its_stack_holds() {
    struct Quiet;
    let limiter = Limiter::new(Config::new(2 * THREADS));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..rounds(200) {
                    let outcome = panic::catch_unwind(|| {
                        let _permit = limiter.try_acquire(steady(0)).expect("two for each thread");
                        let mut batch = limiter.batch();
                        let _other = batch.try_acquire(steady(0)).expect("two for each thread");
                        panic::resume_unwind(Box::new(Quiet));
                    });
                    assert!(outcome.unwrap_err().is::<Quiet>(), "the panic of this test");
                }
            });
        }
    });
    assert_eq!(limiter.open_connections(steady(0)), 0);
}

/// A conversion is the caller's code and may panic; nothing has been counted then, and the batch goes on.
#[test]
fn a_panic_in_a_conversion_counts_nothing() {
    struct NoAddress;
    struct Fragile(Option<Ipv4Addr>);
    impl From<Fragile> for Client {
        fn from(fragile: Fragile) -> Self {
            match fragile.0 {
                Some(addr) => addr.into(),
                None => panic::resume_unwind(Box::new(NoAddress)),
            }
        }
    }
    let limiter = Limiter::new(Config::new(1));
    let mut batch = limiter.batch();
    for _ in 0..100 {
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| batch.try_acquire(Fragile(None))));
        assert!(outcome.unwrap_err().is::<NoAddress>());
        let outcome = panic::catch_unwind(|| limiter.open_connections(Fragile(None)));
        assert!(outcome.unwrap_err().is::<NoAddress>());
    }
    let permit = batch.try_acquire(Fragile(Some(steady(0)))).unwrap();
    assert!(batch.try_acquire(Fragile(Some(steady(0)))).is_err());
    drop(permit);
    assert_eq!(limiter.open_connections(steady(0)), 0);
}

#[test]
fn a_forgotten_permit_is_counted_for_ever_and_no_other_is() {
    let limiter = Limiter::new(Config::new(connlimit::config::Limit::Unlimited));
    let each = 5;
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let limiter = &limiter;
            scope.spawn(move || {
                for number in 0..rounds(20).max(each) {
                    let mine = limiter.try_acquire(steady(thread)).unwrap();
                    let shared = limiter.try_acquire(steady(THREADS)).unwrap();
                    if number < each {
                        core::mem::forget(mine);
                        core::mem::forget(shared);
                    }
                }
            });
        }
    });
    for thread in 0..THREADS {
        assert_eq!(u64::from(limiter.open_connections(steady(thread))), each);
    }
    assert_eq!(u64::from(limiter.open_connections(steady(THREADS))), each * u64::from(THREADS));
}
