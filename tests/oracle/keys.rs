//! Which two addresses share a count, asked of a limiter and of the rule spelt bit by bit.

use connlimit::{Config, Limiter};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Reads two addresses and two prefix lengths from `data`, and checks that a limiter counts the addresses
/// together exactly when the rule does.
pub(crate) fn check(data: &[u8]) {
    let mut bytes = [0; 36];
    for (to, from) in bytes.iter_mut().zip(data) {
        *to = *from;
    }
    let [form, v4_prefix, v6_prefix, flips, addresses @ ..] = bytes;
    let (first, second) = addresses.split_at(16);
    let first = address(form, first.try_into().expect("16 bytes"));
    let second = if form & 4 == 0 {
        address(form >> 4, second.try_into().expect("16 bytes"))
    } else {
        neighbour(first, flips, form & 8 != 0)
    };
    check_pair(first, second, v4_prefix % 33, v6_prefix % 129);
}

/// Checks one pair of addresses; both ways round, since the first of two builds the entry.
///
/// # Panics
///
/// When a limiter and the rule disagree.
pub(crate) fn check_pair(first: IpAddr, second: IpAddr, v4_prefix: u8, v6_prefix: u8) {
    let config = Config::new(1)
        .with_ipv4_prefix(v4_prefix)
        .and_then(|config| config.with_ipv6_prefix(v6_prefix))
        .expect("prefix lengths in range")
        .with_embedded(super::AS_THEY_ARE);
    let shared = share_a_count(first, second, v4_prefix, v6_prefix);
    for (holder, other) in [(first, second), (second, first)] {
        let limiter = Limiter::new(config.clone());
        let _held = limiter.try_acquire(holder).expect("an empty limiter admits");
        assert_eq!(
            limiter.open_connections(other),
            u32::from(shared),
            "{other} beside {holder}, prefixes {v4_prefix} and {v6_prefix}"
        );
        assert_eq!(
            limiter.try_acquire(other).is_err(),
            shared,
            "{other} beside {holder}, prefixes {v4_prefix} and {v6_prefix}"
        );
    }
}

/// Two addresses are one client when they are of one family, after un-mapping, and agree in each bit of the prefix.
fn share_a_count(first: IpAddr, second: IpAddr, v4_prefix: u8, v6_prefix: u8) -> bool {
    let agree = |a: &[u8], b: &[u8], prefix: u8| {
        (0..usize::from(prefix)).all(|bit| {
            let mask = 0x80 >> (bit % 8);
            a[bit / 8] & mask == b[bit / 8] & mask
        })
    };
    match (octets(first).as_slice(), octets(second).as_slice()) {
        (a @ [_, _, _, _], b @ [_, _, _, _]) => agree(a, b, v4_prefix),
        ([one, a @ ..], [other, b @ ..]) if a.len() == 4 && b.len() == 4 => one == other && agree(a, b, v4_prefix),
        (a, b) => a.len() == b.len() && agree(a, b, v6_prefix),
    }
}

/// Four octets for an IPv4 client in whichever form it came; five for one behind 6to4 or Teredo, which is told by the
/// first; sixteen for any other.
fn octets(addr: IpAddr) -> Vec<u8> {
    match addr {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => {
            let all = v6.octets();
            match all {
                [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, v4 @ ..] => v4.to_vec(),
                [0x20, 0x02, a, b, c, d, ..] => vec![6, a, b, c, d],
                [0x20, 0x01, 0, 0, .., a, b, c, d] => vec![7, !a, !b, !c, !d],
                _ => all.to_vec(),
            }
        }
    }
}

/// An address from random bytes; `form` says which of the kinds that are easily confused.
fn address(form: u8, bytes: [u8; 16]) -> IpAddr {
    let [.., a, b, c, d] = bytes;
    let v4 = Ipv4Addr::new(a, b, c, d);
    match form & 3 {
        0 => v4.into(),
        1 => v4.to_ipv6_mapped().into(),
        2 => Ipv6Addr::from(bytes).into(),
        // Not mapped, but close to it: a handful of bits in front of an IPv4 address.
        _ => Ipv6Addr::from_bits(u128::from(bytes[0]) << (bytes[1] % 121) | u128::from(v4.to_bits())).into(),
    }
}

/// The address with one bit flipped, or unchanged, and maybe in its other form.
fn neighbour(addr: IpAddr, flip: u8, other_form: bool) -> IpAddr {
    let near: IpAddr = match addr {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() ^ 1u32.checked_shl(flip.into()).unwrap_or(0)).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() ^ 1u128.checked_shl(flip.into()).unwrap_or(0)).into(),
    };
    match near {
        IpAddr::V4(v4) if other_form => v4.to_ipv6_mapped().into(),
        IpAddr::V6(v6) if other_form => IpAddr::from(v6).to_canonical(),
        near => near,
    }
}
