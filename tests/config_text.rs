//! Configurations as text: what they have to say, what errors name, and that TOML, JSON and YAML say the same.
#![cfg(feature = "serde")]

use connlimit::Config;
use connlimit::config::{Limit, WhenFull};

fn toml(text: &str) -> Result<Config, String> {
    toml::from_str(text).map_err(|error| error.to_string())
}

fn json(text: &str) -> Result<Config, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn yaml(text: &str) -> Result<Config, String> {
    serde_saphyr::from_str(text).map_err(|error| error.to_string())
}

/// Reads what each format writes.
fn round_trip(config: &Config) {
    let text = toml::to_string(config).unwrap();
    assert_eq!(toml::from_str::<Config>(&text).as_ref(), Ok(config), "{text}");
    let text = serde_json::to_string(config).unwrap();
    assert_eq!(&serde_json::from_str::<Config>(&text).unwrap(), config, "{text}");
    let text = serde_saphyr::to_string(config).unwrap();
    assert_eq!(&serde_saphyr::from_str::<Config>(&text).unwrap(), config, "{text}");
}

#[test]
fn a_file_without_a_limit_for_clients_is_an_error() {
    for (format, read) in [
        ("TOML", toml("soft_percent = 50").map(|_| ())),
        ("empty TOML", toml("").map(|_| ())),
        ("JSON", json(r#"{"soft_percent": 50}"#).map(|_| ())),
        ("YAML", yaml("soft_percent: 50").map(|_| ())),
        ("a shadow in TOML", toml("max_per_client = 1\n[shadow]\ncounting = true").map(|_| ())),
    ] {
        let error = read.expect_err(format);
        assert!(error.contains("missing field `max_per_client`"), "{format}: {error}");
    }
}

#[test]
fn no_limit_has_to_be_said_in_words_everywhere() {
    let unlimited =
        Config::new(Limit::Unlimited).with_max_total(Limit::Unlimited).with_tier(24, 48, Limit::Unlimited).unwrap();
    let text = r#"
        max_per_client = "unlimited"
        max_total = "unlimited"
        tiers = [{ ipv4_prefix = 24, ipv6_prefix = 48, limit = "unlimited" }]
    "#;
    assert_eq!(toml(text), Ok(unlimited.clone()));
    round_trip(&unlimited);
    for zero in [
        "max_per_client = 0",
        "max_per_client = 1\nmax_total = 0",
        "max_per_client = 1\ntiers = [{ ipv4_prefix = 24, ipv6_prefix = 48, limit = 0 }]",
    ] {
        let error = toml(zero).expect_err(zero);
        assert!(error.contains("a number of connections from 1 to 4294967295, \"unlimited\" or \"deny\""), "{error}");
    }
    for wrong in ["-1", "4294967296", "\"none\"", "true", "1.5"] {
        toml(&format!("max_per_client = {wrong}")).expect_err(wrong);
    }
}

#[test]
fn a_limit_that_admits_nothing_survives_the_way_back() {
    let closed = Config::new(0).with_max_total(0).with_shadow(Config::new(7));
    round_trip(&closed);
    assert_eq!(toml("max_per_client = \"deny\"").unwrap().max_per_client(), 0);
}

#[test]
fn everything_that_can_be_set_survives_the_way_back_in_each_format() {
    let config = Config::new(16)
        .with_ipv6_prefix(64)
        .unwrap()
        .with_table_memory(64 << 20)
        .with_preallocation(true)
        .with_tier(24, 48, 256)
        .unwrap()
        .with_tier(16, 32, Limit::Unlimited)
        .unwrap()
        .with_max_total(100_000)
        .with_soft_percent(80)
        .with_counting(true)
        .with_when_full(WhenFull::AdmitUntracked)
        .with_embedded(
            connlimit::config::EmbeddedPolicy::new()
                .with_nat64_prefix("2001:db8:46::".parse().unwrap(), 96, connlimit::config::Embedded::SameAsIpv4)
                .unwrap(),
        )
        .with_shadow(Config::new(8).with_max_total(50_000));
    round_trip(&config);
}

#[cfg(feature = "rules")]
#[test]
fn the_action_of_a_rule_is_a_number_or_a_word_in_each_format() {
    use connlimit::config::Action;
    let rules = [
        ("10.0.0.0/8".parse().unwrap(), Action::Limit(500)),
        ("127.0.0.0/8".parse().unwrap(), Action::Unlimited),
        ("192.0.2.0/24".parse().unwrap(), Action::Deny),
    ];
    let config = Config::new(16).with_rules(rules).unwrap();
    round_trip(&config);
    let in_toml = r#"
        max_per_client = 16
        rules = [
            { network = "10.0.0.0/8", action = 500 },
            { network = "127.0.0.0/8", action = "unlimited" },
            { network = "192.0.2.0/24", action = "deny" },
        ]
    "#;
    let in_json = r#"{"max_per_client": 16, "rules": [
        {"network": "10.0.0.0/8", "action": 500},
        {"network": "127.0.0.0/8", "action": "unlimited"},
        {"network": "192.0.2.0/24", "action": "deny"}
    ]}"#;
    let in_yaml = "
max_per_client: 16
rules:
  - network: 10.0.0.0/8
    action: 500
  - network: 127.0.0.0/8
    action: unlimited
  - network: 192.0.2.0/24
    action: deny
";
    assert_eq!(toml(in_toml).as_ref(), Ok(&config));
    assert_eq!(json(in_json).as_ref(), Ok(&config));
    assert_eq!(yaml(in_yaml).as_ref(), Ok(&config));
}

