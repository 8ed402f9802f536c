//! The audit of permits that are out.
#![cfg(not(any(connlimit_model, miri)))] // Miri would rightly report the leaks that are made here.
#![allow(clippy::std_instead_of_core, reason = "a test has the standard library")]

use connlimit::{Client, Config, Limiter, config::WhenFull};
use std::{net::Ipv4Addr, panic::Location, thread};

const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

fn lines(limiter: &Limiter) -> Vec<(Client, u32)> {
    let this_file = |at: &Location<'_>| at.file().ends_with("tests/audit.rs");
    let audit = limiter.audit();
    assert!(audit.windows(2).all(|pair| pair[0].age >= pair[1].age), "the oldest first");
    audit
        .iter()
        .inspect(|permit| assert!(this_file(permit.taken_at), "{} is not where a test takes permits", permit.taken_at))
        .map(|permit| (permit.client, permit.taken_at.line()))
        .collect()
}

#[test]
fn each_way_to_a_permit_names_the_line_of_its_caller() {
    let limiter = Limiter::new(Config::new(connlimit::config::Limit::Unlimited).with_audit(true));
    let client = Client::from(CLIENT);
    let first = limiter.try_acquire(CLIENT).unwrap();
    let mut expected = vec![(client, line!() - 1)];
    let mut batch = limiter.batch();
    let _second = batch.try_acquire(CLIENT).unwrap();
    expected.push((client, line!() - 1));
    let _third = limiter.try_acquire_with_usage(CLIENT).unwrap();
    expected.push((client, line!() - 1));
    let _fourth = limiter.try_acquire_peer(Some(CLIENT)).unwrap();
    expected.push((client, line!() - 1));
    assert_eq!(lines(&limiter), expected);

    drop(first);
    expected.remove(0);
    assert_eq!(lines(&limiter), expected);
    assert_eq!(limiter.audit_mismatches(), []);
}

#[test]
fn a_permit_that_is_forgotten_stays_on_the_list() {
    let limiter = Limiter::new(Config::new(2).with_audit(true));
    #[expect(clippy::mem_forget, reason = "the leak to be found")]
    std::mem::forget(limiter.try_acquire(CLIENT).unwrap());
    let line = line!() - 1;
    drop(limiter.try_acquire(CLIENT).unwrap());
    assert_eq!(lines(&limiter), [(CLIENT.into(), line)]);
    assert_eq!(limiter.audit_mismatches(), [], "it is leaked, and counted");
}

#[test]
fn what_was_rejected_or_is_not_counted_is_not_entered() {
    let limiter = Limiter::new(Config::new(1).with_audit(true));
    let _permit = limiter.try_acquire(CLIENT).unwrap();
    assert!(limiter.try_acquire(CLIENT).is_err());
    assert!(limiter.try_acquire_with_usage(CLIENT).is_err());
    assert_eq!(limiter.audit().len(), 1);

    let config = Config::new(1).with_table_memory(1 << 20).with_when_full(WhenFull::AdmitUntracked).with_audit(true);
    let full = Limiter::new(config);
    let permits: Vec<_> = (0..50_000_u32).map(|addr| full.try_acquire(Ipv4Addr::from(addr)).unwrap()).collect();
    let tracked = permits.iter().filter(|permit| permit.is_tracked()).count();
    assert!((1..permits.len()).contains(&tracked), "{tracked} of {} are tracked", permits.len());
    assert_eq!(full.audit().len(), tracked);
    assert_eq!(full.audit_mismatches(), []);
}

#[test]
fn networks_and_tiers_agree_with_the_permits_at_rest() {
    let config = Config::new(connlimit::config::Limit::Unlimited).with_ipv4_prefix(24).unwrap().with_audit(true);
    let limiter = Limiter::new(config.with_tier(16, 48, connlimit::config::Limit::Unlimited).unwrap());
    thread::scope(|scope| {
        for thread in 0..3 {
            let limiter = &limiter;
            scope.spawn(move || {
                let mut kept = Vec::new();
                for turn in 0..2_000 {
                    let permit = limiter.try_acquire(Ipv4Addr::from(turn * 37 % 5_000)).unwrap();
                    if turn % 5 == thread {
                        kept.push(permit);
                    }
                }
                // Given to another thread to drop, or kept for good.
                let other = kept.split_off(kept.len() / 2);
                scope.spawn(move || drop(other));
                kept.into_iter().for_each(std::mem::forget);
            });
        }
    });
    assert!(!limiter.audit().is_empty());
    assert_eq!(limiter.audit_mismatches(), []);
}

#[test]
fn permits_that_outlive_their_limiter_are_no_trouble() {
    let limiter = Limiter::new(Config::new(1).with_audit(true));
    let permit = limiter.try_acquire(CLIENT).unwrap();
    drop(limiter);
    drop(permit);
}

#[test]
fn the_feature_alone_notes_nothing() {
    let limiter = Limiter::new(Config::new(2));
    let _early = limiter.try_acquire(CLIENT).unwrap();
    assert_eq!(limiter.audit(), []);
    limiter.update_config(|config| config.with_audit(true)).unwrap();
    let _late = limiter.try_acquire(CLIENT).unwrap();
    assert_eq!(limiter.audit().len(), 1, "the one that was taken since");
}
