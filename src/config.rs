//! What an operator may set. A [`Config`] that exists is valid: every method that could break it returns a
//! [`ConfigError`] instead.

use crate::EmbeddedPolicy;
use core::fmt;
use core::net::Ipv6Addr;

mod policy;
#[cfg(feature = "rules")]
mod rules;
#[cfg(feature = "serde")]
mod wire;

pub(crate) use policy::MAX_TIERS;
use policy::Policy;
pub use policy::{Family, Tier, UnknownPeer};
#[cfg(feature = "rules")]
pub use rules::{Allowance, RuleFault, Rules};

/// How many connections a client may have, how clients are told apart, and how much memory the table may take.
///
/// A value of this type is plain data: build it, hand it to [`Limiter::new`](crate::Limiter::new), and later hand
/// another one to [`Limiter::set_config`](crate::Limiter::set_config) to change the limits of a running server.
/// The *shape* of the table is fixed when the limiter is built: [prefix lengths](Self::with_ipv6_prefix),
/// [memory](Self::with_table_memory), [preallocation](Self::with_preallocation), [embedded IPv4
/// clients](Self::with_embedded), which [tiers](Self::with_tier) there are and whether there is a
/// [total](Self::with_max_total). A later configuration either leaves them unset or repeats them.
///
/// # Examples
///
/// Sixteen connections per IPv4 address, and per /64 network for IPv6:
///
/// ```
/// use connlimit::{Config, Limiter};
///
/// let limiter = Limiter::new(Config::new(16).with_ipv6_prefix(64)?);
/// assert_eq!(limiter.config().max_per_client(), 16);
///
/// limiter.set_config(Config::new(32))?; // the prefix stays as it was built
/// assert_eq!(limiter.config().ipv6_prefix(), 64);
/// # Ok::<(), connlimit::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "wire::Wire", into = "wire::Wire"))]
pub struct Config {
    max_per_client: u32,
    when_full: WhenFull,
    policy: Policy,
    #[cfg(feature = "rules")]
    rules: Rules,
    pub(crate) shape: Shape,
    #[cfg(connlimit_model)]
    pub(crate) life: crate::sync::Life,
}

/// What happens to a client that is not tracked yet when the table is at its memory bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum WhenFull {
    /// Reject it with [`Rejected::TableFull`](crate::Rejected::TableFull): limits hold, newcomers wait.
    #[default]
    Reject,
    /// Admit it with a permit that does not count for a client: newcomers pass, unlimited and unseen, until there is
    /// room. [Tiers](Config::with_tier) that have room and the [total](Config::with_max_total) do count them.
    AdmitUntracked,
}

/// The part that is fixed when a limiter is built; `None` means "the default" there, and "as built" later.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    ipv4_prefix: Option<u8>,
    ipv6_prefix: Option<u8>,
    table_memory: Option<usize>,
    preallocation: Option<bool>,
    embedded: Option<EmbeddedPolicy>,
}

const DEFAULT_TABLE_MEMORY: usize = 256 << 20;
/// Below this no family could hold even its smallest table.
const MIN_TABLE_MEMORY: usize = 1 << 20;

impl Config {
    /// At most `max_per_client` connections for each client; 0 means no limit, and connections are still counted.
    ///
    /// A count never exceeds 2<sup>30</sup> - 1 for one client; a larger limit acts like that one.
    #[must_use]
    pub fn new(max_per_client: u32) -> Self {
        Self { max_per_client, ..Self::default() }
    }

    /// Connections that one client may have open; 0 means no limit.
    #[must_use]
    pub const fn max_per_client(&self) -> u32 {
        self.max_per_client
    }

    /// Counts all IPv4 addresses that share their first `bits` bits as one client. The default is 32: each
    /// address for itself. Fixed when the limiter is built.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Ipv4Prefix`] when `bits` is above 32.
    pub fn with_ipv4_prefix(mut self, bits: u8) -> Result<Self, ConfigError> {
        if bits > 32 {
            return Err(ConfigError::Ipv4Prefix(bits));
        }
        self.shape.ipv4_prefix = Some(bits);
        Ok(self)
    }

