//! What is done with IPv4 clients that come in IPv6 addresses. Why, stands in `client/canonical.rs`.

use super::ConfigError;
use core::net::{Ipv4Addr, Ipv6Addr};

/// Who is counted when an IPv6 address embeds the address of an IPv4 client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(::serde::Serialize, ::serde::Deserialize))]
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

/// What is done with the IPv4 clients that NAT64 embeds in IPv6 addresses.
///
/// The default is [`Embedded::OwnClient`] for NAT64's well-known prefix. An IPv4 client behind 6to4, `2002::/16`
/// ([RFC 3056](https://www.rfc-editor.org/rfc/rfc3056)), or Teredo, `2001::/32`
/// ([RFC 4380](https://www.rfc-editor.org/rfc/rfc4380)), is a client of its own always; of Teredo, server, port and flags
/// are not part of the identity. IPv4-mapped addresses (`::ffff:192.0.2.1`) are the IPv4 client always. ISATAP and
/// IPv4-compatible addresses are never looked into: a host chooses them freely.
///
/// # Examples
///
/// IPv4 clients that reach an IPv6-only server through a translator at `2001:db8:46::/96`:
///
/// ```
/// use connlimit::config::{Embedded, EmbeddedPolicy};
///
/// let policy = EmbeddedPolicy::default()
///     .with_nat64_prefix("2001:db8:46::".parse()?, 96, Embedded::SameAsIpv4)?;
/// assert_eq!(policy.nat64(), Embedded::OwnClient, "the well-known prefix may be anybody's");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(::serde::Serialize, ::serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "super::serde::EmbeddedText", into = "super::serde::EmbeddedText"))]
pub struct EmbeddedPolicy {
    nat64: Embedded,
    /// Longest first.
    nat64_prefixes: Vec<Nat64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Nat64 {
    pub(crate) network: u128,
    bits: u8,
    pub(crate) embedded: Embedded,
}

impl EmbeddedPolicy {
    /// The default policy.
    #[must_use]
    pub const fn new() -> Self {
        Self { nat64: Embedded::OwnClient, nat64_prefixes: Vec::new() }
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

    /// What is done with clients behind NAT64's well-known prefix.
    #[must_use]
    pub const fn nat64(&self) -> Embedded {
        self.nat64
    }

    /// The configured NAT64 prefixes: network, length, and what is done with clients behind each.
    pub fn nat64_prefixes(&self) -> impl Iterator<Item = (Ipv6Addr, u8, Embedded)> + '_ {
        self.nat64_prefixes.iter().map(|prefix| (prefix.network.into(), prefix.bits, prefix.embedded))
    }

    /// The configured prefixes, the longest first.
    pub(crate) fn configured(&self) -> &[Nat64] {
        &self.nat64_prefixes
    }
}

impl Nat64 {
    pub(crate) const fn new(network: u128, bits: u8, embedded: Embedded) -> Self {
        Self { network, bits, embedded }
    }

    const fn mask(self) -> u128 {
        !(u128::MAX >> self.bits)
    }

    pub(crate) const fn covers(self, raw: u128) -> bool {
        raw & self.mask() == self.network
    }

    /// The 32 bits after the prefix, not counting the reserved octet; a prefix of 96 bits has it inside.
    pub(crate) const fn embedded_in(self, raw: u128) -> Option<Ipv4Addr> {
        if reserved_octet(raw) != 0 {
            return None;
        }
        let without = (raw >> 64 << 56) | (raw & (u128::MAX >> 72));
        let [.., a, b, c, d] = (without >> 88_u8.saturating_sub(self.bits)).to_be_bytes();
        Some(Ipv4Addr::new(a, b, c, d))
    }
}

/// Bits 64 to 71, which RFC 6052, section 2.2, keeps at zero.
pub(crate) const fn reserved_octet(raw: u128) -> u8 {
    raw.to_be_bytes()[8]
}
