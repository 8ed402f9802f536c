//! How long it takes to find the rule for an address, with criterion, beside the trie alone.
//!
//! `cargo bench -p connlimit-benches --features rules --bench rules`; see `benches/README.md`.

#![allow(clippy::cast_possible_truncation, reason = "the bits of an IPv4 address are the low ones")]

use connlimit::config::{Action, Rules};
use core::hint::black_box;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::sync::atomic::{AtomicU32, Ordering::SeqCst};
use core::time::Duration;
use criterion::{Criterion, criterion_group, criterion_main};
use ipnet::IpNet;
use prefix_trie::joint::JointPrefixMap;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;

/// More than a branch predictor remembers.
const ADDRESSES: usize = 1 << 16;

type Map = BTreeMap<IpNet, Action>;

fn find(criterion: &mut Criterion) {
    for (family, spread) in [("v4", v4 as fn(&mut SmallRng) -> IpNet), ("v6", v6), ("v6-blocks", v6_in_blocks)] {
        for count in [10, 1_000, 10_000] {
            let mut random = SmallRng::seed_from_u64(5);
            let mut map = Map::new();
            while map.len() < count {
                let allowance = match random.random_range(0..4) {
                    0 => Action::Deny,
                    1 => Action::Unlimited,
                    _ => Action::Limit(random.random_range(1..1_000)),
                };
                map.insert(spread(&mut random), allowance);
            }
            let rules = Rules::new(map.clone()).expect("networks without bits beyond their prefix");
            let trie = JointPrefixMap::<IpNet, Action>::from_iter(map.clone());
            let networks: Vec<_> = map.into_keys().collect();
            let hits: Vec<_> =
                (0..ADDRESSES).map(|_| inside(networks[random.random_range(0..networks.len())], &mut random)).collect();
            let mut misses = Vec::with_capacity(ADDRESSES);
            while misses.len() < ADDRESSES {
                let addr = inside(if family == "v4" { whole_v4() } else { unicast_v6() }, &mut random);
                if rules.action(addr).is_none() {
                    misses.push(addr);
                }
            }
            for (kind, addrs) in [("hit", hits), ("miss", misses)] {
                let group = format!("{family}/{count}/{kind}");
                match family {
                    "v4" => measure(
                        criterion,
                        &group,
                        &addrs,
                        |bits| Ipv4Addr::from_bits(bits as u32).into(),
                        &rules,
                        &trie,
                    ),
                    _ => measure(criterion, &group, &addrs, |bits| Ipv6Addr::from_bits(bits).into(), &rules, &trie),
                }
            }
        }
    }
}

/// `addr` makes an address of a number: the limiter has them in registers, and so have these.
fn measure(
    criterion: &mut Criterion,
    group: &str,
    addrs: &[IpAddr],
    addr: impl Fn(u128) -> IpAddr + Copy,
    rules: &Rules,
    trie: &JointPrefixMap<IpNet, Action>,
) {
    let bits: Vec<u128> = addrs
        .iter()
        .map(|addr| match addr {
            IpAddr::V4(addr) => addr.to_bits().into(),
            IpAddr::V6(addr) => addr.to_bits(),
        })
        .collect();
    time(criterion, group, "rules", &bits, |bits| rules.action(addr(bits)));
    time(criterion, group, "prefix-trie", &bits, |bits| trie.get_lpm(&addr(bits).into()).map(|(_, &found)| found));
    time(criterion, group, "nothing", &bits, |_| None);
}

/// Between two look-ups come two atomic additions, as an admission and a release have them: what can overlap with
/// those overlaps here as well. `nothing` is to be subtracted.
fn time(criterion: &mut Criterion, group: &str, name: &str, addrs: &[u128], find: impl Fn(u128) -> Option<Action>) {
    let counter = AtomicU32::new(0);
    let mut next = 0;
    criterion.benchmark_group(group).bench_function(name, |bencher| {
        bencher.iter(|| {
            next = (next + 1) % ADDRESSES;
            black_box(find(black_box(addrs[next])));
            counter.fetch_add(1, SeqCst);
            counter.fetch_sub(1, SeqCst);
        });
    });
}

fn whole_v4() -> IpNet {
    IpNet::new(Ipv4Addr::UNSPECIFIED.into(), 0).expect("0 is a length")
}

/// What is given out of IPv6.
fn unicast_v6() -> IpNet {
    IpNet::new(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0).into(), 3).expect("3 is a length")
}

fn v4(random: &mut SmallRng) -> IpNet {
    within(whole_v4(), 12..=32, random)
}

fn v6(random: &mut SmallRng) -> IpNet {
    within(unicast_v6(), 20..=64, random)
}

/// Most networks in a few blocks of providers, close together.
fn v6_in_blocks(random: &mut SmallRng) -> IpNet {
    let provider = Ipv6Addr::new(0x2a00 | random.random_range(0..4), random.random_range(0..10) << 8, 0, 0, 0, 0, 0, 0);
    within(IpNet::new(provider.into(), 32).expect("32 is a length"), 40..=64, random)
}

fn within(outer: IpNet, bits: core::ops::RangeInclusive<u8>, random: &mut SmallRng) -> IpNet {
    IpNet::new(inside(outer, random), random.random_range(bits)).expect("lengths fit the family").trunc()
}

fn inside(network: IpNet, random: &mut SmallRng) -> IpAddr {
    match network {
        IpNet::V4(v4) => (v4.network() | (v4.hostmask() & Ipv4Addr::from_bits(random.random()))).into(),
        IpNet::V6(v6) => (v6.network() | (v6.hostmask() & Ipv6Addr::from_bits(random.random()))).into(),
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .without_plots()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(400))
        .sample_size(20);
    targets = find
}
criterion_main!(benches);
