//! IPv4 clients in IPv6 addresses, as a limiter counts them.

use connlimit::{
    Config, Limiter, Rejected,
    config::{ConfigError, Embedded, EmbeddedPolicy},
};
use core::error::Error;
use core::net::IpAddr;

fn addr(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn strangers_behind_one_translator_do_not_share_a_limit() -> Result<(), Box<dyn Error>> {
    let limiter = Limiter::new(Config::new(1).with_ipv6_prefix(64)?);
    let _one = limiter.try_acquire(addr("64:ff9b::192.0.2.1"))?;
    let _two = limiter.try_acquire(addr("64:ff9b::192.0.2.2"))?;
    assert_eq!(limiter.try_acquire(addr("64:ff9b::192.0.2.1")).err(), Some(Rejected::ClientLimit));
    assert_eq!(limiter.open_connections(addr("192.0.2.1")), 0);
    Ok(())
}

#[test]
fn a_6to4_site_has_one_limit_and_cannot_use_up_an_ipv4_clients() -> Result<(), Box<dyn Error>> {
    let limiter = Limiter::new(Config::new(1).with_ipv6_prefix(64)?);
    let _one = limiter.try_acquire(addr("2002:c000:201:1::1"))?;
    assert!(limiter.try_acquire(addr("2002:c000:201:2::1")).is_err());
    let _direct = limiter.try_acquire(addr("192.0.2.1"))?;
    Ok(())
}

#[test]
fn the_policy_is_fixed_when_the_limiter_is_built() {
    let kept = EmbeddedPolicy::default().with_nat64(Embedded::KeepAddress);
    let limiter = Limiter::new(Config::new(1).with_embedded(kept.clone()));
    assert_eq!(limiter.set_config(Config::new(2)), Ok(()));
    assert_eq!(limiter.config().embedded(), &kept);
    assert_eq!(limiter.set_config(Config::new(2).with_embedded(kept)), Ok(()));
    assert!(matches!(
        limiter.set_config(Config::new(2).with_embedded(EmbeddedPolicy::default())),
        Err(ConfigError::FixedAtBuild(_))
    ));
}

#[cfg(feature = "serde")]
#[test]
fn a_policy_survives_being_written_and_read() -> Result<(), Box<dyn Error>> {
    let policy = EmbeddedPolicy::default().with_nat64(Embedded::SameAsIpv4).with_nat64_prefix(
        "2001:db8:46::".parse()?,
        96,
        Embedded::SameAsIpv4,
    )?;
    let config = Config::new(3).with_embedded(policy);
    let text = serde_json::to_string(&config)?;
    assert_eq!(serde_json::from_str::<Config>(&text)?, config, "{text}");
    Ok(())
}

#[cfg(feature = "serde")]
#[test]
fn a_written_policy_is_checked_when_it_is_read() -> Result<(), Box<dyn Error>> {
    let read = |bits: u8| {
        serde_json::from_str::<Config>(&format!(
            r#"{{"max_per_client": 1, "embedded": {{"nat64_prefixes": [{{"network": "2001:db8::/{bits}"}}]}}}}"#
        ))
    };
    let config = read(96)?;
    let prefixes: Vec<_> = config.embedded().nat64_prefixes().collect();
    assert_eq!(prefixes, [("2001:db8::".parse()?, 96, Embedded::OwnClient)]);
    let fault = read(97).expect_err("RFC 6052 has no such length").to_string();
    assert!(fault.contains("nat64_prefixes[0]: 2001:db8::/97 is no NAT64 prefix"), "{fault}");
    Ok(())
}
