//! Looking at all clients while the table changes.
#![cfg(not(connlimit_model))]
#![allow(clippy::std_instead_of_core, reason = "a test has the standard library")]

use connlimit::{Client, Config, Limiter};
use proptest::prelude::*;
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
};

/// Enough that the tables grow several times, save where each step takes long.
const CROWD: u32 = if cfg!(miri) { 400 } else { 60_000 };

/// Clients that are held against a plain map.
const MOST: usize = if cfg!(miri) { 20 } else { 200 };

fn v4(index: u32) -> Client {
    Ipv4Addr::from(0x0a00_0000 + index).into()
}

fn v6(index: u32) -> Client {
    Ipv6Addr::from((0x2001_0db8_u128 << 96) + u128::from(index)).into()
}

fn seen(limiter: &Limiter) -> HashMap<Client, u32> {
    let mut seen = HashMap::new();
    for client in limiter.clients() {
        assert!(client.open_connections > 0, "{client:?} has no connection");
        assert_eq!(seen.insert(client.client, client.open_connections), None, "{client:?} is seen twice");
    }
    seen
}

#[test]
fn a_new_limiter_has_no_clients() {
    let limiter = Limiter::new(Config::new(1));
    assert_eq!(limiter.clients().next(), None);
    assert_eq!(limiter.top(3), []);
}

#[test]
fn all_kinds_of_clients_are_seen_as_they_are_counted() {
    let limiter = Limiter::new(Config::new(9).with_ipv4_prefix(24).unwrap().with_ipv6_prefix(64).unwrap());
    let name = Client::named("unix:/run/app.sock");
    let _permits: Vec<_> = ["192.0.2.1", "192.0.2.77", "::ffff:192.0.2.9", "2001:db8:1:2:3:4:5:6"]
        .map(|addr| Client::from(addr.parse::<IpAddr>().unwrap()))
        .into_iter()
        .chain([name, name])
        .map(|client| limiter.try_acquire(client).unwrap())
        .collect();
    let first = |addr: &str| Client::from(addr.parse::<IpAddr>().unwrap());
    assert_eq!(
        seen(&limiter),
        HashMap::from([(first("192.0.2.0"), 3), (first("2001:db8:1:2::"), 1), (name, 2)]),
        "each with the first address of its network"
    );
}

#[test]
fn a_client_can_be_shown() {
    for (client, text) in [(v4(1), "10.0.0.1"), (v6(0x1f), "2001:db8::1f")] {
        assert_eq!(client.to_string(), text);
        assert_eq!(format!("{client:?}"), format!("Client({text})"));
        assert_eq!(client.ip(), Some(text.parse().unwrap()));
        assert_eq!(format!("{client:>16}"), format!("{text:>16}"));
    }
    let name = Client::named("tenant 7");
    let digest = name.to_string();
    let digits = digest.strip_prefix("named:").expect("a name is marked as one");
    assert!(digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()), "{digest}");
    assert_eq!(name.to_string(), digest);
    assert_ne!(Client::named("tenant 8").to_string(), digest);
    assert_eq!(name.ip(), None);
}

#[test]
#[cfg_attr(miri, ignore = "takes many minutes there")]
fn who_stays_is_seen_once_while_the_table_grows_and_shrinks() {
    let limiter = Limiter::new(Config::new(connlimit::config::Limit::Unlimited));
    let stay: Vec<_> = (0..300).flat_map(|index| [v4(index * 7), v6(index * 7)]).collect();
    let _permits: Vec<_> = stay.iter().map(|&client| limiter.try_acquire(client).unwrap()).collect();

    let mut walk = limiter.clients();
    let mut seen: Vec<_> = walk.by_ref().take(100).collect();
    let crowd: Vec<_> = (1_000_000..1_000_000 + CROWD).map(|index| limiter.try_acquire(v4(index)).unwrap()).collect();
    seen.extend(walk.by_ref().take(100));
    drop(crowd);
    // Newcomers drain the large levels and put a small one in front.
    for index in 0..CROWD * 2 {
        drop(limiter.try_acquire(v4(2_000_000 + index)));
    }
    seen.extend(walk);

    let mut times = HashMap::new();
    for client in seen {
        *times.entry(client.client).or_insert(0) += 1;
        if stay.contains(&client.client) {
            assert_eq!(client.open_connections, 1);
        }
    }
    for client in stay {
        assert_eq!(times.get(&client), Some(&1), "{client} had its connection all the while");
    }
}

