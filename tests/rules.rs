//! Rules by network: the longest one counts, and one that cannot stand is named.

use connlimit::{
    Config, Limiter,
    config::{Action, ConfigError, RuleErrorKind, Rules},
};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::panic::{RefUnwindSafe, UnwindSafe};
use ipnet::IpNet;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::HashMap;

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn addr(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn rules(of: &[(&str, Action)]) -> Rules {
    Rules::new(of.iter().map(|&(network, allowance)| (net(network), allowance))).unwrap()
}

/// The rule for `addr`; what an admission is told must be the same.
fn find(rules: &Rules, addr: IpAddr) -> Option<(IpNet, Action)> {
    let found = rules.find(addr);
    assert_eq!(rules.action(addr), found.map(|(_, allowance)| allowance), "{addr}");
    found
}

fn found(rules: &Rules, at: &str) -> Option<(String, Action)> {
    find(rules, addr(at)).map(|(network, allowance)| (network.to_string(), allowance))
}

/// What is wrong with the first of `of` that cannot stand.
fn fault(of: &[(&str, Action)]) -> (String, RuleErrorKind) {
    match Rules::new(of.iter().map(|&(network, allowance)| (net(network), allowance))) {
        Err(ConfigError::Rule { network, kind }) => (network, kind),
        other => panic!("{other:?} instead of a rule that cannot stand"),
    }
}

use Action::{Deny, Limit, Unlimited};

#[test]
fn the_longest_of_overlapping_networks_counts_in_whatever_order_they_come() {
    let mut of =
        [("10.0.0.0/8", Limit(8)), ("10.1.0.0/16", Deny), ("10.1.2.0/24", Unlimited), ("10.1.2.3/32", Limit(1))];
    for _ in 0..of.len() {
        of.rotate_left(1);
        let rules = rules(&of);
        assert_eq!(found(&rules, "10.0.255.255"), Some(("10.0.0.0/8".into(), Limit(8))));
        assert_eq!(found(&rules, "10.1.0.0"), Some(("10.1.0.0/16".into(), Deny)));
        assert_eq!(found(&rules, "10.1.2.2"), Some(("10.1.2.0/24".into(), Unlimited)));
        assert_eq!(found(&rules, "10.1.2.3"), Some(("10.1.2.3/32".into(), Limit(1))));
        assert_eq!(found(&rules, "10.1.2.4"), Some(("10.1.2.0/24".into(), Unlimited)));
        assert_eq!(found(&rules, "10.1.3.0"), Some(("10.1.0.0/16".into(), Deny)));
        assert_eq!(found(&rules, "10.255.255.255"), Some(("10.0.0.0/8".into(), Limit(8))));
        assert_eq!(found(&rules, "9.255.255.255"), None);
        assert_eq!(found(&rules, "11.0.0.0"), None);
    }
}

#[test]
fn a_default_route_covers_its_own_family_alone() {
    let v4 = rules(&[("0.0.0.0/0", Limit(4))]);
    assert_eq!(found(&v4, "0.0.0.0"), Some(("0.0.0.0/0".into(), Limit(4))));
    assert_eq!(found(&v4, "255.255.255.255"), Some(("0.0.0.0/0".into(), Limit(4))));
    assert_eq!(found(&v4, "::ffff:192.0.2.1"), Some(("0.0.0.0/0".into(), Limit(4))));
    assert_eq!(found(&v4, "::"), None);
    let v6 = rules(&[("::/0", Limit(6))]);
    assert_eq!(found(&v6, "::"), Some(("::/0".into(), Limit(6))));
    assert_eq!(found(&v6, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), Some(("::/0".into(), Limit(6))));
    assert_eq!(found(&v6, "192.0.2.1"), None);
    assert_eq!(found(&v6, "::ffff:192.0.2.1"), None);
}

#[test]
fn a_mapped_network_is_the_ipv4_network() {
    let mapped = rules(&[("::ffff:192.0.2.0/120", Deny), ("::ffff:0.0.0.0/96", Limit(3))]);
    assert_eq!(mapped, rules(&[("0.0.0.0/0", Limit(3)), ("192.0.2.0/24", Deny)]));
    assert_eq!(found(&mapped, "192.0.2.255"), Some(("192.0.2.0/24".into(), Deny)));
    assert_eq!(found(&mapped, "::ffff:192.0.3.0"), Some(("0.0.0.0/0".into(), Limit(3))));
}

#[test]
fn an_ipv6_network_around_the_mapped_addresses_leaves_them_out() {
    let around = rules(&[("::fffe:0:0/95", Deny), ("::/64", Limit(1))]);
    assert_eq!(found(&around, "::fffe:1:1"), Some(("::fffe:0:0/95".into(), Deny)));
    assert_eq!(found(&around, "::1"), Some(("::/64".into(), Limit(1))));
    assert_eq!(found(&around, "::ffff:1:1"), None);
    assert_eq!(found(&around, "0.1.0.1"), None);
}

#[test]
fn loopback_is_like_any_other_network() {
    assert_eq!(found(&rules(&[("192.0.2.0/24", Deny)]), "127.0.0.1"), None);
    assert_eq!(found(&rules(&[("0.0.0.0/0", Deny)]), "127.0.0.1"), Some(("0.0.0.0/0".into(), Deny)));
}

#[test]
fn without_rules_nothing_is_found() {
    for none in [Rules::default(), rules(&[]), Config::new(3).rules().clone()] {
        assert_eq!(found(&none, "192.0.2.1"), None);
        assert_eq!(found(&none, "::1"), None);
        assert!(none.is_empty());
        assert_eq!((none.len(), none.iter().count()), (0, 0));
        assert_eq!(none, Rules::default());
    }
}

#[test]
fn bits_beyond_the_prefix_are_a_fault() {
    for network in ["10.0.0.1/8", "0.0.0.1/0", "192.0.2.1/31", "2001:db8::1/64", "8000::/0", "::ffff:192.0.2.1/120"] {
        let named = net(network).to_string();
        assert_eq!(fault(&[("::/0", Deny), (network, Deny)]), (named, RuleErrorKind::HostBits));
    }
    // A mapped address with a prefix shorter than the mapping.
    assert_eq!(fault(&[("::ffff:0:0/95", Deny)]).1, RuleErrorKind::HostBits);
}

#[test]
fn a_limit_of_zero_is_a_fault() {
    assert_eq!(fault(&[("10.0.0.0/8", Limit(0))]), ("10.0.0.0/8".into(), RuleErrorKind::ZeroLimit));
    assert_eq!(rules(&[("10.0.0.0/8", Limit(1))]).len(), 1);
}

#[test]
fn one_network_with_two_allowances_is_a_fault() {
    let conflict = [("10.0.0.0/8", Limit(1)), ("10.0.0.0/9", Limit(2)), ("10.0.0.0/8", Limit(2))];
    assert_eq!(fault(&conflict), ("10.0.0.0/8".into(), RuleErrorKind::Conflict));
    let mapped = [("192.0.2.0/24", Limit(1)), ("::ffff:192.0.2.0/120", Limit(2))];
    assert_eq!(fault(&mapped), (net("::ffff:192.0.2.0/120").to_string(), RuleErrorKind::Conflict));
    let config = Config::new(1).with_rule(net("10.0.0.0/8"), Deny).unwrap();
    let both = [(net("10.0.0.0/8"), Limit(1)), (net("10.0.0.0/8"), Unlimited)];
    let error = config.clone().with_rules(both).unwrap_err();
    assert_eq!(error, ConfigError::Rule { network: "10.0.0.0/8".into(), kind: RuleErrorKind::Conflict });
    assert_eq!(found(config.rules(), "10.0.0.1"), Some(("10.0.0.0/8".into(), Deny)));
}

#[test]
fn a_rule_is_replaced_and_removed_alone() {
    let config =
        Config::new(1).with_rule(net("10.0.0.0/8"), Deny).unwrap().with_rule(net("10.1.0.0/16"), Limit(2)).unwrap();
    let replaced = config.clone().with_rule(net("10.0.0.0/8"), Unlimited).unwrap();
    assert_eq!(*replaced.rules(), rules(&[("10.0.0.0/8", Unlimited), ("10.1.0.0/16", Limit(2))]));
    let removed = config.clone().without_rule(net("::ffff:10.0.0.0/104"));
    assert_eq!(*removed.rules(), rules(&[("10.1.0.0/16", Limit(2))]), "a mapped network is the IPv4 network");
    assert_eq!(config.clone().without_rule(net("10.0.0.0/9")), config, "there is no such rule");
    assert_eq!(config.without_rules(), Config::new(1));
}

#[test]
fn the_same_rule_twice_is_one_rule() {
    let twice = rules(&[("192.0.2.0/24", Deny), ("192.0.2.0/24", Deny), ("::ffff:192.0.2.0/120", Deny)]);
    assert_eq!(twice, rules(&[("192.0.2.0/24", Deny)]));
    assert_eq!(twice.len(), 1);
}

#[test]
fn rules_are_listed_by_family_and_address_and_length() {
    let listed = rules(&[("::/0", Deny), ("10.0.0.0/9", Limit(2)), ("2001:db8::/32", Deny), ("10.0.0.0/8", Limit(1))]);
    let order: Vec<_> = listed.iter().map(|(network, _)| network.to_string()).collect();
    assert_eq!(order, ["10.0.0.0/8", "10.0.0.0/9", "::/0", "2001:db8::/32"]);
    assert_eq!(format!("{listed:?}"), "{10.0.0.0/8: Limit(1), 10.0.0.0/9: Limit(2), ::/0: Deny, 2001:db8::/32: Deny}");
}

#[test]
fn a_configuration_adds_rules_and_a_running_limiter_takes_them() {
    let config = Config::new(16).with_rule(net("10.0.0.0/8"), Limit(1)).unwrap();
    let config = config.with_rules([(net("::1/128"), Unlimited), (net("10.0.0.0/9"), Deny)]).unwrap();
    assert_eq!(config.rules(), &rules(&[("10.0.0.0/8", Limit(1)), ("10.0.0.0/9", Deny), ("::1/128", Unlimited)]));
    let limiter = Limiter::new(Config::new(16));
    assert!(limiter.config().rules().is_empty());
    limiter.set_config(config.clone()).unwrap();
    assert_eq!(limiter.config().rules(), config.rules());
    limiter.set_config(Config::new(16)).unwrap();
    assert!(limiter.config().rules().is_empty());
}

/// The places where the answer changes are at exponential distances here, so no cut into equal parts tells them apart.
#[test]
fn all_networks_around_one_address_are_told_apart() {
    let centres =
        ["192.0.2.77", "2001:db8::77", "0.0.0.0", "255.255.255.255", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"];
    let step = if cfg!(miri) { 16 } else { 1 };
    for centre in centres {
        let centre = addr(centre);
        let longest = IpNet::from(centre).prefix_len();
        let rule = |bits| (IpNet::new(centre, bits).unwrap().trunc(), Limit(u32::from(bits) + 1));
        let rules = Rules::new((0..=longest).step_by(step).map(rule)).unwrap();
        assert_eq!(find(&rules, centre), Some(rule(longest)));
        for bits in (0..longest).step_by(step) {
            let outside_next = flipped(centre, bits);
            assert_eq!(find(&rules, outside_next), Some(rule(bits)), "{outside_next}");
        }
    }
}

/// `addr` with bit `bit` of it, counted from the front, turned over.
fn flipped(addr: IpAddr, bit: u8) -> IpAddr {
    match addr {
        IpAddr::V4(addr) => IpAddr::V4((addr.to_bits() ^ (1 << (31 - bit))).into()),
        IpAddr::V6(addr) => IpAddr::V6((addr.to_bits() ^ (1 << (127 - bit))).into()),
    }
}

/// The rule with the longest network that contains `addr`, by looking at all of them.
fn by_linear_search(rules: &[(IpNet, Action)], addr: IpAddr) -> Option<(IpNet, Action)> {
    let addr = addr.to_canonical();
    rules.iter().copied().filter(|(network, _)| network.contains(&addr)).max_by_key(|(network, _)| network.prefix_len())
}

/// The first and last address of each network, and the ones just outside.
fn edges(rules: &[(IpNet, Action)]) -> Vec<IpAddr> {
    let edge = |network: &IpNet| match network {
        IpNet::V4(network) => {
            let (first, last) = (network.network().to_bits(), network.broadcast().to_bits());
            [first.wrapping_sub(1), first, last, last.wrapping_add(1)].map(|bits| IpAddr::V4(bits.into()))
        }
        IpNet::V6(network) => {
            let (first, last) = (network.network().to_bits(), network.broadcast().to_bits());
            [first.wrapping_sub(1), first, last, last.wrapping_add(1)].map(|bits| IpAddr::V6(bits.into()))
        }
    };
    rules.iter().flat_map(|(network, _)| edge(network)).collect()
}

/// Few places to choose from, so that networks overlap, and a few bits of difference anywhere.
fn any_addr() -> impl Strategy<Value = IpAddr> {
    let v4 = (prop_oneof![Just(0u32), Just(0xc000_0200), Just(u32::MAX), any::<u32>()], 0..32u32, 0..4u32)
        .prop_map(|(base, shift, noise)| IpAddr::V4((base ^ noise << shift).into()));
    let base = prop_oneof![Just(0u128), Just(0x2001_0db8 << 96), Just(0x2001_0db8 << 96 | 1), any::<u128>()];
    let v6 = (base, 0..128u32, 0..4u128).prop_map(|(base, shift, noise)| IpAddr::V6((base ^ noise << shift).into()));
    let mapped = any::<u8>().prop_map(|last| IpAddr::V6(Ipv4Addr::new(192, 0, 2, last).to_ipv6_mapped()));
    prop_oneof![4 => v4, 4 => v6, 1 => mapped]
}

prop_compose! {
    fn any_rule()(addr in any_addr(), bits: u8, limit in 1..9u32, kind in 0..4u8) -> (IpNet, Action) {
        let longest = IpNet::from(addr).prefix_len();
        let network = IpNet::new(addr, bits % (longest + 1)).unwrap().trunc();
        (network, match kind { 0 => Deny, 1 => Unlimited, _ => Limit(limit) })
    }
}

/// The IPv4 network instead of a mapped one, as an operator would write it.
fn written_plainly(network: IpNet) -> IpNet {
    match network {
        IpNet::V6(v6) if network.prefix_len() >= 96 && v6.network().to_ipv4_mapped().is_some() => {
            IpNet::new(IpAddr::V6(v6.network()).to_canonical(), v6.prefix_len() - 96).unwrap()
        }
        _ => network,
    }
}

fn property_config() -> ProptestConfig {
    let cases = if cfg!(miri) { 2 } else { 512 };
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(property_config())]

    #[test]
    fn rules_agree_with_a_linear_search(given in vec(any_rule(), 0..if cfg!(miri) { 9 } else { 60 }), elsewhere in vec(any_addr(), 20)) {
        // The first of the rules for one network stays, so that no two contradict each other.
        let mut seen = HashMap::new();
        for (network, allowance) in &given {
            seen.entry(written_plainly(*network)).or_insert((*network, *allowance));
        }
        let rules = Rules::new(seen.values().copied()).unwrap();
        let plain: Vec<_> = seen.iter().map(|(network, (_, allowance))| (*network, *allowance)).collect();
        prop_assert_eq!(rules.len(), plain.len());
        for addr in edges(&plain).into_iter().chain(elsewhere) {
            prop_assert_eq!(find(&rules, addr), by_linear_search(&plain, addr), "{}", addr);
        }
        prop_assert_eq!(Rules::new(rules.iter()), Ok(rules));
    }

    #[test]
    fn rules_contradict_each_other_exactly_when_one_network_has_two_allowances(given in vec(any_rule(), 0..12)) {
        let mut seen = HashMap::new();
        let first = given.iter().find(|(network, allowance)| {
            seen.insert(written_plainly(*network), *allowance).is_some_and(|before| before != *allowance)
        });
        let expected = first.map(|(network, _)| ConfigError::Rule {
            network: network.to_string(),
            kind: RuleErrorKind::Conflict,
        });
        prop_assert_eq!(Rules::new(given).err(), expected);
    }

    #[cfg(feature = "serde")]
    #[test]
    fn rules_survive_being_written_and_read(given in vec(any_rule(), 0..12)) {
        if let Ok(config) = Config::new(3).with_rules(given) {
            let text = serde_json::to_string(&config).unwrap();
            prop_assert_eq!(serde_json::from_str::<Config>(&text).unwrap(), config);
        }
    }
}

/// Crowded enough that the table of all places is cut up more than once.
#[test]
fn many_rules_in_few_blocks_agree_with_a_linear_search() {
    let mut random = fastrand::Rng::with_seed(11);
    let count = if cfg!(miri) { 10 } else { 1_000 };
    let blocks = [0x2a00_0000u128 << 96, 0x2a02_4780 << 96, 0x2001_0db8 << 96, 0xfd << 120];
    let mut given = HashMap::from([(net("0.0.0.0/0"), Limit(1)), (net("fe80::/10"), Unlimited)]);
    for n in 0..count {
        let v4 = Ipv4Addr::from_bits(0xc612_0000 | random.u32(0..1 << 17));
        given.insert(IpNet::new(v4.into(), random.u8(15..=32)).unwrap().trunc(), Limit(n + 1));
        let v6 = Ipv6Addr::from_bits(blocks[random.usize(0..blocks.len())] | random.u128(..) >> 40);
        given.insert(IpNet::new(v6.into(), random.u8(29..=72)).unwrap().trunc(), Limit(n + 1));
    }
    let given: Vec<_> = given.into_iter().collect();
    let rules = Rules::new(given.iter().copied()).unwrap();
    for addr in edges(&given) {
        assert_eq!(find(&rules, addr), by_linear_search(&given, addr), "{addr}");
    }
}

#[test]
fn rules_can_be_shared_between_threads_and_across_a_panic() {
    fn plain_data<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe + Clone + 'static>(_: &T) {}
    plain_data(&rules(&[("10.0.0.0/8", Deny)]));
}

#[cfg(feature = "serde")]
mod written {
    use super::*;

    fn read(rules: &str) -> Result<Config, String> {
        serde_json::from_str(&format!(r#"{{"max_per_client":16,"rules":{rules}}}"#)).map_err(|error| error.to_string())
    }

    #[test]
    fn rules_are_read_as_networks_and_actions() {
        let config = read(
            r#"[{"network":"127.0.0.0/8","action":"unlimited"},{"network":"::/0","action":4},
                {"network":"::ffff:192.0.2.0/120","action":"deny"}]"#,
        );
        let expected = rules(&[("127.0.0.0/8", Unlimited), ("::/0", Limit(4)), ("192.0.2.0/24", Deny)]);
        assert_eq!(config.unwrap().rules(), &expected);
    }

    #[test]
    fn an_error_names_the_rule() {
        for (rules, named) in [
            (r#"[{"network":"10.0.0.1/8","action":"deny"}]"#, "rule for 10.0.0.1/8: the address has bits"),
            (r#"[{"network":"10.0.0.0/33","action":"deny"}]"#, "rule for 10.0.0.0/33: not a network"),
            (r#"[{"network":"the office","action":"deny"}]"#, "rule for the office: not a network"),
            (r#"[{"network":"10.0.0.0/8","action":0}]"#, "from 1 to 4294967295, \"unlimited\" or \"deny\""),
            (
                r#"[{"network":"10.0.0.0/8","action":"deny"},{"network":"10.0.0.0/8","action":"unlimited"}]"#,
                "rule for 10.0.0.0/8: the same network",
            ),
            (r#"[{"network":"10.0.0.0/8","acton":"deny"}]"#, "acton"),
            (r#"[{"network":"10.0.0.0/8","action":"perhaps"}]"#, "perhaps"),
        ] {
            let error = read(rules).expect_err(rules);
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn a_configuration_without_rules_says_nothing_of_them() {
        let text = serde_json::to_string(&Config::new(3)).unwrap();
        assert!(!text.contains("rules"), "{text}");
    }
}

/// What the rules do to admissions.
mod admission {
    use connlimit::{
        Config, Limiter, Rejected,
        config::{Action, Embedded, EmbeddedPolicy},
    };
    use core::net::{IpAddr, Ipv4Addr};

    fn config() -> Config {
        Config::new(2)
            .with_rule("127.0.0.0/8".parse().unwrap(), Action::Unlimited)
            .and_then(|config| config.with_rule("192.0.2.0/24".parse().unwrap(), Action::Deny))
            .and_then(|config| config.with_rule("192.0.2.128/25".parse().unwrap(), Action::Limit(1)))
            .unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_longest_network_decides() {
        let limiter = Limiter::new(config());
        let _one = limiter.try_acquire(ip("192.0.2.200")).unwrap();
        assert_eq!(limiter.try_acquire(ip("192.0.2.200")).unwrap_err(), Rejected::ClientLimit);
        assert_eq!(limiter.try_acquire(ip("192.0.2.1")).unwrap_err(), Rejected::Denied);
        assert_eq!(limiter.try_acquire(ip("::ffff:192.0.2.1")).unwrap_err(), Rejected::Denied);
        let _two = [(); 2].map(|()| limiter.try_acquire(ip("198.51.100.1")).unwrap());
        assert_eq!(limiter.try_acquire(ip("198.51.100.1")).unwrap_err(), Rejected::ClientLimit);
    }

    #[test]
    fn an_unlimited_client_is_counted_and_never_rejected() {
        let limiter = Limiter::new(config().with_max_total(3).with_tier(8, 32, 2).unwrap());
        let many = [(); 5].map(|()| limiter.try_acquire(Ipv4Addr::LOCALHOST).unwrap());
        assert_eq!(limiter.open_connections(Ipv4Addr::LOCALHOST), 5);
        assert_eq!(limiter.usage(Ipv4Addr::LOCALHOST).limit, connlimit::config::Limit::Unlimited);
        assert_eq!(limiter.stats().tiers[0].open_connections, 0, "it is in no tier");
        let others: Vec<_> = ["198.51.100.1", "203.0.113.1", "100.64.0.1"]
            .map(|addr| limiter.try_acquire(ip(addr)).expect("it takes no place of the total"))
            .into();
        assert_eq!(limiter.try_acquire(ip("198.18.0.1")).unwrap_err(), Rejected::TotalLimit);
        // A permit gives back what it took, although the client has a limit by now.
        limiter.update_config(Config::without_rules).unwrap();
        drop(many);
        assert_eq!(limiter.try_acquire(ip("198.18.0.1")).unwrap_err(), Rejected::TotalLimit);
        drop(others);
        assert!(limiter.try_acquire(ip("198.18.0.1")).is_ok());
    }

    #[test]
    fn rules_change_while_running_and_take_nothing_away() {
        let limiter = Limiter::new(config());
        let held = limiter.try_acquire(Ipv4Addr::LOCALHOST).unwrap();
        limiter.set_config(config().with_rule("127.0.0.1/32".parse().unwrap(), Action::Deny).unwrap()).unwrap();
        assert_eq!(limiter.try_acquire(Ipv4Addr::LOCALHOST).unwrap_err(), Rejected::Denied);
        assert_eq!(limiter.open_connections(Ipv4Addr::LOCALHOST), 1);
        drop(held);
        limiter.set_config(Config::new(2)).unwrap();
        assert!(limiter.try_acquire(ip("192.0.2.1")).is_ok());
    }

    #[test]
    fn an_embedded_client_that_is_the_ipv4_client_has_its_rules() {
        let nat64 = ip("64:ff9b::c000:201"); // 192.0.2.1
        assert!(Limiter::new(config()).try_acquire(nat64).is_ok());
        let same =
            EmbeddedPolicy::new().with_nat64_prefix("64:ff9b::".parse().unwrap(), 96, Embedded::SameAsIpv4).unwrap();
        let limiter = Limiter::new(config().with_embedded(same));
        assert_eq!(limiter.try_acquire(nat64).unwrap_err(), Rejected::Denied);
    }

    #[test]
    fn a_shadow_may_have_rules_of_its_own() {
        let limiter = Limiter::new(Config::new(connlimit::config::Limit::Unlimited).with_shadow(config()));
        assert!(limiter.try_acquire(ip("192.0.2.1")).is_ok());
        assert_eq!(limiter.stats().decisions.shadow_rejected, 1);
    }
}
