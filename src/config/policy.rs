//! What goes beyond one limit for everybody: tiers, the total, trying limits out, and what to do when in doubt.

use super::{Config, ConfigError, WhenFull};
use std::sync::Arc;

/// Most tiers that a configuration can have.
pub(crate) const MAX_TIERS: usize = 4;

/// A limit on all connections from one network, beside the limit of each client in it.
///
/// # Examples
///
/// Eight connections per client, 64 for all clients of one IPv4 /24 or IPv6 /48:
///
/// ```
/// use connlimit::{Config, Limiter, Rejected, Tier};
/// use std::net::Ipv4Addr;
///
/// let limiter = Limiter::new(Config::new(8).with_tier(Tier::new(24, 48, 64)?)?);
/// let permits: Vec<_> = (0..64).map(|n| limiter.try_acquire(Ipv4Addr::new(192, 0, 2, n))).collect();
/// assert!(permits.iter().all(|permit| permit.is_ok()));
/// assert_eq!(limiter.try_acquire(Ipv4Addr::new(192, 0, 2, 100)).unwrap_err(), Rejected::TierLimit);
/// assert!(limiter.try_acquire(Ipv4Addr::new(198, 51, 100, 1)).is_ok());
/// # Ok::<(), connlimit::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "super::wire::Tier", into = "super::wire::Tier"))]
pub struct Tier {
    ipv4_prefix: u8,
    ipv6_prefix: u8,
    limit: u32,
}

impl Tier {
    /// At most `limit` connections from addresses that share their first `ipv4_prefix` or `ipv6_prefix` bits; 0 means
    /// no limit, and connections are still counted.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Ipv4Prefix`] or [`ConfigError::Ipv6Prefix`] when a prefix is longer than an address.
    pub const fn new(ipv4_prefix: u8, ipv6_prefix: u8, limit: u32) -> Result<Self, ConfigError> {
        if ipv4_prefix > 32 {
            return Err(ConfigError::Ipv4Prefix(ipv4_prefix));
        }
        if ipv6_prefix > 128 {
            return Err(ConfigError::Ipv6Prefix(ipv6_prefix));
        }
        Ok(Self { ipv4_prefix, ipv6_prefix, limit })
    }

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

    /// Connections that one network may have open; 0 means no limit.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    const fn prefixes(self) -> (u8, u8) {
        (self.ipv4_prefix, self.ipv6_prefix)
    }
}

/// The kinds of clients, each with a table of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Family {
    /// IPv4 addresses, IPv4-mapped ones among them.
    Ipv4,
    /// IPv6 addresses.
    Ipv6,
    /// Peers without an address.
    Named,
}

/// What happens to a peer of which the server does not know who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum UnknownPeer {
    /// Reject it with [`Rejected::UnknownPeer`](crate::Rejected::UnknownPeer).
    #[default]
    Reject,
    /// Admit it with a permit that counts nothing.
    AdmitUntracked,
}

/// The parts of a configuration that take an admission off the plain path, and their companions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) tiers: Vec<Tier>,
    pub(super) max_total: Option<u32>,
    pub(super) soft_percent: Option<u8>,
    pub(super) dry_run: bool,
    pub(super) shadow: Option<Arc<Config>>,
    pub(super) counting: bool,
    pub(super) when_full: [Option<WhenFull>; 3],
    pub(super) unknown_peer: UnknownPeer,
}

