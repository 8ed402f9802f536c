//! Limits on whole networks, beside the limit on each client.

use super::{Config, ConfigError, Limit, TierErrorKind};

/// Most tiers that a configuration can have.
pub(crate) const MAX_TIERS: usize = 4;

/// A limit on all connections from one network, beside the limit of each client in it. Made by [`Config::with_tier`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tier {
    ipv4_prefix: u8,
    ipv6_prefix: u8,
    limit: Limit,
}

impl Tier {
    /// Leading bits of an IPv4 address that make a network of this tier.
    #[must_use]
    pub const fn ipv4_prefix(&self) -> u8 {
        self.ipv4_prefix
    }

    /// Leading bits of an IPv6 address that make a network of this tier.
    #[must_use]
    pub const fn ipv6_prefix(&self) -> u8 {
        self.ipv6_prefix
    }

    /// Connections that one network may have open.
    #[must_use]
    pub const fn limit(&self) -> Limit {
        self.limit
    }

    pub(super) const fn prefixes(self) -> (u8, u8) {
        (self.ipv4_prefix, self.ipv6_prefix)
    }
}

impl Config {
    /// Adds a tier: a limit on each network, beside that on each client. Narrow tiers come before wide ones.
    ///
    /// # What is guaranteed
    ///
    /// A connection is admitted by all tiers or by none, and its permit gives back exactly what it took. No network
    /// is ever above its limit. An attempt takes its places one after the other, from the client up, and gives them
    /// back at once if a later one is full: meanwhile it holds them, so at a tier's very limit another
    /// attempt may be rejected for the sake of one that fails in the end. Whenever attempts compete for the last
    /// places one of them succeeds, unless permits that are really out leave it none; nobody is locked out. An attempt
    /// that finds a tier full from the start takes nothing and so disturbs nobody.
    ///
    /// Where several limits are reached, the reason is the first of them on the way up: the client's, then the tiers'
    /// from narrow to wide, then the total's. [Named](crate::Client::named) clients are in no tier's network.
    ///
    /// Tiers share half of the [memory](Self::with_table_memory) evenly. What happens to a network for which there is
    /// no room is what [`with_when_full`](Self::with_when_full) says of its family: rejected, or not counted there.
    ///
    /// Clients that a rule makes [unlimited](crate::config::Action::Unlimited) take no place in a tier: they can neither
    /// push a network above its limit nor use it up for others.
    ///
    /// Prefix lengths of tiers are fixed when the limiter is built; limits may change. Naming a tier again replaces its
    /// limit, and [`without_tier`](Self::without_tier) lifts it.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Ipv4Prefix`] or [`ConfigError::Ipv6Prefix`] when a prefix is longer than an address, and
    /// [`ConfigError::Tier`] when there are four tiers already, or when the prefix of either family is longer than in
    /// the tier before.
    ///
    /// # Examples
    ///
    /// Eight connections per client, 64 for all clients of one IPv4 /24 or IPv6 /48:
    ///
    /// ```
    /// use connlimit::{Config, Limiter, Rejected};
    /// use std::net::Ipv4Addr;
    ///
    /// let limiter = Limiter::new(Config::new(8).with_tier(24, 48, 64)?);
    /// let permits: Vec<_> = (0..64).map(|n| limiter.try_acquire(Ipv4Addr::new(192, 0, 2, n))).collect();
    /// assert!(permits.iter().all(|permit| permit.is_ok()));
    /// assert_eq!(limiter.try_acquire(Ipv4Addr::new(192, 0, 2, 100)).unwrap_err(), Rejected::TierLimit);
    /// assert!(limiter.try_acquire(Ipv4Addr::new(198, 51, 100, 1)).is_ok());
    /// # Ok::<(), connlimit::config::ConfigError>(())
    /// ```
    pub fn with_tier(mut self, ipv4_prefix: u8, ipv6_prefix: u8, limit: impl Into<Limit>) -> Result<Self, ConfigError> {
        if ipv4_prefix > 32 {
            return Err(ConfigError::Ipv4Prefix(ipv4_prefix));
        }
        if ipv6_prefix > 128 {
            return Err(ConfigError::Ipv6Prefix(ipv6_prefix));
        }
        let tiers = &mut self.layers.tiers;
        let tier = Tier { ipv4_prefix, ipv6_prefix, limit: limit.into() };
        if let Some(same) = tiers.iter_mut().find(|same| same.prefixes() == tier.prefixes()) {
            *same = tier;
            return Ok(self);
        }
        let fault = |kind| ConfigError::Tier { ipv4_prefix, ipv6_prefix, kind };
        if tiers.len() == MAX_TIERS {
            return Err(fault(TierErrorKind::TooMany));
        }
        if tiers.last().is_some_and(|last| ipv4_prefix > last.ipv4_prefix || ipv6_prefix > last.ipv6_prefix) {
            return Err(fault(TierErrorKind::Narrower));
        }
        tiers.push(tier);
        Ok(self)
    }

    /// Takes away the tier of these prefix lengths, if there is one. A limiter that was built with it goes on counting
    /// its networks, without a limit.
    #[must_use]
    pub fn without_tier(mut self, ipv4_prefix: u8, ipv6_prefix: u8) -> Self {
        self.layers.tiers.retain(|tier| tier.prefixes() != (ipv4_prefix, ipv6_prefix));
        self
    }

    /// The tiers, narrow before wide.
    #[must_use]
    pub fn tiers(&self) -> &[Tier] {
        &self.layers.tiers
    }

    /// For each of the tiers `built`, the limit that this configuration has for it, or none.
    pub(super) fn aligned_tiers(&self, built: &[Tier]) -> Vec<Tier> {
        let limit =
            |built: &Tier| self.layers.tiers.iter().find(|tier| tier.prefixes() == built.prefixes()).map(Tier::limit);
        built.iter().map(|tier| Tier { limit: limit(tier).unwrap_or(Limit::Unlimited), ..*tier }).collect()
    }
}
