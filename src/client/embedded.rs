//! IPv4 clients that come in IPv6 addresses: behind NAT64, 6to4 and Teredo.
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

use crate::ConfigError;
use core::net::{Ipv4Addr, Ipv6Addr};

#[cfg(test)]
mod tests;
#[cfg(feature = "serde")]
mod wire;

/// Who is counted when an IPv6 address embeds the address of an IPv4 client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Embedded {
    /// The IPv6 address, like any other: the [IPv6 prefix](crate::Config::with_ipv6_prefix) decides.
    KeepAddress,
    /// The embedded client: told from all others whatever the IPv6 prefix, and from the IPv4 client that has the
    /// same address. The [IPv4 prefix](crate::Config::with_ipv4_prefix) applies to the embedded address.
    #[default]
    OwnClient,
    /// The IPv4 client itself, as for an IPv4-mapped address.
    ///
    /// Choose it only where the prefix leads to a translator of your own. Otherwise whoever relays packets can use
    /// up the limit of any IPv4 client.
    ///
    /// An address that is not a client's on the public Internet (private, loopback, shared, reserved) is treated as
    /// [`OwnClient`](Self::OwnClient), except behind a [configured
    /// prefix](EmbeddedPolicy::with_nat64_prefix): no stranger becomes `127.0.0.1`.
    SameAsIpv4,
}

/// What is done with the IPv4 clients that each mechanism embeds in IPv6 addresses.
///
/// The default is [`Embedded::OwnClient`] for NAT64's well-known prefix, 6to4 and Teredo. IPv4-mapped addresses
/// (`::ffff:192.0.2.1`) are the IPv4 client always. ISATAP and IPv4-compatible addresses are never looked into: a
/// host chooses them freely.
///
/// # Examples
///
/// IPv4 clients that reach an IPv6-only server through a translator at `2001:db8:46::/96`:
///
/// ```
/// use connlimit::{Embedded, EmbeddedPolicy};
///
/// let policy = EmbeddedPolicy::default()
///     .with_nat64_prefix("2001:db8:46::".parse()?, 96, Embedded::SameAsIpv4)?;
/// assert_eq!(policy.teredo(), Embedded::OwnClient);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "wire::Wire", into = "wire::Wire"))]
pub struct EmbeddedPolicy {
    nat64: Embedded,
    six_to_four: Embedded,
    teredo: Embedded,
    /// Longest first.
    nat64_prefixes: Vec<Nat64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Nat64 {
    network: u128,
    bits: u8,
    embedded: Embedded,
}

impl EmbeddedPolicy {
    /// The default policy.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            nat64: Embedded::OwnClient,
            six_to_four: Embedded::OwnClient,
            teredo: Embedded::OwnClient,
            nat64_prefixes: Vec::new(),
        }
    }

    /// Decides about NAT64's well-known prefix `64:ff9b::/96` ([RFC 6052](https://www.rfc-editor.org/rfc/rfc6052)).
    #[must_use]
    pub const fn with_nat64(mut self, embedded: Embedded) -> Self {
        self.nat64 = embedded;
        self
    }

    /// Decides about a NAT64 prefix of your network, which embeds addresses as [RFC 6052, section 2.2] says. The
    /// longest prefix decides, and a configured one before the mechanisms that are known without. Giving the same
    /// prefix again replaces its decision.
    ///
    /// An address in the prefix whose bits 64 to 71 are not zero embeds nothing. Bits after the embedded address are
    /// ignored, as section 2.2 asks of translators.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Nat64Prefix`] when `bits` is not one of 32, 40, 48, 56, 64 and 96, when `network` has bits set
    /// after the prefix or among bits 64 to 71, or for `::ffff:0:0/96`, which is not NAT64's to give.
    ///
    /// [RFC 6052, section 2.2]: https://www.rfc-editor.org/rfc/rfc6052#section-2.2
    pub fn with_nat64_prefix(mut self, network: Ipv6Addr, bits: u8, embedded: Embedded) -> Result<Self, ConfigError> {
        let prefix = Nat64 { network: network.to_bits(), bits, embedded };
        let allowed = matches!(bits, 32 | 40 | 48 | 56 | 64 | 96)
            && prefix.network & prefix.mask() == prefix.network
            && reserved_octet(prefix.network) == 0
            && network.to_ipv4_mapped().is_none();
        if !allowed {
            return Err(ConfigError::Nat64Prefix(network, bits));
        }
        self.nat64_prefixes.retain(|other| (other.network, other.bits) != (prefix.network, bits));
        self.nat64_prefixes.push(prefix);
        self.nat64_prefixes.sort_unstable_by_key(|prefix| (u8::MAX - prefix.bits, prefix.network));
        Ok(self)
    }

    /// Decides about 6to4, `2002::/16` ([RFC 3056](https://www.rfc-editor.org/rfc/rfc3056)).
    #[must_use]
    pub const fn with_6to4(mut self, embedded: Embedded) -> Self {
        self.six_to_four = embedded;
        self
    }

    /// Decides about Teredo, `2001::/32` ([RFC 4380](https://www.rfc-editor.org/rfc/rfc4380)). The embedded client is
    /// the Teredo client's public IPv4 address; its server, port and flags are not part of the identity.
    #[must_use]
    pub const fn with_teredo(mut self, embedded: Embedded) -> Self {
        self.teredo = embedded;
        self
    }

    /// What is done with clients behind NAT64's well-known prefix.
    #[must_use]
    pub const fn nat64(&self) -> Embedded {
        self.nat64
    }

    /// The configured NAT64 prefixes: network, length, and what is done with clients behind each.
    pub fn nat64_prefixes(&self) -> impl Iterator<Item = (Ipv6Addr, u8, Embedded)> + '_ {
        self.nat64_prefixes.iter().map(|prefix| (prefix.network.into(), prefix.bits, prefix.embedded))
    }

    /// What is done with 6to4 clients.
    #[must_use]
    pub const fn six_to_four(&self) -> Embedded {
        self.six_to_four
    }

    /// What is done with Teredo clients.
    #[must_use]
    pub const fn teredo(&self) -> Embedded {
        self.teredo
    }
}

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

