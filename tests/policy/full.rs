//! What happens when a table is at its memory bound, by family and by tier.
#![cfg(not(miri))] // Tens of thousands of clients are too many for it.

use connlimit::{
    Client, Config, Limiter, Permit, Rejected,
    config::{Family, Limit, WhenFull},
};
use std::net::{Ipv4Addr, Ipv6Addr};

/// More than a table of a mebibyte can hold.
const CROWD: u32 = 200_000;

fn client(family: Family, index: u32) -> Client {
    match family {
        Family::Ipv4 => Ipv4Addr::from_bits(0x0a00_0000 + index).into(),
        Family::Ipv6 => Ipv6Addr::from_bits((0x2001_0db8_u128 << 96) | u128::from(index)).into(),
        _ => Client::named(index.to_be_bytes()),
    }
}

fn small(max_per_client: impl Into<Limit>) -> Config {
    Config::new(max_per_client).with_table_memory(1 << 20)
}

/// Fills the table of a family: those admitted, and the first answer to somebody whom it had no room for.
fn fill(limiter: &Limiter, family: Family) -> (Vec<Permit>, Result<Permit, Rejected>) {
    let mut held = Vec::new();
    for index in 0..CROWD {
        match limiter.try_acquire(client(family, index)) {
            Ok(permit) if permit.is_tracked() => held.push(permit),
            other => return (held, other),
        }
    }
    panic!("{family:?}: room for {CROWD} clients in a mebibyte");
}

#[test]
fn each_family_has_its_own_answer_to_a_full_table() {
    let families = [Family::Ipv4, Family::Ipv6, Family::Named];
    for lenient in families {
        // The general answer is overruled for one family, in both directions.
        for (general, special) in
            [(WhenFull::Reject, WhenFull::AdmitUntracked), (WhenFull::AdmitUntracked, WhenFull::Reject)]
        {
            let config = small(2).with_counting(true).with_when_full(general).with_when_full_for(lenient, special);
            let limiter = Limiter::new(config);
            for family in families {
                let decided = if family == lenient { special } else { general };
                assert_eq!(limiter.config().when_full_for(family), decided);
                let before = limiter.stats().decisions;
                let (held, answer) = fill(&limiter, family);
                let after = limiter.stats().decisions;
                assert_eq!(after.admitted - before.admitted, held.len() as u64);
                let told = (
                    after.rejected.table_full - before.rejected.table_full,
                    after.admitted_untracked - before.admitted_untracked,
                );
                match (decided, answer) {
                    (WhenFull::Reject, Err(Rejected::TableFull)) => assert_eq!(told, (1, 0)),
                    (WhenFull::AdmitUntracked, Ok(permit)) => {
                        assert_eq!((permit.is_tracked(), told), (false, (0, 1)), "{family:?}");
                    }
                    (_, answer) => panic!("{family:?}, {decided:?}: {answer:?}"),
                }
                // Whoever is in the table is not concerned.
                let second = limiter.try_acquire_with_usage(client(family, 0));
                assert_eq!(second.map(|admission| admission.usage.open_connections), Ok(2));
            }
        }
    }
}

/// One client for everybody, and a tier in which everybody is a network: only the tier's table fills up.
fn crowded_tier() -> Config {
    small(Limit::Unlimited).with_ipv4_prefix(0).unwrap().with_tier(32, 128, 1).unwrap().with_max_total(Limit::Unlimited)
}

/// Asks for each of a crowd, until one is rejected.
fn admit_crowd(limiter: &Limiter) -> (Vec<Permit>, Option<Rejected>) {
    let mut held = Vec::new();
    for index in 0..CROWD {
        match limiter.try_acquire(client(Family::Ipv4, index)) {
            Ok(permit) => held.push(permit),
            Err(rejected) => return (held, Some(rejected)),
        }
    }
    (held, None)
}

#[test]
fn a_full_tier_rejects_and_leaves_no_trace() {
    let limiter = Limiter::new(crowded_tier());
    let (held, rejection) = admit_crowd(&limiter);
    assert_eq!(rejection, Some(Rejected::TableFull));
    let open = held.len() as u64;
    let stats = limiter.stats();
    assert_eq!(
        (stats.total.open_connections, stats.tiers[0].open_connections),
        (open, open),
        "the client's own place is given back"
    );
}

#[test]
fn a_full_tier_can_be_passed_uncounted() {
    let limiter = Limiter::new(crowded_tier().with_when_full(WhenFull::AdmitUntracked));
    let (held, rejection) = admit_crowd(&limiter);
    assert_eq!(rejection, None);
    assert!(held.iter().all(Permit::is_tracked), "their client is counted");
    let stats = limiter.stats();
    assert_eq!(stats.total.open_connections, u64::from(CROWD));
    assert!(stats.tiers[0].open_connections < u64::from(CROWD), "the tier has room for all");
    drop(held);
    let stats = limiter.stats();
    assert_eq!((stats.total.open_connections, stats.tiers[0].open_connections), (0, 0));
}

#[test]
fn who_is_not_tracked_still_counts_for_tiers_and_the_total() {
    // One network for everybody, so that only the clients' table fills up.
    let config = small(1).with_tier(0, 0, Limit::Unlimited).unwrap().with_max_total(Limit::Unlimited);
    let limiter = Limiter::new(config.with_when_full(WhenFull::AdmitUntracked));
    let (held, answer) = fill(&limiter, Family::Ipv4);
    let tracked = held.len() as u64;
    let untracked = answer.unwrap();
    assert!(!untracked.is_tracked());
    let stats = limiter.stats();
    assert_eq!((stats.total.open_connections, stats.tiers[0].open_connections), (tracked, tracked + 1));

    let all = u32::try_from(tracked + 1).unwrap();
    limiter.set_config(Config::new(1).with_when_full(WhenFull::AdmitUntracked).with_max_total(all)).unwrap();
    let next = client(Family::Ipv4, CROWD);
    assert_eq!(limiter.try_acquire(next).unwrap_err(), Rejected::TotalLimit);
    drop(untracked);
    assert_eq!(limiter.stats().tiers[0].open_connections, tracked);
    assert!(limiter.try_acquire(next).is_ok());
}

#[test]
fn a_total_takes_one_small_table_and_tiers_half_of_the_rest() {
    let config = Config::new(1).with_table_memory(2 << 20);
    let without = Limiter::new(config.clone()).stats().total.bound_bytes;
    let with = Limiter::new(config.clone().with_max_total(1)).stats().total.bound_bytes;
    assert!(with < without && without - with < 64 << 10, "{with} of {without} bytes are left for clients");
    let tiered = Limiter::new(config.with_tier(8, 8, 1).unwrap().with_max_total(1)).stats();
    let (clients, tier) = (tiered.total.bound_bytes, tiered.tiers[0].bound_bytes);
    assert!(clients.abs_diff(tier) < 4 && clients + tier <= with, "{clients} and {tier} of {with} bytes");
}
