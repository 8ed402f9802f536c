//! Models of the limiter: configuration against admission. How they run is said in `table::models`.

use super::*;
use crate::table::model;
use core::net::Ipv4Addr;
use loom::thread;

const CLIENT: Ipv4Addr = Ipv4Addr::new(0, 0, 0, 0);

/// An admission that starts after `set_config` returned decides by the new configuration.
#[test]
fn set_config_meets_admission() {
    model("set_config_meets_admission", 3, 1, || {
        let limiter = Limiter::new(Config::new(2));
        let first = limiter.try_acquire(CLIENT).unwrap();
        let other = limiter.clone();
        let thread = thread::spawn(move || {
            other.set_config(Config::new(1)).unwrap();
            assert!(other.try_acquire(CLIENT).is_err(), "the new limit is reached");
        });
        let second = limiter.try_acquire(CLIENT);
        thread.join().unwrap();
        assert!(limiter.try_acquire(CLIENT).is_err());
        assert_eq!(limiter.num_open(CLIENT), 1 + u32::from(second.is_ok()), "lowering closes nobody");
        drop(first);
    });
}

/// Two writers: what admissions decide by is what `config` says, not the other one's.
#[test]
fn two_writers_leave_one_configuration() {
    model("two_writers_leave_one_configuration", 3, 2, || {
        let limiter = Limiter::new(Config::new(3));
        let other = limiter.clone();
        let thread = thread::spawn(move || other.set_config(Config::new(1)).unwrap());
        limiter.set_config(Config::new(2)).unwrap();
        thread.join().unwrap();
        let max = limiter.config().max_per_client();
        let permits: Vec<_> = std::iter::from_fn(|| limiter.try_acquire(CLIENT).ok()).take(4).collect();
        assert_eq!(permits.len(), max as usize);
    });
}

/// The last handle goes in one thread while another one's permit ends.
#[test]
fn the_last_handle_meets_a_release() {
    model("the_last_handle_meets_a_release", 3, 2, || {
        let limiter = Limiter::new(Config::new(2));
        let permit = limiter.try_acquire(CLIENT).unwrap();
        let other = limiter.clone();
        let thread = thread::spawn(move || drop((other, permit)));
        drop(limiter);
        thread.join().unwrap();
    });
}
