//! Models of the limiter: configuration against admission. How they run is said in `table::models`.

use super::*;
use crate::table::model;
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
        assert_eq!(limiter.open_connections(CLIENT), 1 + u32::from(second.is_ok()), "lowering closes nobody");
        drop(first);
    });
}

/// The same where the whole configuration is read, while it is replaced and dropped.
#[test]
fn set_config_meets_an_admission_by_policy() {
    model("set_config_meets_an_admission_by_policy", 3, 1, || {
        let limiter = Limiter::new(Config::new(2).with_dry_run(true));
        let other = limiter.clone();
        let thread = thread::spawn(move || {
            other.set_config(Config::new(1).with_soft_percent(50)).unwrap();
        });
        let first = limiter.try_acquire_with_usage(CLIENT).unwrap();
        thread.join().unwrap();
        assert!(limiter.try_acquire(CLIENT).is_err(), "the new limit is reached");
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
        assert_eq!(permits.len(), max.count() as usize);
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

/// All or nothing: two clients compete for the last place of the total, each with its own place in hand. One gets it,
/// the other one gives back what it took, and neither is locked out.
#[test]
fn two_clients_meet_at_the_total() {
    model("two_clients_meet_at_the_total", 3, 1, || {
        let limiter = Limiter::new(Config::new(1).with_max_total(1));
        let other = limiter.clone();
        let neighbour = Ipv4Addr::new(0, 0, 0, 2);
        let thread = thread::spawn(move || other.try_acquire(neighbour).ok());
        let mine = limiter.try_acquire(CLIENT).ok();
        let theirs = thread.join().unwrap();
        assert!(mine.is_some() != theirs.is_some(), "one place, one permit");
        assert_eq!(limiter.open_connections(CLIENT), u32::from(mine.is_some()));
        assert_eq!(limiter.open_connections(neighbour), u32::from(theirs.is_some()));
        drop((mine, theirs));
        drop(limiter.try_acquire(CLIENT).expect("all places are free again"));
    });
}

/// The same with a network in between: who fails at the total gives its network's place back as well.
#[test]
#[cfg(connlimit_ideal)] // too large a world for the real epochs
fn two_clients_of_a_network_meet_at_the_total() {
    model("two_clients_of_a_network_meet_at_the_total", 2, 1, || {
        let limiter = Limiter::new(Config::new(1).with_tier(24, 48, 1).unwrap().with_max_total(1));
        let other = limiter.clone();
        let thread = thread::spawn(move || other.try_acquire(Ipv4Addr::new(0, 0, 0, 2)).ok());
        let mine = limiter.try_acquire(Ipv4Addr::new(0, 0, 1, 1)).ok();
        let theirs = thread.join().unwrap();
        assert!(mine.is_some() != theirs.is_some(), "one place, one permit");
        drop((mine, theirs));
        drop(limiter.try_acquire(Ipv4Addr::new(0, 0, 0, 3)).expect("all places are free again"));
        drop(limiter.try_acquire(Ipv4Addr::new(0, 0, 1, 3)).expect("all places are free again"));
    });
}

/// Lowering the total closes nobody, and what was charged under the old configuration is given back under the new.
#[test]
fn set_config_meets_a_charge() {
    model("set_config_meets_a_charge", 3, 1, || {
        let limiter = Limiter::new(Config::new(2).with_max_total(2));
        let other = limiter.clone();
        let thread = thread::spawn(move || other.set_config(Config::new(crate::config::Limit::Unlimited)).unwrap());
        let permit = limiter.try_acquire(CLIENT).unwrap();
        thread.join().unwrap();
        drop(permit);
        limiter.set_config(Config::new(1).with_max_total(1)).unwrap();
        drop(limiter.try_acquire(CLIENT).expect("all places are free again"));
    });
}
