//! What a configuration takes and what it names as wrong.

use connlimit::config::{ConfigError, Limit, TierErrorKind};
#[cfg(feature = "serde")]
use connlimit::config::{Family, UnknownPeer, WhenFull};
use connlimit::{Config, Limiter};

fn two_tiers() -> Config {
    Config::new(1).with_tier(24, 56, 2).unwrap().with_tier(16, 48, 3).unwrap()
}

fn tiers(config: &Config) -> Vec<(u8, u8, Limit)> {
    config.tiers().iter().map(|tier| (tier.ipv4_prefix(), tier.ipv6_prefix(), tier.limit())).collect()
}

fn at_most(limit: u32) -> Limit {
    limit.into()
}

#[test]
fn a_narrower_tier_is_named() {
    let config = Config::new(1).with_tier(24, 48, 2).unwrap();
    for (ipv4_prefix, ipv6_prefix) in [(25, 48), (16, 49)] {
        let error = config.clone().with_tier(ipv4_prefix, ipv6_prefix, 9).unwrap_err();
        assert_eq!(error, ConfigError::Tier { ipv4_prefix, ipv6_prefix, kind: TierErrorKind::Narrower });
        let text = error.to_string();
        assert!(text.contains(&format!("/{ipv4_prefix} (IPv4) and /{ipv6_prefix} (IPv6)")), "{text}");
        assert!(text.contains("narrower than those of the tier before"), "{text}");
    }
    for (ipv4_prefix, ipv6_prefix) in [(23, 48), (24, 47), (0, 0)] {
        let right = config.clone().with_tier(ipv4_prefix, ipv6_prefix, Limit::Unlimited).unwrap();
        assert_eq!(tiers(&right), [(24, 48, at_most(2)), (ipv4_prefix, ipv6_prefix, Limit::Unlimited)]);
    }
}

#[test]
fn a_tier_that_is_named_again_gets_the_new_limit() {
    let config = two_tiers().with_tier(24, 56, 20).unwrap();
    assert_eq!(tiers(&config), [(24, 56, at_most(20)), (16, 48, at_most(3))]);
    assert_eq!(tiers(&config.without_tier(24, 56)), [(16, 48, at_most(3))]);
}

#[test]
fn a_fifth_tier_is_named() {
    let four = [(32, 64), (24, 56), (16, 48), (8, 32)]
        .into_iter()
        .fold(Config::new(1), |config, (ipv4, ipv6)| config.with_tier(ipv4, ipv6, 1).expect("there is room for four"));
    let fifth = ConfigError::Tier { ipv4_prefix: 0, ipv6_prefix: 0, kind: TierErrorKind::TooMany };
    assert_eq!(fifth.to_string(), "tier of /0 (IPv4) and /0 (IPv6): there are four tiers already");
    assert_eq!(four.clone().with_tier(0, 0, 1), Err(fifth));
    assert!(four.with_tier(8, 32, 2).is_ok(), "that one is there");
}

#[test]
fn a_tier_with_a_prefix_longer_than_an_address_is_named() {
    assert_eq!(Config::new(1).with_tier(33, 0, 1), Err(ConfigError::Ipv4Prefix(33)));
    assert_eq!(Config::new(1).with_tier(0, 129, 1), Err(ConfigError::Ipv6Prefix(129)));
    assert_eq!(tiers(&Config::new(1).with_tier(32, 128, 1).unwrap()), [(32, 128, at_most(1))]);
}

#[test]
fn a_soft_share_above_all_is_all() {
    assert_eq!(Config::new(1).with_soft_percent(100).soft_percent(), Some(100));
    assert_eq!(Config::new(1).with_soft_percent(101).soft_percent(), Some(100));
}

#[test]
fn tiers_are_fixed_when_the_limiter_is_built() {
    let limiter = Limiter::new(two_tiers());
    let built = limiter.config();
    for (changed, why) in
        [(Config::new(9).with_tier(24, 57, 2), "another prefix"), (Config::new(9).with_tier(8, 32, 2), "a tier more")]
    {
        let error = limiter.set_config(changed.unwrap()).expect_err(why);
        assert_eq!(error, ConfigError::FixedAtBuild("tiers"));
        assert_eq!(limiter.config(), built, "{why}");
    }
    let plain = Limiter::new(Config::new(1));
    assert!(matches!(plain.set_config(two_tiers()), Err(ConfigError::FixedAtBuild(_))));
    assert_eq!(plain.config().tiers(), []);
}

