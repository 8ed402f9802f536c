//! What holds for every run, every pair of addresses and every configuration.
#![cfg(not(connlimit_model))]

mod oracle;

use connlimit::{
    Client, Config, Limiter,
    config::{ConfigError, WhenFull},
};
use core::net::Ipv6Addr;
use proptest::collection::vec;
use proptest::prelude::*;

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: if cfg!(miri) { 4 } else { 256 },
        // A case worth keeping goes to `fuzz/corpus`, where every tool finds it.
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// A set-up and operations, as bytes; the oracle reads them four at a time.
fn runs(operations: usize) -> impl Strategy<Value = Vec<[u8; 4]>> {
    vec(any::<[u8; 4]>(), 1..operations)
}

fn any_when_full() -> impl Strategy<Value = WhenFull> {
    prop_oneof![Just(WhenFull::Reject), Just(WhenFull::AdmitUntracked)]
}

prop_compose! {
    fn any_config()(
        limit: u32,
        when_full in any_when_full(),
        v4 in proptest::option::of(0..=32u8),
        v6 in proptest::option::of(0..=128u8),
        memory in proptest::option::of((1usize << 20)..=usize::MAX),
        preallocation: Option<bool>,
    ) -> Config {
        let mut config = Config::new(limit).with_when_full(when_full);
        if let Some(bits) = v4 {
            config = config.with_ipv4_prefix(bits).unwrap();
        }
        if let Some(bits) = v6 {
            config = config.with_ipv6_prefix(bits).unwrap();
        }
        if let Some(bytes) = memory {
            config = config.with_table_memory(bytes);
        }
        if let Some(preallocate) = preallocation {
            config = config.with_preallocation(preallocate);
        }
        config
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_limiter_agrees_with_a_plain_map(run in runs(300)) {
        oracle::check_operations(run.as_flattened());
    }

    #[test]
    fn a_limiter_agrees_with_a_plain_map_in_long_quiet_runs(
        setup: [u8; 4],
        run in vec((0..18u8, 0..64u8, any::<u8>()).prop_map(|(code, a, b)| [code, a, b, 0]), 1..1500),
    ) {
        oracle::check_operations(&[&setup, run.as_flattened()].concat());
    }

    #[test]
    fn a_limiter_agrees_with_a_plain_map_while_crowds_come_and_go(
        setup: [u8; 4],
        run in vec((prop_oneof![Just(22u8), Just(23), 0..19u8], any::<[u8; 2]>(), 7..10u8)
            .prop_map(|(code, [a, b], size)| [code, a, if code == 22 { size } else { b }, 0]), 1..24),
    ) {
        oracle::check_operations(&[&setup, run.as_flattened()].concat());
    }

    #[test]
    fn two_addresses_share_a_count_exactly_when_the_rule_says_so(pair: [u8; 32], knobs: [u8; 4]) {
        oracle::keys::check(&[knobs.as_slice(), &pair].concat());
    }

    #[test]
    fn neighbouring_addresses_are_told_apart_at_the_end_of_the_prefix(
        addr: Ipv6Addr,
        prefix in 1..=128u8,
    ) {
        let last_bit_of_prefix = 1u128 << (128 - prefix);
        let outside = Ipv6Addr::from_bits(addr.to_bits() ^ last_bit_of_prefix);
        oracle::keys::check_pair(addr.into(), outside.into(), 32, prefix);
        if prefix < 128 {
            let inside = Ipv6Addr::from_bits(addr.to_bits() ^ last_bit_of_prefix >> 1);
            oracle::keys::check_pair(addr.into(), inside.into(), 32, prefix);
        }
    }

    #[test]
    fn a_limiter_shows_the_configuration_it_was_given(config in any_config()) {
        // Preallocating takes the memory at once, and the bound here may be all there is.
        let config = config.with_preallocation(false);
        let limiter = Limiter::new(config.clone());
        let shown = limiter.config();
        prop_assert_eq!(shown.max_per_client(), config.max_per_client());
        prop_assert_eq!(shown.ipv4_prefix(), config.ipv4_prefix());
        prop_assert_eq!(shown.ipv6_prefix(), config.ipv6_prefix());
        prop_assert_eq!(shown.table_memory(), config.table_memory());
        prop_assert_eq!(shown.when_full(), config.when_full());
        prop_assert_eq!(limiter.set_config(config), Ok(()));
        prop_assert_eq!(limiter.config(), shown);
    }

    #[test]
    fn names_share_a_count_exactly_when_they_are_equal(first: Vec<u8>, second: Vec<u8>) {
        let limiter = Limiter::new(Config::new(1));
        let _held = limiter.try_acquire(Client::named(&first)).unwrap();
        let open = limiter.open_connections(Client::named(&second));
        prop_assert_eq!(open, u32::from(first == second));
        prop_assert_eq!(limiter.open_connections(Client::named(&first)), 1);
    }

    #[cfg(feature = "serde")]
    #[test]
    fn a_configuration_survives_being_written_and_read(config in any_config()) {
        let text = serde_json::to_string(&config).unwrap();
        prop_assert_eq!(serde_json::from_str::<Config>(&text).unwrap(), config);
    }

    #[cfg(feature = "serde")]
    #[test]
    fn a_written_configuration_is_checked_as_a_built_one(
        field in 0..3usize,
        value in prop_oneof![0..300u64, (1 << 20) - 2..(1 << 20) + 2u64, any::<u64>()],
    ) {
        let config = || Config::new(7);
        let (name, built) = match field {
            0 => ("ipv4_prefix", u8::try_from(value).ok().and_then(|bits| config().with_ipv4_prefix(bits).ok())),
            1 => ("ipv6_prefix", u8::try_from(value).ok().and_then(|bits| config().with_ipv6_prefix(bits).ok())),
            _ => ("table_memory", usize::try_from(value).ok().filter(|&bytes| bytes >= 1 << 20).map(|bytes| config().with_table_memory(bytes))),
        };
        let read = serde_json::from_str::<Config>(&format!("{{\"max_per_client\":7,\"{name}\":{value}}}"));
        prop_assert_eq!(read.ok(), built);
    }

    #[cfg(feature = "serde")]
    #[test]
    fn no_text_is_read_as_a_broken_configuration(text in r#"\{("(max_per_client|ipv4_prefix|ipv6_prefix|table_memory|preallocation|when_full)":(-?[0-9]{1,20}|null|true|"reject"|"admit-untracked"),?){0,6}\}?"#) {
        oracle::config_text::check(text.as_bytes());
    }
}

#[test]
fn a_builder_takes_what_is_in_range_and_names_what_is_not() {
    let config = Config::new(7);
    for bits in 0..=u8::MAX {
        let built = config.clone().with_ipv4_prefix(bits);
        let error = ConfigError::Ipv4Prefix(bits);
        let expected = if bits <= 32 { Ok(bits) } else { Err(error) };
        assert_eq!(built.map(|config| config.ipv4_prefix()), expected);

        let built = config.clone().with_ipv6_prefix(bits);
        let error = ConfigError::Ipv6Prefix(bits);
        let expected = if bits <= 128 { Ok(bits) } else { Err(error) };
        assert_eq!(built.map(|config| config.ipv6_prefix()), expected);
    }
    for bytes in [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, usize::MAX] {
        assert_eq!(config.clone().with_table_memory(bytes).table_memory(), bytes.max(1 << 20));
    }
    assert_eq!(config.max_per_client(), 7);
}

#[test]
fn a_configuration_says_its_limit_and_counts_every_address_for_itself() {
    let config = Config::new(7);
    assert_eq!(config.max_per_client(), 7);
    assert_eq!((config.ipv4_prefix(), config.ipv6_prefix()), (32, 128));
    assert_eq!(config.table_memory(), 256 << 20);
    assert!(!config.preallocation());
    assert_eq!(config.when_full(), WhenFull::Reject);
}

#[cfg(feature = "serde")]
#[test]
fn an_unknown_field_is_an_error_that_names_it() {
    let error = serde_json::from_str::<Config>(r#"{"max_per_cleint":3}"#).unwrap_err();
    assert!(error.to_string().contains("max_per_cleint"), "{error}");
}