#[test]
fn an_error_names_its_key_and_what_would_be_right() {
    let tier = |v4: u8, v6: u8| format!("{{ ipv4_prefix = {v4}, ipv6_prefix = {v6}, limit = 1 }}");
    let tiers = |tiers: &[(u8, u8)]| {
        format!("tiers = [{}]", tiers.iter().map(|&(v4, v6)| tier(v4, v6)).collect::<Vec<_>>().join(", "))
    };
    let mut cases = vec![
        ("soft_percent = 101".to_owned(), "soft_percent: soft share of 101 percent is above 100"),
        ("shadow = { max_per_client = 1, soft_percent = 101 }".to_owned(), "shadow.soft_percent: soft share of 101"),
        ("ipv4_prefix = 33".to_owned(), "ipv4_prefix: IPv4 prefix length 33 is above 32"),
        ("ipv6_prefix = 129".to_owned(), "ipv6_prefix: IPv6 prefix length 129 is above 128"),
        ("table_memory = 1024".to_owned(), "table_memory: table memory of 1024 bytes is below 1 MiB"),
        (tiers(&[(8, 8), (9, 8)]), "tiers[1]: tier of /9 (IPv4) and /8 (IPv6): its networks are narrower"),
        (tiers(&[(8, 8), (8, 8)]), "tiers[1]: tier of /8 (IPv4) and /8 (IPv6): the same prefix lengths stand twice"),
        (
            tiers(&[(32, 64), (24, 56), (16, 48), (8, 32), (0, 0)]),
            "tiers[4]: tier of /0 (IPv4) and /0 (IPv6): there are four tiers already",
        ),
        (tiers(&[(33, 0)]), "tiers[0]: IPv4 prefix length 33 is above 32"),
        (
            "embedded = { nat64_prefixes = [{ network = \"2001:db8::/95\" }] }".to_owned(),
            "nat64_prefixes[0]: 2001:db8::/95 is no NAT64 prefix: it has 32, 40, 48, 56, 64 or 96 bits",
        ),
        (
            "embedded = { nat64_prefixes = [{ network = \"2001:db8::\" }] }".to_owned(),
            "nat64_prefixes[0]: \"2001:db8::\" is not a network in the form 2001:db8:46::/96",
        ),
        ("unknown_peer = \"drop\"".to_owned(), "unknown variant `drop`, expected `reject` or `admit-untracked`"),
        ("limit = 5".to_owned(), "unknown field `limit`"),
    ];
    if cfg!(feature = "rules") {
        let rule = |network: &str, action: &str| format!("rules = [{{ network = \"{network}\", action = {action} }}]");
        cases.extend([
            (
                rule("10.0.0.1", "5"),
                "rules[0]: rule for 10.0.0.1: not a network in the form address/prefix length; for one address say 10.0.0.1/32",
            ),
            (rule("10.0.0.1/8", "5"), "rules: rule for 10.0.0.1/8: the address has bits beyond the prefix"),
            (rule("10.0.0.0/8", "0"), "expected a number of connections from 1 to 4294967295, \"unlimited\" or \"deny\""),
            (rule("10.0.0.0/8", "\"drop\""), "invalid value: string \"drop\", expected a number of connections"),
        ]);
    }
    for (line, words) in cases {
        let error = toml(&format!("max_per_client = 1\n{line}")).expect_err(&line);
        assert!(error.contains(words), "{line}:\n{error}\ndoes not say: {words}");
    }
}
