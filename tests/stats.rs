//! The numbers that a limiter reports of itself.
#![cfg(not(connlimit_model))]
#![allow(clippy::std_instead_of_core, reason = "a test has the standard library")]

use connlimit::{Client, Config, Limiter};
use std::net::{Ipv4Addr, Ipv6Addr};

const CROWD: u32 = 100_000;

fn client(index: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0a00_0000 + index)
}

#[test]
fn connections_and_clients_are_counted_per_family() {
    let limiter = Limiter::new(Config::new(9));
    let permits: Vec<_> = [client(1), client(1), client(2)]
        .into_iter()
        .map(Client::from)
        .chain([Ipv6Addr::LOCALHOST.into(), Client::named("a"), Client::named("b"), Client::named("b")])
        .map(|client| limiter.try_acquire(client).unwrap())
        .collect();
    let stats = limiter.stats();
    assert_eq!([stats.v4, stats.v6, stats.named, stats.total].map(|table| table.open_connections), [3, 1, 3, 7]);
    assert_eq!([stats.v4, stats.v6, stats.named, stats.total].map(|table| table.clients), [2, 1, 2, 5]);
    assert_eq!([stats.v4, stats.v6, stats.named, stats.total].map(|table| table.most_open_connections), [2, 1, 2, 2]);
    assert_eq!([stats.v4, stats.v6, stats.named, stats.total].map(|table| table.lingering), [0, 0, 0, 0]);
    assert_eq!([stats.v4, stats.v6, stats.named, stats.total].map(|table| table.levels), [1, 1, 1, 3]);

    drop(permits);
    let stats = limiter.stats();
    assert_eq!((stats.total.open_connections, stats.total.clients), (0, 0));
    assert_eq!(stats.total.lingering, 5, "slots stay with their clients until they are needed");
    assert_eq!(stats.total.dead, 0);
}

#[test]
#[cfg_attr(miri, ignore = "takes many minutes there")]
fn memory_follows_the_crowd_within_its_bound() {
    let bytes = 64 << 20;
    let limiter = Limiter::new(Config::new(1).with_table_memory(bytes));
    let (empty, bytes) = (limiter.stats(), bytes as u64);
    assert!((bytes - 3..=bytes).contains(&empty.total.bound_bytes), "all of it, in shares of whole bytes");
    assert!(empty.total.slots < 10_000);

    let crowd: Vec<_> = (0..CROWD).map(|index| limiter.try_acquire(client(index)).unwrap()).collect();
    let full = limiter.stats();
    assert_eq!((full.v4.open_connections, full.v4.clients), (u64::from(CROWD), u64::from(CROWD)));
    assert!(full.v4.slots >= full.v4.clients + full.v4.lingering + full.v4.dead);
    assert!(full.v4.levels > 1 && full.v4.reserved_bytes > 10 * empty.v4.reserved_bytes);
    assert!(full.v4.reserved_bytes <= full.v4.bound_bytes);
    assert_eq!(full.v6, empty.v6, "the other families are not concerned");

    drop(crowd);
    // Newcomers take over: what the crowd has left is collected, and in the end its memory is given back.
    let gone = (1..40).any(|round| {
        (0..CROWD).for_each(|index| drop(limiter.try_acquire(client(round * CROWD + index)).unwrap()));
        let after = limiter.stats().v4;
        assert_eq!((after.open_connections, after.clients), (0, 0));
        after.slots < full.v4.slots / 2 && after.reserved_bytes < full.v4.reserved_bytes / 2
    });
    assert!(gone, "{:?} after {:?}", limiter.stats().v4, full.v4);
}

#[test]
#[cfg_attr(miri, ignore = "takes many minutes there")]
fn a_slot_that_waits_for_its_grace_period_is_dead() {
    let limiter = Limiter::new(Config::new(1));
    let mut batch = limiter.batch(); // keeps the grace period from ending
    let mut most = 0;
    for index in 0..60 * 100 {
        drop(batch.try_acquire(client(index)).unwrap());
        if index % 100 == 0 {
            most = most.max(limiter.stats().v4.dead);
        }
    }
    assert!(most > 0, "thousands of clients passed through one small table, and none left anything behind");
}

