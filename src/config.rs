//! What an operator may set. A [`Config`] that exists is valid: every method that could break it returns a
//! [`ConfigError`] instead.

mod embedded;
mod error;
mod limit;
mod layers;
#[cfg(feature = "rules")]
mod rules;
#[cfg(feature = "serde")]
mod serde;
mod tiers;

pub(crate) use embedded::Nat64;
pub use embedded::{Embedded, EmbeddedPolicy};
pub use error::{ConfigError, TierErrorKind};
use layers::Layers;
pub use layers::{Family, UnknownPeer, WhenFull};
pub use limit::Limit;
#[cfg(feature = "rules")]
#[cfg_attr(docsrs, doc(cfg(feature = "rules")))]
pub use rules::{Action, RuleErrorKind, Rules};
pub(crate) use tiers::MAX_TIERS;
pub use tiers::Tier;

/// How many connections a client may have, how clients are told apart, and how much memory the table may take.
///
/// A value of this type is plain data: build it and hand it to [`Limiter::new`](crate::Limiter::new). To change a running
/// limiter, change its configuration with [`Limiter::update_config`](crate::Limiter::update_config): what the change
/// does not name stays as it is.
///
/// The *shape* of the tables is fixed when the limiter is built: [prefix lengths](Self::with_ipv6_prefix),
/// [memory](Self::with_table_memory), [preallocation](Self::with_preallocation), [embedded IPv4
/// clients](Self::with_embedded), which [tiers](Self::with_tier) there are and whether there is a
/// [total](Self::with_max_total). Everything else may change while connections come and go.
///
/// # Examples
///
/// Sixteen connections per IPv4 address, and per /64 network for IPv6; later thirty-two:
///
/// ```
/// use connlimit::{Config, Limiter};
///
/// let limiter = Limiter::new(Config::new(16).with_ipv6_prefix(64)?);
/// assert_eq!(limiter.config().max_per_client(), 16);
///
/// limiter.update_config(|config| config.with_max_per_client(32))?;
/// assert_eq!(limiter.config().max_per_client(), 32);
/// assert_eq!(limiter.config().ipv6_prefix(), 64);
/// # Ok::<(), connlimit::config::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(::serde::Serialize, ::serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "serde::Text", into = "serde::Text"))]
pub struct Config {
    max_per_client: Limit,
    layers: Layers,
    #[cfg(feature = "rules")]
    rules: Rules,
    pub(crate) shape: Shape,
    #[cfg(connlimit_model)]
    pub(crate) life: crate::sync::Life,
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
    /// At most `max_per_client` connections for each client. There is no default: a limiter without a limit is asked for
    /// by name, [`Limit::Unlimited`].
    #[must_use]
    pub fn new(max_per_client: impl Into<Limit>) -> Self {
        Self {
            max_per_client: max_per_client.into(),
            layers: Layers::default(),
            #[cfg(feature = "rules")]
            rules: Rules::default(),
            shape: Shape::default(),
            #[cfg(connlimit_model)]
            life: crate::sync::Life::default(),
        }
    }

    /// Changes the limit of each client, and nothing else.
    #[must_use]
    pub fn with_max_per_client(mut self, max_per_client: impl Into<Limit>) -> Self {
        self.max_per_client = max_per_client.into();
        self
    }

    /// Connections that one client may have open.
    #[must_use]
    pub const fn max_per_client(&self) -> Limit {
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
    /// use connlimit::{Config, Limiter, config::{Embedded, EmbeddedPolicy}};
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
    /// separate shares, so that a flood of one kind cannot crowd out another. Less than 1 MiB acts as 1 MiB. Fixed when
    /// the limiter is built.
    #[must_use]
    pub const fn with_table_memory(mut self, bytes: usize) -> Self {
        self.shape.table_memory = Some(if bytes < MIN_TABLE_MEMORY { MIN_TABLE_MEMORY } else { bytes });
        self
    }

    /// Allocates all table memory when the limiter is built, instead of growing and shrinking with the crowd.
    /// The default is `false`. Fixed when the limiter is built.
    #[must_use]
    pub const fn with_preallocation(mut self, preallocate: bool) -> Self {
        self.shape.preallocation = Some(preallocate);
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
        agree(self.shape.ipv4_prefix, built.ipv4_prefix, "ipv4_prefix")?;
        agree(self.shape.ipv6_prefix, built.ipv6_prefix, "ipv6_prefix")?;
        agree(self.shape.table_memory, built.table_memory, "table_memory")?;
        agree(self.shape.preallocation, built.preallocation, "preallocation")?;
        agree(self.shape.embedded.as_ref(), built.embedded.as_ref(), "embedded")?;
        self.shape = built.clone();
        self.with_layers_of(current)
    }
}