#[test]
fn a_tier_that_is_left_out_is_lifted_and_can_come_back() {
    let limiter = Limiter::new(two_tiers());
    limiter.set_config(Config::new(5).with_tier(16, 48, 7).unwrap()).unwrap();
    assert_eq!(tiers(&limiter.config()), [(24, 56, Limit::Unlimited), (16, 48, at_most(7))]);
    limiter.set_config(two_tiers()).unwrap();
    assert_eq!(limiter.config().tiers(), two_tiers().tiers());
}

#[test]
fn whether_there_is_a_total_is_fixed_when_the_limiter_is_built() {
    let without = Limiter::new(Config::new(1));
    assert_eq!(
        without.set_config(Config::new(1).with_max_total(Limit::Unlimited)),
        Err(ConfigError::FixedAtBuild("max_total")),
        "not even without a limit: it was not counted"
    );
    assert_eq!(without.config().max_total(), None);

    let with = Limiter::new(Config::new(1).with_max_total(5));
    with.set_config(Config::new(1)).unwrap();
    assert_eq!(with.config().max_total(), Some(Limit::Unlimited), "lifted, and counted still");
    with.set_config(Config::new(1).with_max_total(6)).unwrap();
    assert_eq!(with.config().max_total(), Some(at_most(6)));
}

#[test]
fn a_shadow_has_no_shadow_and_the_tiers_that_are_in_force() {
    let inner = Config::new(3).with_tier(24, 56, 4).unwrap().with_tier(8, 32, 5).unwrap();
    let config = two_tiers().with_shadow(inner.clone().with_shadow(Config::new(1)));
    assert_eq!(config.shadow(), Some(&inner));
    let limiter = Limiter::new(config);
    assert_eq!(tiers(limiter.config().shadow().unwrap()), [(24, 56, at_most(4)), (16, 48, Limit::Unlimited)]);
}

#[cfg(feature = "serde")]
#[test]
fn every_part_of_a_policy_survives_being_written_and_read() {
    let text = r#"{
        "max_per_client": 1, "when_full": "reject",
        "tiers": [{"ipv4_prefix": 24, "ipv6_prefix": 56, "limit": 2}, {"ipv4_prefix": 16, "ipv6_prefix": 48, "limit": 3}],
        "max_total": 4, "soft_percent": 80, "dry_run": true, "counting": true, "unknown_peer": "admit-untracked",
        "when_full_ipv4": "admit-untracked", "when_full_ipv6": "reject", "when_full_named": "admit-untracked",
        "shadow": {"max_per_client": 7, "tiers": [{"ipv4_prefix": 8, "ipv6_prefix": 8, "limit": 9}], "max_total": 8}
    }"#;
    let read: Config = serde_json::from_str(text).unwrap();
    let built = two_tiers()
        .with_max_total(4)
        .with_soft_percent(80)
        .with_dry_run(true)
        .with_counting(true)
        .with_unknown_peer(UnknownPeer::AdmitUntracked)
        .with_when_full_for(Family::Ipv4, WhenFull::AdmitUntracked)
        .with_when_full_for(Family::Ipv6, WhenFull::Reject)
        .with_when_full_for(Family::Named, WhenFull::AdmitUntracked)
        .with_shadow(Config::new(7).with_tier(8, 8, 9).unwrap().with_max_total(8));
    assert_eq!(read, built);

    let written = serde_json::to_string(&built).unwrap();
    assert_eq!(serde_json::from_str::<Config>(&written).unwrap(), built);
    let fields = serde_json::from_str::<serde_json::Value>(&written).unwrap();
    let expected = serde_json::from_str::<serde_json::Value>(text).unwrap();
    for name in expected.as_object().unwrap().keys() {
        assert!(fields.get(name).is_some(), "{name} is not written: {written}");
    }
}