impl Config {
    /// Adds a tier: a limit on each network, beside that on each client. Narrow tiers come before wide ones.
    ///
    /// # What is guaranteed
    ///
    /// A connection is admitted by all tiers or by none, and its permit gives back exactly what it took. No network
    /// is ever above its limit. An attempt takes its places one after the other, from the client up, and gives them
    /// back at once if a later one is not to be had: meanwhile it holds them, so at a tier's very limit another
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
    /// Prefix lengths of tiers are fixed when the limiter is built; limits may change. A later configuration that
    /// leaves out a tier lifts its limit.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Tier`] when there are four already, or when the prefix of either family is longer than in the
    /// tier before.
    pub fn with_tier(mut self, tier: Tier) -> Result<Self, ConfigError> {
        let in_order = self.policy.tiers.last().is_none_or(|last| {
            tier.ipv4_prefix <= last.ipv4_prefix
                && tier.ipv6_prefix <= last.ipv6_prefix
                && tier.prefixes() != last.prefixes()
        });
        if !in_order || self.policy.tiers.len() == MAX_TIERS {
            return Err(ConfigError::Tier(tier));
        }
        self.policy.tiers.push(tier);
        Ok(self)
    }

    /// The tiers, narrow before wide.
    #[must_use]
    pub fn tiers(&self) -> &[Tier] {
        &self.policy.tiers
    }

    /// Counts all connections together, and admits at most `max_total`; 0 means no limit.
    ///
    /// The count is exact, which has its price: each admission and each release writes one word that all threads
    /// share. Whether there is a total is fixed when the limiter is built; its limit may change. What is said of
    /// [tiers](Self::with_tier) near their limit holds for the total as well.
    ///
    /// # Examples
    ///
    /// ```
    /// use connlimit::{Config, Limiter, Rejected};
    /// use std::net::Ipv4Addr;
    ///
    /// let limiter = Limiter::new(Config::new(8).with_max_total(1));
    /// let _permit = limiter.try_acquire(Ipv4Addr::new(192, 0, 2, 1))?;
    /// assert_eq!(limiter.try_acquire(Ipv4Addr::new(192, 0, 2, 2)).unwrap_err(), Rejected::TotalLimit);
    /// # Ok::<(), Rejected>(())
    /// ```
    #[must_use]
    pub const fn with_max_total(mut self, max_total: u32) -> Self {
        self.policy.max_total = Some(max_total);
        self
    }

    /// Connections that all clients together may have open, if they are counted together; 0 means no limit.
    #[must_use]
    pub const fn max_total(&self) -> Option<u32> {
        self.policy.max_total
    }

    /// Tells a server when a client comes near its limit: above `percent` of it,
    /// [`try_acquire_with_usage`](crate::Limiter::try_acquire_with_usage) answers [`Zone::Soft`](crate::Zone::Soft).
    ///
    /// # Errors
    ///
    /// [`ConfigError::SoftPercent`] when `percent` is above 100.
    pub fn with_soft_percent(mut self, percent: u8) -> Result<Self, ConfigError> {
        if percent > 100 {
            return Err(ConfigError::SoftPercent(percent));
        }
        self.policy.soft_percent = Some(percent);
        Ok(self)
    }

    /// The share of its limit above which a client is in the soft zone.
    #[must_use]
    pub const fn soft_percent(&self) -> Option<u8> {
        self.policy.soft_percent
    }

    /// Counts what the limits would reject, and rejects nothing on their account: limits of clients, tiers and the total,
    /// and rules that deny. A full table and an unknown peer are other matters, and rejected as configured.
    #[must_use]
    pub const fn with_dry_run(mut self, dry_run: bool) -> Self {
        self.policy.dry_run = dry_run;
        self
    }

    /// Whether limits are only tried out.
    #[must_use]
    pub const fn dry_run(&self) -> bool {
        self.policy.dry_run
    }

    /// Evaluates the limits of `shadow` beside those in force, and counts what they would reject.
    ///
    /// The shadow looks at the connections that really are open under the limits in force. Of its tiers those count
    /// that have the prefixes of a tier in force, and its total if there is one in force. Its shape, its own shadow, its
    /// dry run and what is not a limit mean nothing.
    #[must_use]
    pub fn with_shadow(mut self, shadow: Self) -> Self {
        self.policy.shadow = Some(Arc::new(Self { policy: Policy { shadow: None, ..shadow.policy }, ..shadow }));
        self
    }

    /// The configuration that is evaluated beside this one.
    #[must_use]
    pub fn shadow(&self) -> Option<&Self> {
        self.policy.shadow.as_deref()
    }

