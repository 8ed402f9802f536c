//! What a configuration takes and what it names as wrong.

use connlimit::{Config, ConfigError, Limiter, Tier};
#[cfg(feature = "serde")]
use connlimit::{Family, UnknownPeer, WhenFull};

fn tier(ipv4: u8, ipv6: u8, limit: u32) -> Tier {
    Tier::new(ipv4, ipv6, limit).unwrap()
}

fn two_tiers() -> Config {
    Config::new(1).with_tier(tier(24, 56, 2)).unwrap().with_tier(tier(16, 48, 3)).unwrap()
}

#[test]
fn a_tier_that_is_not_wider_is_named() {
    let config = Config::new(1).with_tier(tier(24, 48, 2)).unwrap();
    for (wrong, why) in [
        (tier(25, 48, 9), "narrower for IPv4"),
        (tier(16, 49, 9), "narrower for IPv6"),
        (tier(24, 48, 9), "the same networks once more"),
    ] {
        let error = config.clone().with_tier(wrong).expect_err(why);
        assert_eq!(error, ConfigError::Tier(wrong));
        let text = error.to_string();
        assert!(text.contains(&format!("/{} and /{}", wrong.ipv4_prefix(), wrong.ipv6_prefix())), "{text}");
    }
    for right in [tier(23, 48, 0), tier(24, 47, 0), tier(0, 0, 0)] {
        assert_eq!(config.clone().with_tier(right).unwrap().tiers(), [tier(24, 48, 2), right]);
    }
}

#[test]
fn a_fifth_tier_is_named() {
    let four = [(32, 64), (24, 56), (16, 48), (8, 32)].into_iter().fold(Config::new(1), |config, (ipv4, ipv6)| {
        config.with_tier(tier(ipv4, ipv6, 1)).expect("there is room for four")
    });
    let fifth = tier(0, 0, 1);
    assert_eq!(four.with_tier(fifth), Err(ConfigError::Tier(fifth)));
}

#[test]
fn a_tier_with_a_prefix_longer_than_an_address_is_named() {
    assert_eq!(Tier::new(33, 0, 1), Err(ConfigError::Ipv4Prefix(33)));
    assert_eq!(Tier::new(0, 129, 1), Err(ConfigError::Ipv6Prefix(129)));
    let widest = tier(32, 128, 1);
    assert_eq!((widest.ipv4_prefix(), widest.ipv6_prefix(), widest.limit()), (32, 128, 1));
}

#[test]
fn a_soft_share_above_all_is_named() {
    assert_eq!(Config::new(1).with_soft_percent(100).unwrap().soft_percent(), Some(100));
    let error = Config::new(1).with_soft_percent(101).unwrap_err();
    assert_eq!(error, ConfigError::SoftPercent(101));
    assert_eq!(error.to_string(), "soft share of 101 percent is above 100");
}

#[test]
fn tiers_are_fixed_when_the_limiter_is_built() {
    let limiter = Limiter::new(two_tiers());
    let built = limiter.config();
    for (changed, why) in [
        (Config::new(9).with_tier(tier(24, 57, 2)), "another prefix"),
        (Config::new(9).with_tier(tier(8, 32, 2)), "a tier more"),
    ] {
        let error = limiter.set_config(changed.unwrap()).expect_err(why);
        assert_eq!(error, ConfigError::FixedAtBuild("the tiers' prefix lengths"));
        assert_eq!(limiter.config(), built, "{why}");
    }
    let plain = Limiter::new(Config::new(1));
    assert!(matches!(plain.set_config(two_tiers()), Err(ConfigError::FixedAtBuild(_))));
    assert_eq!(plain.config().tiers(), []);
}

#[test]
fn a_tier_that_is_left_out_is_lifted_and_can_come_back() {
    let limiter = Limiter::new(two_tiers());
    limiter.set_config(Config::new(5).with_tier(tier(16, 48, 7)).unwrap()).unwrap();
    assert_eq!(limiter.config().tiers(), [tier(24, 56, 0), tier(16, 48, 7)]);
    limiter.set_config(two_tiers()).unwrap();
    assert_eq!(limiter.config().tiers(), two_tiers().tiers());
}