    /// Counts all IPv6 addresses that share their first `bits` bits as one client. The default is 128: each
    /// address for itself. Fixed when the limiter is built.
    ///
    /// 64 is what most servers want: a single subscriber is given at least a whole /64
    /// ([RFC 6177](https://www.rfc-editor.org/rfc/rfc6177)) and may use a new address for each connection.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Ipv6Prefix`] when `bits` is above 128.
    pub fn with_ipv6_prefix(mut self, bits: u8) -> Result<Self, ConfigError> {
        if bits > 128 {
            return Err(ConfigError::Ipv6Prefix(bits));
        }
        self.shape.ipv6_prefix = Some(bits);
        Ok(self)
    }

    /// Decides who is counted when an IPv6 address embeds the address of an IPv4 client. By default each embedded
    /// address is a client of its own. Fixed when the limiter is built.
    ///
    /// # Examples
    ///
    /// ```
    /// use connlimit::{Config, Embedded, EmbeddedPolicy, Limiter};
    /// use std::net::IpAddr;
    ///
    /// let translator = EmbeddedPolicy::default()
    ///     .with_nat64_prefix("2001:db8:46::".parse()?, 96, Embedded::SameAsIpv4)?;
    /// let limiter = Limiter::new(Config::new(1).with_embedded(translator));
    ///
    /// let translated: IpAddr = "2001:db8:46::192.0.2.1".parse()?;
    /// let direct: IpAddr = "192.0.2.1".parse()?;
    /// let _permit = limiter.try_acquire(translated)?;
    /// assert!(limiter.try_acquire(direct).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_embedded(mut self, policy: EmbeddedPolicy) -> Self {
        self.shape.embedded = Some(policy);
        self
    }

    /// Bounds the memory of the tables, in bytes. The default is 256 MiB; IPv4, IPv6 and named clients have
    /// separate shares, so that a flood of one kind cannot crowd out another. Fixed when the limiter is built.
    ///
    /// # Errors
    ///
    /// [`ConfigError::TableMemory`] when `bytes` is below 1 MiB.
    pub fn with_table_memory(mut self, bytes: usize) -> Result<Self, ConfigError> {
        if bytes < MIN_TABLE_MEMORY {
            return Err(ConfigError::TableMemory(bytes));
        }
        self.shape.table_memory = Some(bytes);
        Ok(self)
    }

    /// Allocates all table memory when the limiter is built, instead of growing and shrinking with the crowd.
    /// The default is `false`. Fixed when the limiter is built.
    #[must_use]
    pub const fn with_preallocation(mut self, preallocate: bool) -> Self {
        self.shape.preallocation = Some(preallocate);
        self
    }

    /// Decides what happens to newcomers when the table is at its [memory bound](Self::with_table_memory).
    #[must_use]
    pub const fn with_when_full(mut self, when_full: WhenFull) -> Self {
        self.when_full = when_full;
        self
    }

    /// Leading bits of an IPv4 address that make a client.
    #[must_use]
    pub const fn ipv4_prefix(&self) -> u8 {
        match self.shape.ipv4_prefix {
            Some(bits) => bits,
            None => 32,
        }
    }

    /// Leading bits of an IPv6 address that make a client.
    #[must_use]
    pub const fn ipv6_prefix(&self) -> u8 {
        match self.shape.ipv6_prefix {
            Some(bits) => bits,
            None => 128,
        }
    }

    /// What is done with IPv4 clients that are embedded in IPv6 addresses.
    #[must_use]
    pub fn embedded(&self) -> &EmbeddedPolicy {
        self.shape.embedded.as_ref().unwrap_or(const { &EmbeddedPolicy::new() })
    }

    /// Upper bound on the memory of the tables, in bytes.
    #[must_use]
    pub const fn table_memory(&self) -> usize {
        match self.shape.table_memory {
            Some(bytes) => bytes,
            None => DEFAULT_TABLE_MEMORY,
        }
    }

    /// Whether all table memory is allocated when the limiter is built.
    #[must_use]
    pub const fn preallocation(&self) -> bool {
        matches!(self.shape.preallocation, Some(true))
    }

    /// What happens to newcomers when the table is at its memory bound.
    #[must_use]
    pub const fn when_full(&self) -> WhenFull {
        self.when_full
    }

    /// This configuration with every part of the shape spelt out, as a limiter keeps it.
    pub(crate) fn resolved(mut self) -> Self {
        self.shape = Shape {
            ipv4_prefix: Some(self.ipv4_prefix()),
            ipv6_prefix: Some(self.ipv6_prefix()),
            table_memory: Some(self.table_memory()),
            preallocation: Some(self.preallocation()),
            embedded: Some(self.embedded().clone()),
        };
        self.with_shadow_aligned()
    }

    /// This configuration for a limiter that has `current`.
    pub(crate) fn adapted_to(mut self, current: &Self) -> Result<Self, ConfigError> {
        fn agree<T: PartialEq + Copy>(new: Option<T>, built: Option<T>, what: &'static str) -> Result<(), ConfigError> {
            if new.is_none() || new == built { Ok(()) } else { Err(ConfigError::FixedAtBuild(what)) }
        }
        let built = &current.shape;
        agree(self.shape.ipv4_prefix, built.ipv4_prefix, "the IPv4 prefix length")?;
        agree(self.shape.ipv6_prefix, built.ipv6_prefix, "the IPv6 prefix length")?;
        agree(self.shape.table_memory, built.table_memory, "the table memory")?;
        agree(self.shape.preallocation, built.preallocation, "preallocation")?;
        agree(self.shape.embedded.as_ref(), built.embedded.as_ref(), "the treatment of embedded IPv4 addresses")?;
        self.shape = built.clone();
        self.with_policy_of(current)
    }
}

