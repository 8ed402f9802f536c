//! `Config::counted_as` says what the limiter does.

use connlimit::config::{Embedded, EmbeddedPolicy};
use connlimit::{Client, Config, Limiter};
use core::net::Ipv6Addr;
use proptest::prelude::*;

fn address() -> impl Strategy<Value = Ipv6Addr> {
    // Plain addresses, IPv4-mapped ones, and those of the well-known NAT64 prefix, 6to4 and Teredo.
    let networks = prop_oneof![
        Just((0, 0)),
        Just((0xffff_u128 << 32, 96)),
        Just((0x0064_ff9b << 96, 96)),
        Just((0x2002 << 112, 16)),
        Just((0x2001_0000 << 96, 32)),
    ];
    (networks, any::<u128>()).prop_map(|((network, bits), rest)| {
        Ipv6Addr::from_bits(network | rest & u128::MAX.checked_shr(bits).unwrap_or(0))
    })
}

proptest! {
    #[test]
    fn a_limiter_reports_the_client_that_its_configuration_names(
        addr in address(),
        v4 in 0..=32_u8,
        v6 in 0..=128_u8,
        nat64 in prop_oneof![Just(Embedded::KeepAddress), Just(Embedded::OwnClient), Just(Embedded::SameAsIpv4)],
    ) {
        let policy = EmbeddedPolicy::new().with_nat64(nat64);
        let config = Config::new(1).with_ipv4_prefix(v4).unwrap().with_ipv6_prefix(v6).unwrap().with_embedded(policy);
        let limiter = Limiter::new(config.clone());
        let _permit = limiter.try_acquire(addr).unwrap();
        let seen: Vec<Client> = limiter.clients().map(|seen| seen.client).collect();
        prop_assert_eq!(seen, [config.counted_as(addr)]);
    }

    #[test]
    fn digests_of_callers_and_names_never_meet(digest: u128, name: String) {
        let (caller, named) = (Client::from_digest(digest), Client::named(&name));
        prop_assert_ne!(caller, named);
        prop_assert_eq!(caller.digest(), Some(digest | 1));
        prop_assert_eq!(named.digest(), None);
        prop_assert_eq!(caller.ip(), None);
    }
}

#[test]
fn a_client_with_a_digest_is_counted_like_any_other() {
    let limiter = Limiter::new(Config::new(1));
    let _permit = limiter.try_acquire(Client::from_digest(7)).unwrap();
    assert!(limiter.try_acquire(Client::from_digest(7)).is_err());
    assert!(limiter.try_acquire(Client::from_digest(9)).is_ok());
}
