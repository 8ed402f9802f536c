//! Who is meant by an IPv6 address that embeds the address of an IPv4 client: behind NAT64, 6to4 and Teredo.
//!
//! An IPv6 prefix is wrong for them in both directions. All of `64:ff9b::/96` is in one /64, and so are all clients
//! of one Teredo server: strangers would share one limit. One 6to4 address has a whole /48, and one Teredo client
//! may pick its server: a single peer would have many limits. The embedded IPv4 address is what tells them apart.
//!
//! By default it makes a client *of its own*, never the IPv4 client itself. A 6to4 or Teredo packet may enter
//! through anybody's relay (RFC 3964, RFC 6169), and who runs one can take part in connections under any embedded
//! address: merged, it could use up a stranger's IPv4 limit. NAT64 prefixes lead to the operator's own translator
//! and can be trusted further, but only the operator knows that they do.
//!
//! ISATAP (RFC 5214) is left alone on purpose. Its IPv4 address is in the interface identifier, which each host
//! sets as it likes: a peer with one /64 would have 2^32 clients. So are IPv4-compatible addresses, `::1` among
//! them: they are deprecated (RFC 4291, section 2.5.5.1) and not seen on the wire.

use crate::config::{Embedded, EmbeddedPolicy, Nat64};
use core::net::{Ipv4Addr, Ipv6Addr};

#[cfg(test)]
mod tests;

/// An IPv6 address that has been looked into, before a prefix is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Canonical {
    V4(Ipv4Addr),
    V6(Ipv6Addr),
    /// The mechanism's network and, in the last 32 bits, the embedded address. The IPv6 prefix does not
    /// apply.
    Own(Ipv6Addr),
}

impl Canonical {
    /// The client's network.
    #[inline]
    pub(crate) const fn masked(self, v4_mask: u32, v6_mask: u128) -> Self {
        match self {
            Self::V4(addr) => Self::V4(Ipv4Addr::from_bits(addr.to_bits() & v4_mask)),
            Self::V6(addr) => Self::V6(Ipv6Addr::from_bits(addr.to_bits() & v6_mask)),
            Self::Own(addr) => Self::Own(Ipv6Addr::from_bits(addr.to_bits() & !((!v4_mask) as u128))),
        }
    }
}

const WELL_KNOWN: Nat64 = Nat64::new(0x0064_ff9b << 96, 96, Embedded::OwnClient);
const SIX_TO_FOUR: u128 = 0x2002 << 112;
const TEREDO: u128 = 0x2001_0000 << 96;

/// Who is meant by an IPv6 address.
///
/// Clients of their own keep the network of their mechanism, so they meet no other address: all addresses of these
/// networks come through here, and what is left of them as plain IPv6 (bits 64 to 71 set, below a configured prefix)
/// ends, once masked, in 32 zero bits or has bits set that an own client has not.
#[inline]
pub(crate) fn canonical(addr: Ipv6Addr, policy: &EmbeddedPolicy) -> Canonical {
    if let Some(v4) = addr.to_ipv4_mapped() {
        return Canonical::V4(v4);
    }
    let raw = addr.to_bits();
    for prefix in policy.configured() {
        if prefix.covers(raw) {
            return match prefix.embedded_in(raw) {
                Some(v4) => decide(addr, prefix.network, v4, prefix.embedded, true),
                None => Canonical::V6(addr),
            };
        }
    }
    if WELL_KNOWN.covers(raw) {
        decide(addr, WELL_KNOWN.network, last(raw), policy.nat64(), false)
    } else if raw >> 112 == SIX_TO_FOUR >> 112 {
        decide(addr, SIX_TO_FOUR, last(raw >> 80), Embedded::OwnClient, false)
    } else if raw >> 96 == TEREDO >> 96 {
        // Obfuscated, so that no translator on the way rewrites it (RFC 4380, section 4).
        decide(addr, TEREDO, last(!raw), Embedded::OwnClient, false)
    } else {
        Canonical::V6(addr)
    }
}

fn decide(addr: Ipv6Addr, network: u128, v4: Ipv4Addr, embedded: Embedded, configured: bool) -> Canonical {
    match embedded {
        Embedded::KeepAddress => Canonical::V6(addr),
        Embedded::SameAsIpv4 if configured || is_public(v4) => Canonical::V4(v4),
        Embedded::OwnClient | Embedded::SameAsIpv4 => Canonical::Own((network | u128::from(v4.to_bits())).into()),
    }
}

/// The last 32 bits as an address.
const fn last(raw: u128) -> Ipv4Addr {
    let [.., a, b, c, d] = raw.to_be_bytes();
    Ipv4Addr::new(a, b, c, d)
}

/// Whether an address may be a client's on the public Internet: the IANA special-purpose registry ([RFC 6890])
/// without the documentation networks, which nobody has.
///
/// [RFC 6890]: https://www.rfc-editor.org/rfc/rfc6890
const fn is_public(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    let special = matches!(
        (a, b, c),
        (0 | 10 | 127 | 224.., _, _)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 168, _)
            | (192, 0, 0)
            | (192, 88, 99)
            | (198, 18..=19, _)
    );
    !special
}
