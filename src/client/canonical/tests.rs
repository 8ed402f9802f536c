use super::*;
use core::net::{IpAddr, SocketAddrV6};
use proptest::prelude::*;

/// The network that makes the client, as text would have it.
fn client(addr: Ipv6Addr, policy: &EmbeddedPolicy, v4: u8, v6: u8) -> (IpAddr, u8) {
    let v4_mask = u32::MAX.checked_shl(32 - u32::from(v4)).unwrap_or(0);
    let v6_mask = u128::MAX.checked_shl(128 - u32::from(v6)).unwrap_or(0);
    match canonical(addr, policy).masked(v4_mask, v6_mask) {
        Canonical::V4(addr) => (addr.into(), v4),
        Canonical::V6(addr) => (addr.into(), v6),
        Canonical::Own(addr) => (addr.into(), 96 + v4),
    }
}

type Parsed<T> = Result<T, Box<dyn core::error::Error>>;

fn split<'a>(text: &'a str, at: &str) -> Parsed<(&'a str, &'a str)> {
    Ok(text.rsplit_once(at).ok_or_else(|| format!("no {at:?} in {text:?}"))?)
}

fn parse_policy(text: &str) -> Parsed<EmbeddedPolicy> {
    let mut policy = EmbeddedPolicy::default();
    for rule in text.split(' ').filter(|&rule| rule != "default") {
        let (mechanism, embedded) = split(rule, "=")?;
        let embedded = match embedded {
            "keep" => Embedded::KeepAddress,
            "own" => Embedded::OwnClient,
            "same" => Embedded::SameAsIpv4,
            other => return Err(other.into()),
        };
        policy = match mechanism {
            "nat64" => policy.with_nat64(embedded),
            prefix => {
                let (network, bits) = split(prefix, "/")?;
                policy.with_nat64_prefix(network.parse()?, bits.parse()?, embedded)?
            }
        };
    }
    Ok(policy)
}

fn check(line: &str) -> Parsed<()> {
    let [addr, policy, v4, v6, expected] = line.split(',').collect::<Vec<_>>()[..] else {
        return Err("not five columns".into());
    };
    // Only a socket address may have a zone in its text.
    let addr: SocketAddrV6 = format!("[{addr}]:0").parse()?;
    let (network, bits) = split(expected, "/")?;
    let expected = (network.parse::<IpAddr>()?, bits.parse()?);
    let found = client(*addr.ip(), &parse_policy(policy)?, v4.parse()?, v6.parse()?);
    if found != expected {
        return Err(format!("found {}/{}", found.0, found.1).into());
    }
    Ok(())
}

#[test]
fn the_published_vectors_hold() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/client_vectors.csv");
    let vectors = std::fs::read_to_string(path).expect("the vectors are in the package");
    let mut lines = vectors.lines().filter(|line| !line.starts_with('#'));
    assert_eq!(lines.next(), Some("address,policy,ipv4_prefix,ipv6_prefix,client"));
    let faults: Vec<_> =
        lines.clone().filter_map(|line| check(line).err().map(|fault| format!("{line}: {fault}"))).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(lines.count() > 70, "vectors are missing");
}

#[test]
fn a_prefix_that_rfc_6052_does_not_allow_is_rejected() -> Parsed<()> {
    for (network, bits) in [
        ("2001:db8::", 0),
        ("2001:db8::", 33),
        ("2001:db8::", 65),
        ("2001:db8::", 128),
        ("2001:db8::", 255),
        ("2001:db8:1::", 32),
        ("2001:db8::1", 96),
        ("2001:db8:0:0:100::", 96),
        ("::ffff:0:0", 96),
    ] {
        let network = network.parse()?;
        assert_eq!(
            EmbeddedPolicy::default().with_nat64_prefix(network, bits, Embedded::OwnClient),
            Err(crate::config::ConfigError::Nat64Prefix(network, bits))
        );
    }
    Ok(())
}

#[test]
fn a_prefix_given_again_has_its_last_decision() -> Parsed<()> {
    let policy = parse_policy("2001:db8::/96=keep 2001:db8::/32=own 2001:db8::/96=same")?;
    let prefixes: Vec<_> = policy.nat64_prefixes().collect();
    let network: Ipv6Addr = "2001:db8::".parse()?;
    assert_eq!(prefixes, [(network, 96, Embedded::SameAsIpv4), (network, 32, Embedded::OwnClient)]);
    assert_eq!(policy, parse_policy("2001:db8::/32=own 2001:db8::/96=same")?);
    Ok(())
}

#[derive(Clone, Copy, Debug)]
enum Via {
    Nat64,
    Configured(u8),
    SixToFour,
    Teredo,
}