/// What is wrong with a configuration. The configuration in force is left as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// An IPv4 prefix length above 32.
    Ipv4Prefix(u8),
    /// An IPv6 prefix length above 128.
    Ipv6Prefix(u8),
    /// A memory bound, in bytes, below 1 MiB.
    TableMemory(usize),
    /// A NAT64 prefix that [RFC 6052, section 2.2](https://www.rfc-editor.org/rfc/rfc6052#section-2.2) does not
    /// allow: its network and its length.
    Nat64Prefix(Ipv6Addr, u8),
    /// One tier more than four, or one that is not wider than the tier before.
    Tier(Tier),
    /// A soft share above 100 percent.
    SoftPercent(u8),
    /// A rule that cannot stand: its network, as it was given, and why.
    #[cfg(feature = "rules")]
    Rule {
        /// The network, as it was given.
        network: String,
        /// What is wrong with the rule.
        fault: RuleFault,
    },
    /// [`set_config`](crate::Limiter::set_config) was asked to change something that is fixed when a limiter is
    /// built; the text names it.
    FixedAtBuild(&'static str),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipv4Prefix(bits) => write!(f, "IPv4 prefix length {bits} is above 32"),
            Self::Ipv6Prefix(bits) => write!(f, "IPv6 prefix length {bits} is above 128"),
            Self::TableMemory(bytes) => write!(f, "table memory of {bytes} bytes is below 1 MiB"),
            Self::Nat64Prefix(network, bits) => write!(f, "{network}/{bits} is no NAT64 prefix"),
            Self::Tier(tier) => {
                let (v4, v6) = (tier.ipv4_prefix(), tier.ipv6_prefix());
                write!(f, "tier of /{v4} and /{v6} networks is not wider than the one before, or the fifth")
            }
            Self::SoftPercent(percent) => write!(f, "soft share of {percent} percent is above 100"),
            #[cfg(feature = "rules")]
            Self::Rule { network, fault } => write!(f, "rule for {network}: {fault}"),
            Self::FixedAtBuild(what) => write!(f, "{what} is fixed when the limiter is built"),
        }
    }
}

impl core::error::Error for ConfigError {}