    /// Counts admissions and rejections by reason, for [`stats`](crate::Limiter::stats). They are counted in stripes,
    /// without a line that all threads share; off by default, since it still costs an atomic addition each.
    #[must_use]
    pub const fn with_counting(mut self, counting: bool) -> Self {
        self.policy.counting = counting;
        self
    }

    /// Whether admissions and rejections are counted.
    #[must_use]
    pub const fn counting(&self) -> bool {
        self.policy.counting
    }

    /// Decides for one family what happens to newcomers when the table is at its memory bound; before
    /// [`with_when_full`](Self::with_when_full).
    #[must_use]
    pub const fn with_when_full_for(mut self, family: Family, when_full: WhenFull) -> Self {
        self.policy.when_full[family as usize] = Some(when_full);
        self
    }

    /// What happens to newcomers of one family when the table is at its memory bound.
    #[must_use]
    pub const fn when_full_for(&self, family: Family) -> WhenFull {
        match self.policy.when_full[family as usize] {
            Some(when_full) => when_full,
            None => self.when_full(),
        }
    }

    /// Decides what [`try_acquire_peer`](crate::Limiter::try_acquire_peer) does with a peer that is not known.
    #[must_use]
    pub const fn with_unknown_peer(mut self, unknown_peer: UnknownPeer) -> Self {
        self.policy.unknown_peer = unknown_peer;
        self
    }

    /// What happens to a peer that is not known.
    #[must_use]
    pub const fn unknown_peer(&self) -> UnknownPeer {
        self.policy.unknown_peer
    }

    /// Whether one limit for everybody is all there is.
    pub(crate) fn is_plain(&self) -> bool {
        let policy = &self.policy;
        policy.tiers.is_empty()
            && policy.max_total.is_none()
            && !policy.dry_run
            && policy.shadow.is_none()
            && !policy.counting
            && !self.has_rules()
    }

    #[cfg(feature = "rules")]
    fn has_rules(&self) -> bool {
        !self.rules().is_empty()
    }

    #[cfg(not(feature = "rules"))]
    #[expect(clippy::unused_self, reason = "the other build looks")]
    const fn has_rules(&self) -> bool {
        false
    }

    /// This configuration's policy for a limiter with the tiers and the total of `built`: one tier for each there.
    pub(super) fn with_policy_of(mut self, built: &Self) -> Result<Self, ConfigError> {
        let given = self.aligned_tiers(&built.policy.tiers);
        let known = self.policy.tiers.iter().all(|tier| given.contains(tier));
        if !known {
            return Err(ConfigError::FixedAtBuild("the tiers' prefix lengths"));
        }
        match (self.policy.max_total, built.policy.max_total) {
            (Some(_), None) => return Err(ConfigError::FixedAtBuild("whether there is a total")),
            (None, Some(_)) => self.policy.max_total = Some(0),
            _ => {}
        }
        self.policy.tiers = given;
        Ok(self.with_shadow_aligned())
    }

    /// Gives the shadow a tier for each of this configuration's.
    pub(super) fn with_shadow_aligned(mut self) -> Self {
        if let Some(shadow) = &self.policy.shadow {
            let tiers = shadow.aligned_tiers(&self.policy.tiers);
            let mut shadow = Self::clone(shadow);
            shadow.policy.tiers = tiers;
            shadow.shape = self.shape.clone();
            self.policy.shadow = Some(Arc::new(shadow));
        }
        self
    }

    /// For each of the tiers `built`, the limit that this configuration has for it, or none.
    fn aligned_tiers(&self, built: &[Tier]) -> Vec<Tier> {
        let limit =
            |built: &Tier| self.policy.tiers.iter().find(|tier| tier.prefixes() == built.prefixes()).map(Tier::limit);
        built.iter().map(|tier| Tier { limit: limit(tier).unwrap_or(0), ..*tier }).collect()
    }
}