impl Via {
    /// An address that embeds `v4`; `noise` fills whatever else may vary.
    fn embed(self, v4: Ipv4Addr, noise: u128) -> Ipv6Addr {
        let v4 = u128::from(v4.to_bits());
        let raw = match self {
            Self::Nat64 => 0x0064_ff9b << 96 | v4,
            Self::Configured(96) => CONFIGURED << 96 | v4,
            Self::Configured(bits) => {
                // The bits around the reserved octet, as one run of 120.
                let run = v4 << (88 - bits) | noise & ((1 << (88 - bits)) - 1);
                CONFIGURED << 96 | run >> 56 << 64 | run & ((1 << 56) - 1)
            }
            Self::SixToFour => 0x2002 << 112 | v4 << 80 | noise & ((1 << 80) - 1),
            Self::Teredo => 0x2001_0000 << 96 | (noise & ((1 << 64) - 1)) << 32 | v4 ^ u128::from(u32::MAX),
        };
        raw.into()
    }

    fn policy(self, embedded: Embedded) -> EmbeddedPolicy {
        let policy = EmbeddedPolicy::default().with_nat64(embedded);
        match self {
            Self::Configured(bits) => {
                policy.with_nat64_prefix((CONFIGURED << 96).into(), bits, embedded).expect("one of the allowed lengths")
            }
            _ => policy,
        }
    }
}

/// `2001:db8::`, without its zeros.
const CONFIGURED: u128 = 0x2001_0db8;

/// The ways that an operator decides about.
fn translators() -> impl Strategy<Value = Via> {
    vias().prop_filter("nobody decides about these", |via| !matches!(via, Via::SixToFour | Via::Teredo))
}

fn vias() -> impl Strategy<Value = Via> {
    prop_oneof![
        Just(Via::Nat64),
        prop::sample::select(vec![32, 40, 48, 56, 64, 96]).prop_map(Via::Configured),
        Just(Via::SixToFour),
        Just(Via::Teredo),
    ]
}

proptest! {
    #[test]
    fn an_own_client_is_its_ipv4_network_whatever_else_varies(
        via in vias(),
        a: Ipv4Addr,
        near in 0..4_u32,
        noise: [u128; 2],
        v4 in 0..=32_u8,
        v6 in 0..=128_u8,
    ) {
        let b = Ipv4Addr::from(a.to_bits() ^ near);
        let policy = via.policy(Embedded::OwnClient);
        let mask = u32::MAX.checked_shl(32 - u32::from(v4)).unwrap_or(0);
        prop_assert_eq!(
            client(via.embed(a, noise[0]), &policy, v4, v6)
                == client(via.embed(b, noise[1]), &policy, v4, v6),
            a.to_bits() & mask == b.to_bits() & mask
        );
    }

    #[test]
    fn an_own_client_is_no_other_client(
        via in vias(),
        a: Ipv4Addr,
        noise: u128,
        other: u128,
        kept_bits in 0..=128_u32,
        v6 in 0..=128_u8,
    ) {
        prop_assume!(!a.is_unspecified());
        let policy = via.policy(Embedded::OwnClient);
        let own = canonical(via.embed(a, noise), &policy);
        let Canonical::Own(own_addr) = own else {
            return Err(TestCaseError::fail(format!("{own:?}")));
        };
        // An address that shares leading bits with the client's, to come near it.
        let kept = u128::MAX.checked_shl(128 - kept_bits).unwrap_or(0);
        let other = Ipv6Addr::from(own_addr.to_bits() & kept | other & !kept);
        if let Canonical::V6(_) = canonical(other, &policy) {
            prop_assert_ne!(IpAddr::V6(own_addr), client(other, &policy, 32, v6).0);
        }
    }

    #[test]
    fn the_same_client_as_over_ipv4_is_that_client(
        via in translators(),
        octets in (11..=99_u8, any::<u8>(), any::<u8>(), any::<u8>()),
        noise: u128,
    ) {
        let a = Ipv4Addr::new(octets.0, octets.1, octets.2, octets.3);
        prop_assert_eq!(
            canonical(via.embed(a, noise), &via.policy(Embedded::SameAsIpv4)),
            Canonical::V4(a)
        );
    }

    #[test]
    fn a_kept_address_is_itself(via in translators(), a: Ipv4Addr, noise: u128) {
        let addr = via.embed(a, noise);
        prop_assert_eq!(
            canonical(addr, &via.policy(Embedded::KeepAddress)),
            Canonical::V6(addr)
        );
    }

    #[test]
    fn a_client_behind_6to4_or_teredo_is_its_own_under_every_policy(via in vias(), a: Ipv4Addr, noise: u128) {
        prop_assume!(matches!(via, Via::SixToFour | Via::Teredo));
        for embedded in [Embedded::KeepAddress, Embedded::OwnClient, Embedded::SameAsIpv4] {
            let own = canonical(via.embed(a, noise), &via.policy(embedded));
            prop_assert!(matches!(own, Canonical::Own(_)), "{:?}", own);
        }
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_client_under_every_policy(via in vias(), a: Ipv4Addr) {
        for embedded in [Embedded::KeepAddress, Embedded::OwnClient, Embedded::SameAsIpv4] {
            prop_assert_eq!(
                canonical(a.to_ipv6_mapped(), &via.policy(embedded)),
                Canonical::V4(a)
            );
        }
    }
}