const WELL_KNOWN: Nat64 = Nat64 { network: 0x0064_ff9b << 96, bits: 96, embedded: Embedded::KeepAddress };
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
    for prefix in &policy.nat64_prefixes {
        if prefix.covers(raw) {
            return match prefix.embedded(raw) {
                Some(v4) => decide(addr, prefix.network, v4, prefix.embedded, true),
                None => Canonical::V6(addr),
            };
        }
    }
    if WELL_KNOWN.covers(raw) {
        decide(addr, WELL_KNOWN.network, last(raw), policy.nat64, false)
    } else if raw >> 112 == SIX_TO_FOUR >> 112 {
        decide(addr, SIX_TO_FOUR, last(raw >> 80), policy.six_to_four, false)
    } else if raw >> 96 == TEREDO >> 96 {
        // Obfuscated, so that no translator on the way rewrites it (RFC 4380, section 4).
        decide(addr, TEREDO, last(!raw), policy.teredo, false)
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

impl Nat64 {
    const fn mask(self) -> u128 {
        !(u128::MAX >> self.bits)
    }

    const fn covers(self, raw: u128) -> bool {
        raw & self.mask() == self.network
    }

    /// The 32 bits after the prefix, not counting the reserved octet; a prefix of 96 bits has it inside.
    const fn embedded(self, raw: u128) -> Option<Ipv4Addr> {
        if reserved_octet(raw) != 0 {
            return None;
        }
        let without = (raw >> 64 << 56) | (raw & (u128::MAX >> 72));
        Some(last(without >> 88_u8.saturating_sub(self.bits)))
    }
}

/// Bits 64 to 71, which RFC 6052, section 2.2, keeps at zero.
const fn reserved_octet(raw: u128) -> u8 {
    raw.to_be_bytes()[8]
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