#[cfg(feature = "serde")]
#[test]
fn stats_can_be_written_and_read() {
    let limiter = Limiter::new(Config::new(1));
    let _permit = limiter.try_acquire(client(1)).unwrap();
    let stats = limiter.stats();
    let text = serde_json::to_string(&stats).unwrap();
    assert!(text.contains(r#""v4":{"open_connections":1,"clients":1,"#), "{text}");
    assert!(text.contains(r#""rejected":{"client_limit":0,"#), "{text}");
    assert_eq!(serde_json::from_str::<connlimit::stats::Stats>(&text).unwrap(), stats);
}

#[test]
fn decisions_are_counted_while_the_configuration_says_so() {
    let limiter = Limiter::new(Config::new(1).with_counting(true));
    let first = limiter.try_acquire(client(1));
    let second = limiter.try_acquire(client(2));
    let rejected = limiter.try_acquire(client(1));
    assert!(first.is_ok() && second.is_ok() && rejected.is_err());
    let decisions = limiter.stats().decisions;
    assert_eq!((decisions.admitted, decisions.rejected.client_limit, decisions.rejected.total()), (2, 1, 1));

    limiter.set_config(Config::new(1)).unwrap();
    assert!(limiter.try_acquire(client(1)).is_err());
    assert_eq!(limiter.stats().decisions, decisions, "nobody asked to count this one");

    // What is only tried out is counted for its own sake.
    limiter.set_config(Config::new(1).with_dry_run(true)).unwrap();
    let _beyond = limiter.try_acquire(client(1)).expect("a dry run rejects nobody");
    assert_eq!(limiter.stats().decisions.dry_run_rejected, 1);
    limiter.set_config(Config::new(5).with_shadow(Config::new(2))).unwrap();
    let _shadowed = limiter.try_acquire(client(1)).expect("a shadow rejects nobody");
    assert_eq!(limiter.stats().decisions.shadow_rejected, 1);
}

#[test]
fn networks_of_a_tier_are_counted_apart() {
    let none = connlimit::config::Limit::Unlimited;
    let config = Config::new(connlimit::config::Limit::Unlimited)
        .with_tier(24, 48, none)
        .unwrap()
        .with_tier(8, 32, none)
        .unwrap();
    let limiter = Limiter::new(config);
    let _permits: Vec<_> = [1, 2, 257].map(|index| limiter.try_acquire(client(index)).unwrap()).into();
    let stats = limiter.stats();
    assert_eq!((stats.total.open_connections, stats.total.clients), (3, 3));
    let tiers = stats.tiers.iter().map(|tier| (tier.open_connections, tier.clients, tier.most_open_connections));
    assert_eq!(tiers.collect::<Vec<_>>(), [(3, 2, 2), (3, 1, 3)]);
}

#[test]
fn the_counter_of_the_total_is_told_exactly() {
    assert_eq!(Limiter::new(Config::new(9)).stats().counted_in_total, None, "there is none");

    let limiter = Limiter::new(Config::new(9).with_max_total(5));
    assert_eq!(limiter.stats().counted_in_total, Some(0));
    let mut permits: Vec<_> = (0..7).filter_map(|index| limiter.try_acquire(client(index)).ok()).collect();
    assert_eq!((permits.len(), limiter.stats().counted_in_total), (5, Some(5)));
    permits.truncate(2);
    assert_eq!(limiter.stats().counted_in_total, Some(2));
    limiter.update_config(Config::without_max_total).unwrap();
    permits.extend((0..6).map(|index| limiter.try_acquire(client(index)).unwrap()));
    assert_eq!(limiter.stats().counted_in_total, Some(8), "without a limit it goes on counting");

    // Threads that come and go, above a limit of the total, leave nothing behind.
    limiter.update_config(|config| config.with_max_total(10)).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let limiter = &limiter;
            scope.spawn(move || {
                for turn in 0..200 {
                    let both = [0, 1].map(|host| limiter.try_acquire(client(100 * thread + (turn + host) % 7)));
                    assert!(limiter.stats().counted_in_total <= Some(10));
                    drop(both);
                }
            });
        }
    });
    assert_eq!(limiter.stats().counted_in_total, Some(8));
    drop(permits);
    assert_eq!(limiter.stats().counted_in_total, Some(0));
}

#[cfg(feature = "rules")]
#[test]
fn exempt_connections_are_in_the_sum_and_not_in_the_counter_of_the_total() {
    let exempt = "10.0.0.1/32".parse::<ipnet::IpNet>().unwrap();
    let config = Config::new(1).with_max_total(2).with_rule(exempt, connlimit::config::Action::Unlimited).unwrap();
    let limiter = Limiter::new(config);
    let _permits = [1, 1, 1, 2].map(|index| limiter.try_acquire(client(index)).unwrap());
    let stats = limiter.stats();
    assert_eq!((stats.total.open_connections, stats.counted_in_total), (4, Some(1)));
}