#[test]
fn whether_there_is_a_total_is_fixed_when_the_limiter_is_built() {
    let without = Limiter::new(Config::new(1));
    assert_eq!(
        without.set_config(Config::new(1).with_max_total(0)),
        Err(ConfigError::FixedAtBuild("whether there is a total")),
        "not even without a limit: it was not counted"
    );
    assert_eq!(without.config().max_total(), None);

    let with = Limiter::new(Config::new(1).with_max_total(5));
    with.set_config(Config::new(1)).unwrap();
    assert_eq!(with.config().max_total(), Some(0), "lifted, and counted still");
    with.set_config(Config::new(1).with_max_total(6)).unwrap();
    assert_eq!(with.config().max_total(), Some(6));
}

#[test]
fn a_shadow_has_no_shadow_and_the_tiers_that_are_in_force() {
    let inner = Config::new(3).with_tier(tier(24, 56, 4)).unwrap().with_tier(tier(8, 32, 5)).unwrap();
    let config = two_tiers().with_shadow(inner.clone().with_shadow(Config::new(1)));
    assert_eq!(config.shadow(), Some(&inner));
    let limiter = Limiter::new(config);
    assert_eq!(limiter.config().shadow().unwrap().tiers(), [tier(24, 56, 4), tier(16, 48, 0)]);
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
        .unwrap()
        .with_dry_run(true)
        .with_counting(true)
        .with_unknown_peer(UnknownPeer::AdmitUntracked)
        .with_when_full_for(Family::Ipv4, WhenFull::AdmitUntracked)
        .with_when_full_for(Family::Ipv6, WhenFull::Reject)
        .with_when_full_for(Family::Named, WhenFull::AdmitUntracked)
        .with_shadow(Config::new(7).with_tier(tier(8, 8, 9)).unwrap().with_max_total(8));
    assert_eq!(read, built);

    let written = serde_json::to_string(&built).unwrap();
    assert_eq!(serde_json::from_str::<Config>(&written).unwrap(), built);
    let fields = serde_json::from_str::<serde_json::Value>(&written).unwrap();
    let expected = serde_json::from_str::<serde_json::Value>(text).unwrap();
    for name in expected.as_object().unwrap().keys() {
        assert!(fields.get(name).is_some(), "{name} is not written: {written}");
    }
    let default = serde_json::to_string(&Config::default()).unwrap();
    assert_eq!(serde_json::from_str::<Config>(&default).unwrap(), Config::default());
}

#[cfg(feature = "serde")]
#[test]
fn a_policy_that_is_read_is_checked_as_a_built_one() {
    for (text, words) in [
        (r#"{"soft_percent": 101}"#, "101 percent"),
        (r#"{"tiers": [{"ipv4_prefix": 33, "ipv6_prefix": 0, "limit": 1}]}"#, "IPv4 prefix length 33"),
        (r#"{"tiers": [{"ipv4_prefix": 0, "ipv6_prefix": 129, "limit": 1}]}"#, "IPv6 prefix length 129"),
        (
            r#"{"tiers": [{"ipv4_prefix": 8, "ipv6_prefix": 8, "limit": 1}, {"ipv4_prefix": 9, "ipv6_prefix": 8, "limit": 1}]}"#,
            "not wider",
        ),
        (r#"{"tiers": [{"ipv4_prefix": 8, "ipv6_prefix": 8, "limit": 1, "burst": 2}]}"#, "burst"),
        (r#"{"shadow": {"soft_percent": 101}}"#, "101 percent"),
        (r#"{"unknown_peer": "guess"}"#, "guess"),
    ] {
        let error = serde_json::from_str::<Config>(text).expect_err(text).to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
}