#[test]
fn who_stays_is_seen_once_while_threads_come_and_go() {
    const STAY: u32 = if cfg!(miri) { 50 } else { 500 };
    let limiter = Limiter::new(Config::new(connlimit::config::Limit::Unlimited));
    let _permits: Vec<_> =
        (0..STAY).flat_map(|index| [limiter.try_acquire(v4(index)), limiter.try_acquire(v4(index))]).collect();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for churner in 1..=2 {
            let (limiter, done) = (&limiter, &done);
            scope.spawn(move || {
                let mut held = Vec::new();
                for round in 0.. {
                    if done.load(Relaxed) {
                        break;
                    }
                    held.push(limiter.try_acquire(v4((churner << 20) | (round % CROWD))).unwrap());
                    if held.len() == CROWD as usize / 4 {
                        held.clear();
                    }
                }
            });
        }
        for _ in 0..if cfg!(miri) { 2 } else { 30 } {
            let mut times = vec![0; STAY as usize];
            for seen in limiter.clients() {
                let Some(IpAddr::V4(addr)) = seen.client.ip() else { panic!("{seen:?} never came") };
                if let Some(times) = times.get_mut(addr.to_bits() as usize - 0x0a00_0000) {
                    *times += 1;
                    assert_eq!(seen.open_connections, 2);
                }
            }
            assert!(times.iter().all(|&times| times == 1), "each client that stays, once: {times:?}");
        }
        done.store(true, Relaxed);
    });
}

#[test]
#[cfg_attr(miri, ignore = "takes many minutes there")]
fn an_iterator_that_is_kept_holds_nothing_back() {
    let limiter = Limiter::new(Config::new(connlimit::config::Limit::Unlimited));
    let _one = limiter.try_acquire(v4(0)).unwrap();
    let mut kept = limiter.clients();
    kept.next().unwrap();
    // Were the table pinned, no slot could be used again, and each newcomer would need one of its own.
    let reused = (1..=40).any(|round| {
        let newcomers = round * CROWD / 2..(round + 1) * CROWD / 2;
        newcomers.for_each(|index| drop(limiter.try_acquire(v4(index)).unwrap()));
        limiter.stats().v4.slots < u64::from(round * CROWD / 4)
    });
    assert!(reused, "for each newcomer a slot: {:?}", limiter.stats().v4);
    assert_eq!(kept.count(), 0);
}

proptest! {
    #[test]
    fn clients_and_top_agree_with_a_plain_map(counts in prop::collection::hash_map(0..5000_u32, 1..20_u32, 0..MOST), n in 0..250_usize) {
        let limiter = Limiter::new(Config::new(connlimit::config::Limit::Unlimited));
        let permits: Vec<_> = counts
            .iter()
            .flat_map(|(&index, &open)| (0..open).map(move |_| if index % 3 == 0 { v6(index) } else { v4(index) }))
            .map(|client| limiter.try_acquire(client).unwrap())
            .collect();
        let mut expected: Vec<_> =
            counts.iter().map(|(&index, &open)| (if index % 3 == 0 { v6(index) } else { v4(index) }, open)).collect();
        prop_assert_eq!(seen(&limiter), expected.iter().copied().collect::<HashMap<_, _>>());

        expected.sort_by_key(|&(client, open)| (std::cmp::Reverse(open), client));
        expected.truncate(n);
        let top: Vec<_> = limiter.top(n).iter().map(|seen| (seen.client, seen.open_connections)).collect();
        prop_assert_eq!(top, expected);
        drop(permits);
        prop_assert_eq!(limiter.clients().count(), 0);
    }
}
