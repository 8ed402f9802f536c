//! Changing a running limiter: what a change does not name stays as it is, and no call lifts protection unasked.

use connlimit::config::{ConfigError, Limit};
use connlimit::{Client, Config, Limiter, Rejected};
use std::net::Ipv4Addr;
use std::thread;

fn client(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, host)
}

fn strict() -> Config {
    Config::new(2).with_tier(24, 48, 3).unwrap().with_max_total(4).with_soft_percent(50).with_counting(true)
}

#[test]
fn the_limit_changes_alone() {
    let limiter = Limiter::new(strict());
    limiter.update_config(|config| config.with_max_per_client(1)).unwrap();
    assert_eq!(*limiter.config(), {
        let built = Limiter::new(strict());
        Config::clone(&built.config()).with_max_per_client(1)
    });
    let _one = limiter.try_acquire(client(1)).unwrap();
    assert_eq!(limiter.try_acquire(client(1)).unwrap_err(), Rejected::ClientLimit);
    let _more = [2, 3].map(|host| limiter.try_acquire(client(host)).unwrap());
    assert_eq!(limiter.try_acquire(client(4)).unwrap_err(), Rejected::TierLimit, "the tier is in force still");
    let _named = limiter.try_acquire(Client::named("a")).unwrap();
    assert_eq!(limiter.try_acquire(Client::named("b")).unwrap_err(), Rejected::TotalLimit, "and so is the total");
}

#[test]
fn tiers_and_the_total_change_and_go_one_by_one() {
    let limiter = Limiter::new(strict());
    limiter.update_config(|config| config.with_tier(24, 48, 1)).unwrap();
    let _one = limiter.try_acquire(client(1)).unwrap();
    assert_eq!(limiter.try_acquire(client(2)).unwrap_err(), Rejected::TierLimit);
    limiter.update_config(|config| config.without_tier(24, 48)).unwrap();
    let _more = [2, 3, 4].map(|host| limiter.try_acquire(client(host)).unwrap());
    assert_eq!(limiter.try_acquire(client(5)).unwrap_err(), Rejected::TotalLimit);
    limiter.update_config(|config| config.without_max_total()).unwrap();
    let _beyond = limiter.try_acquire(client(5)).unwrap();
    limiter.update_config(|config| config.with_max_total(5)).unwrap();
    assert_eq!(limiter.try_acquire(client(6)).unwrap_err(), Rejected::TotalLimit, "it was counted all the time");
}

#[test]
fn a_change_that_fails_changes_nothing() {
    let limiter = Limiter::new(strict());
    let before = limiter.config();
    assert_eq!(limiter.update_config(|config| config.with_tier(8, 8, 1)), Err(ConfigError::FixedAtBuild("tiers")));
    assert_eq!(limiter.update_config(|config| config.with_ipv4_prefix(33)), Err(ConfigError::Ipv4Prefix(33)));
    let error = limiter.update_config(|config| config.with_ipv4_prefix(24)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "ipv4_prefix is fixed when the limiter is built: to change it, restart with a new limiter"
    );
    assert_eq!(limiter.config(), before);
}

/// Each of many threads changes a part of its own again and again: the last change of each is there in the end.
#[test]
fn two_writers_lose_nothing() {
    const TURNS: u32 = if cfg!(miri) { 5 } else { 500 };
    let limiter = Limiter::new(strict());
    thread::scope(|scope| {
        for writer in 0..3 {
            let limiter = &limiter;
            scope.spawn(move || {
                for turn in 1..=TURNS {
                    limiter
                        .update_config(|config| match writer {
                            0 => config.with_max_per_client(turn),
                            1 => config.with_max_total(turn),
                            _ => config.with_tier(24, 48, turn).unwrap(),
                        })
                        .unwrap();
                }
            });
        }
    });
    let config = limiter.config();
    assert_eq!(config.max_per_client(), TURNS);
    assert_eq!(config.max_total(), Some(Limit::AtMost(TURNS)));
    assert_eq!(config.tiers()[0].limit(), TURNS);
}

#[test]
fn a_change_may_change_the_limiter_that_it_is_about() {
    let limiter = Limiter::new(Config::new(1));
    let mut calls = 0;
    limiter
        .update_config(|config| {
            calls += 1;
            if calls == 1 {
                limiter.update_config(|config| config.with_counting(true)).unwrap();
            }
            config.with_max_per_client(2)
        })
        .unwrap();
    assert_eq!(calls, 2, "once more, on what the inner change has set");
    assert_eq!(limiter.config().max_per_client(), 2);
    assert!(limiter.config().counting());
}

#[test]
fn a_limit_of_zero_admits_nothing() {
    let limiter = Limiter::new(Config::new(0));
    assert_eq!(limiter.try_acquire(client(1)).unwrap_err(), Rejected::ClientLimit);
    assert_eq!(limiter.batch().try_acquire(Client::named("a")).unwrap_err(), Rejected::ClientLimit);
    assert_eq!(limiter.stats().total.slots, 0, "and takes no place");
    let tiers = Limiter::new(Config::new(5).with_tier(24, 48, 0).unwrap());
    assert_eq!(tiers.try_acquire(client(1)).unwrap_err(), Rejected::TierLimit);
    let total = Limiter::new(Config::new(5).with_max_total(0));
    assert_eq!(total.try_acquire(client(1)).unwrap_err(), Rejected::TotalLimit);
    total.update_config(|config| config.with_max_total(1)).unwrap();
    assert!(total.try_acquire(client(1)).is_ok());
}
