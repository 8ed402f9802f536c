//! What can be wrong with a configuration.

use core::fmt;
use core::net::Ipv6Addr;

/// What is wrong with a configuration. The configuration in force is left as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// An IPv4 prefix length above 32.
    Ipv4Prefix(u8),
    /// An IPv6 prefix length above 128.
    Ipv6Prefix(u8),
    /// A memory bound, in bytes, below 1 MiB. Only text is told; a builder takes the least bound there is.
    TableMemory(usize),
    /// The machine does not have that much memory, which a table should have from the start.
    NoMemory {
        /// The bytes that were asked for.
        bytes: usize,
    },
    /// A NAT64 prefix that [RFC 6052, section 2.2](https://www.rfc-editor.org/rfc/rfc6052#section-2.2) does not
    /// allow: its network and its length.
    Nat64Prefix(Ipv6Addr, u8),
    /// A tier that cannot stand.
    Tier {
        /// Its prefix length for IPv4.
        ipv4_prefix: u8,
        /// Its prefix length for IPv6.
        ipv6_prefix: u8,
        /// What is wrong with it.
        kind: TierErrorKind,
    },
    /// A soft share above 100 percent. Only text is told; for a builder, more than all is never reached either.
    SoftPercent(u8),
    /// A rule that cannot stand.
    #[cfg(feature = "rules")]
    #[cfg_attr(docsrs, doc(cfg(feature = "rules")))]
    Rule {
        /// The network, as it was given.
        network: String,
        /// What is wrong with the rule.
        kind: super::RuleErrorKind,
    },
    /// A running limiter was asked to change something that is fixed when a limiter is built; the key of the text form
    /// names it.
    FixedAtBuild(&'static str),
}

/// Why a tier cannot stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TierErrorKind {
    /// There are four tiers already.
    TooMany,
    /// For one of the families its networks are narrower than those of the tier before.
    Narrower,
    /// Text names the same prefix lengths twice. (A builder replaces the limit.)
    Repeated,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipv4Prefix(bits) => write!(f, "IPv4 prefix length {bits} is above 32"),
            Self::Ipv6Prefix(bits) => write!(f, "IPv6 prefix length {bits} is above 128"),
            Self::TableMemory(bytes) => write!(f, "table memory of {bytes} bytes is below 1 MiB (1048576 bytes)"),
            Self::NoMemory { bytes } => write!(f, "no memory for a table of {bytes} bytes"),
            Self::Nat64Prefix(network, bits) => write!(
                f,
                "{network}/{bits} is no NAT64 prefix: it has 32, 40, 48, 56, 64 or 96 bits, and zeros after them and in \
                 bits 64 to 71"
            ),
            Self::Tier { ipv4_prefix, ipv6_prefix, kind } => {
                write!(f, "tier of /{ipv4_prefix} (IPv4) and /{ipv6_prefix} (IPv6): {kind}")
            }
            Self::SoftPercent(percent) => write!(f, "soft share of {percent} percent is above 100"),
            #[cfg(feature = "rules")]
            Self::Rule { network, kind } => {
                write!(f, "rule for {network}: {kind}")?;
                match (kind, network.parse::<core::net::IpAddr>()) {
                    (super::RuleErrorKind::NotANetwork, Ok(addr)) => {
                        write!(f, "; for one address say {addr}/{}", if addr.is_ipv4() { 32 } else { 128 })
                    }
                    _ => Ok(()),
                }
            }
            Self::FixedAtBuild(key) => {
                write!(f, "{key} is fixed when the limiter is built: to change it, restart with a new limiter")
            }
        }
    }
}

impl fmt::Display for TierErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooMany => "there are four tiers already",
            Self::Narrower => "its networks are narrower than those of the tier before; narrow tiers come first",
            Self::Repeated => "the same prefix lengths stand twice",
        })
    }
}

impl core::error::Error for ConfigError {}
