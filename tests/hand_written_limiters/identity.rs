//! Who is counted as whom, and what the peer is told.

use super::CLIENT;
use connlimit::{Config, Limiter, Rejected};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The prefix is taken of the mapped form: all of IPv4 becomes `::` and shares one count.
#[test]
fn masking_happens_after_unmapping() {
    for prefix in [0, 32, 64, 80, 95, 96, 97, 127, 128] {
        let config = Config::new(1).with_ipv6_prefix(prefix).unwrap();
        let limiter = Limiter::new(config);
        let first = limiter.try_acquire(Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped());
        let second = limiter.try_acquire(Ipv4Addr::new(198, 51, 100, 7).to_ipv6_mapped());
        assert!(first.is_ok() && second.is_ok(), "prefix {prefix}");
        assert!(limiter.try_acquire(Ipv6Addr::UNSPECIFIED).is_ok(), "prefix {prefix}");
    }
}

/// One peer under two addresses: an IPv4 client and its mapped form each get a full allowance.
#[test]
fn a_mapped_address_is_no_second_identity() {
    let limiter = Limiter::new(Config::new(1));
    let plain = IpAddr::from(CLIENT);
    let mapped = IpAddr::from(CLIENT.to_ipv6_mapped());
    let _held = limiter.try_acquire(SocketAddr::new(mapped, 50_000)).unwrap();
    assert!(limiter.try_acquire(plain).is_err());
    assert!(limiter.try_acquire(SocketAddr::new(plain, 50_001)).is_err());
    assert_eq!(limiter.open_connections(mapped), limiter.open_connections(plain));
}

/// Whole addresses as keys: one rented IPv6 network has more of them than any server has slots.
#[test]
fn one_network_cannot_take_every_slot() {
    let config = Config::new(4).with_ipv6_prefix(64).and_then(|config| config.with_ipv4_prefix(24));
    let limiter = Limiter::new(config.unwrap());
    let network = 0x2001_0db8_0000_0001_u128 << 64;
    let held: Vec<_> = (0..1000)
        .filter_map(|host| limiter.try_acquire(Ipv6Addr::from_bits(network | host)).ok())
        .chain((0..=255).filter_map(|host| limiter.try_acquire(Ipv4Addr::new(198, 51, 100, host)).ok()))
        .collect();
    assert_eq!(held.len(), 4 + 4);
    let next_network = network + (1 << 64);
    assert!(limiter.try_acquire(Ipv6Addr::from_bits(next_network)).is_ok());
}

/// Addresses that contain an IPv4 address are not all the same thing: only the mapped form is that client. The other
/// ones are as easily written by anybody.
#[test]
fn addresses_that_only_look_mapped_are_kept_apart() {
    let limiter = Limiter::new(Config::new(1));
    let _plain = limiter.try_acquire(CLIENT).unwrap();
    let like = [
        "::192.0.2.1",
        "::ffff:0:192.0.2.1",
        "64:ff9b::192.0.2.1",
        "2002:c000:201::",
        "::fffe:192.0.2.1",
        "100::ffff:192.0.2.1",
    ];
    let held: Vec<_> =
        like.iter().map(|text| limiter.try_acquire(text.parse::<Ipv6Addr>().unwrap()).expect(text)).collect();
    assert_eq!(held.len(), like.len());
    assert_eq!(limiter.open_connections(CLIENT), 1);
    // Two clients behind one translator are two clients where addresses are counted whole.
    assert!(limiter.try_acquire("64:ff9b::192.0.2.2".parse::<Ipv6Addr>().unwrap()).is_ok());
}

/// A rejection that tells the peer how many connections it has, and how many it may have, helps it to aim.
#[test]
fn a_rejection_tells_the_peer_no_number() {
    let limiter = Limiter::new(Config::new(1));
    let _held = limiter.try_acquire(CLIENT).unwrap();
    for rejection in [limiter.try_acquire(CLIENT).unwrap_err(), Rejected::TableFull] {
        let text = rejection.to_string();
        assert!(!text.is_empty() && !text.contains(|letter: char| letter.is_ascii_digit()), "{text}");
    }
}
