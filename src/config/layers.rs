//! What goes beyond one limit for everybody: the total, trying limits out, and what to do when in doubt.

use super::tiers::Tier;
use super::{Config, ConfigError, Limit};
use std::sync::Arc;

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

/// What happens to a client that is not tracked yet when the table is at its memory bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(::serde::Serialize, ::serde::Deserialize))]
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

/// What happens to a peer that the server cannot identify.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(::serde::Serialize, ::serde::Deserialize))]
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
pub(super) struct Layers {
    pub(super) tiers: Vec<Tier>,
    /// Whether all connections are counted together, and up to what.
    pub(super) max_total: Option<Limit>,
    pub(super) soft_percent: Option<u8>,
    pub(super) dry_run: bool,
    pub(super) shadow: Option<Arc<Config>>,
    pub(super) counting: bool,
    #[cfg(feature = "audit")]
    pub(super) audit: bool,
    pub(super) when_full: WhenFull,
    pub(super) when_full_for: [Option<WhenFull>; 3],
    pub(super) unknown_peer: UnknownPeer,
}

impl Config {
    /// Counts all connections together, and admits at most `max_total`.
    ///
    /// The count is exact, which has its price: each admission and each release writes one word that all threads
    /// share. Whether there is a total is fixed when the limiter is built; its limit may change. What is said of
    /// [tiers](Self::with_tier) near their limit, and of clients without one, holds for the total as well.
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
    pub fn with_max_total(mut self, max_total: impl Into<Limit>) -> Self {
        self.layers.max_total = Some(max_total.into());
        self
    }

    /// Takes the total away. A limiter that was built with one goes on counting, without a limit.
    #[must_use]
    pub const fn without_max_total(mut self) -> Self {
        self.layers.max_total = None;
        self
    }

    /// Connections that all clients together may have open, if they are counted together.
    #[must_use]
    pub const fn max_total(&self) -> Option<Limit> {
        self.layers.max_total
    }

    /// Tells a server when a limit comes near: above `percent` of the client's own limit, of a
    /// [tier](Self::with_tier)'s or of the [total](Self::with_max_total)'s,
    /// [`try_acquire_with_usage`](crate::Limiter::try_acquire_with_usage) answers
    /// [`Zone::Soft`](crate::stats::Zone::Soft). More than 100 acts like 100: there is no soft zone.
    #[must_use]
    pub const fn with_soft_percent(mut self, percent: u8) -> Self {
        self.layers.soft_percent = Some(if percent > 100 { 100 } else { percent });
        self
    }

    /// The share of a limit above which a client is in the soft zone.
    #[must_use]
    pub const fn soft_percent(&self) -> Option<u8> {
        self.layers.soft_percent
    }

    /// Counts what the limits would reject, and rejects nothing on their account: limits of clients, tiers and the total,
    /// and rules that deny. A full table and an unknown peer are other matters, and rejected as configured.
    #[must_use]
    pub const fn with_dry_run(mut self, dry_run: bool) -> Self {
        self.layers.dry_run = dry_run;
        self
    }

    /// Whether limits are only tried out.
    #[must_use]
    pub const fn dry_run(&self) -> bool {
        self.layers.dry_run
    }

    /// Evaluates the limits of `shadow` beside those in force, and counts what they would reject.
    ///
    /// The shadow looks at the connections that really are open under the limits in force. Of its tiers those count
    /// that have the prefixes of a tier in force, and its total if there is one in force. Its shape, its own shadow, its
    /// dry run and what is not a limit mean nothing.
    #[must_use]
    pub fn with_shadow(mut self, shadow: Self) -> Self {
        self.layers.shadow = Some(Arc::new(Self { layers: Layers { shadow: None, ..shadow.layers }, ..shadow }));
        self
    }

    /// The configuration that is evaluated beside this one.
    #[must_use]
    pub fn shadow(&self) -> Option<&Self> {
        self.layers.shadow.as_deref()
    }

    /// Counts admissions and rejections by reason, for [`stats`](crate::Limiter::stats). They are counted in stripes,
    /// without a line that all threads share; off by default, since it still costs an atomic addition each.
    #[must_use]
    pub const fn with_counting(mut self, counting: bool) -> Self {
        self.layers.counting = counting;
        self
    }

    /// Whether admissions and rejections are counted.
    #[must_use]
    pub const fn counting(&self) -> bool {
        self.layers.counting
    }

    /// Decides what happens to newcomers when the table is at its [memory bound](Self::with_table_memory).
    #[must_use]
    pub const fn with_when_full(mut self, when_full: WhenFull) -> Self {
        self.layers.when_full = when_full;
        self
    }

    /// What happens to newcomers when the table is at its memory bound.
    #[must_use]
    pub const fn when_full(&self) -> WhenFull {
        self.layers.when_full
    }

    /// Decides for one family what happens to newcomers when the table is at its memory bound; before
    /// [`with_when_full`](Self::with_when_full).
    #[must_use]
    pub const fn with_when_full_for(mut self, family: Family, when_full: WhenFull) -> Self {
        self.layers.when_full_for[family as usize] = Some(when_full);
        self
    }

    /// What happens to newcomers of one family when the table is at its memory bound.
    #[must_use]
    pub const fn when_full_for(&self, family: Family) -> WhenFull {
        match self.layers.when_full_for[family as usize] {
            Some(when_full) => when_full,
            None => self.when_full(),
        }
    }

    /// Decides what [`try_acquire_peer`](crate::Limiter::try_acquire_peer) does with a peer that is not known.
    #[must_use]
    pub const fn with_unknown_peer(mut self, unknown_peer: UnknownPeer) -> Self {
        self.layers.unknown_peer = unknown_peer;
        self
    }

    /// What happens to a peer that is not known.
    #[must_use]
    pub const fn unknown_peer(&self) -> UnknownPeer {
        self.layers.unknown_peer
    }

    /// Notes where each permit is taken, for [`Limiter::audit`](crate::Limiter::audit). A debugging aid, off by default:
    /// each permit costs an allocation and a lock that threads share then, and the promises to be lock-free do not hold.
    /// Permits that are out when this is switched on are not noted.
    #[cfg(feature = "audit")]
    #[cfg_attr(docsrs, doc(cfg(feature = "audit")))]
    #[must_use]
    pub const fn with_audit(mut self, audit: bool) -> Self {
        self.layers.audit = audit;
        self
    }

    /// Whether it is noted where permits are taken.
    #[cfg(feature = "audit")]
    #[cfg_attr(docsrs, doc(cfg(feature = "audit")))]
    #[must_use]
    pub const fn is_audited(&self) -> bool {
        self.layers.audit
    }

    /// Whether one limit for everybody is all there is.
    pub(crate) fn is_plain(&self) -> bool {
        let layers = &self.layers;
        layers.tiers.is_empty()
            && layers.max_total.is_none()
            && !layers.dry_run
            && layers.shadow.is_none()
            && !layers.counting
            && !self.has_rules()
            && !self.has_audit()
    }

    #[cfg(feature = "audit")]
    const fn has_audit(&self) -> bool {
        self.layers.audit
    }

    #[cfg(not(feature = "audit"))]
    #[expect(clippy::unused_self, reason = "the other build looks")]
    const fn has_audit(&self) -> bool {
        false
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

    /// This configuration's layers for a limiter with the tiers and the total of `built`: one tier for each there.
    pub(super) fn with_layers_of(mut self, built: &Self) -> Result<Self, ConfigError> {
        let given = self.aligned_tiers(&built.layers.tiers);
        let known = self.layers.tiers.iter().all(|tier| given.contains(tier));
        if !known {
            return Err(ConfigError::FixedAtBuild("tiers"));
        }
        match (self.layers.max_total, built.layers.max_total) {
            (Some(_), None) => return Err(ConfigError::FixedAtBuild("max_total")),
            (None, Some(_)) => self.layers.max_total = Some(Limit::Unlimited),
            _ => {}
        }
        self.layers.tiers = given;
        Ok(self.with_shadow_aligned())
    }

    /// Gives the shadow a tier for each of this configuration's.
    pub(super) fn with_shadow_aligned(mut self) -> Self {
        if let Some(shadow) = &self.layers.shadow {
            let tiers = shadow.aligned_tiers(&self.layers.tiers);
            let mut shadow = Self::clone(shadow);
            shadow.layers.tiers = tiers;
            shadow.shape = self.shape.clone();
            self.layers.shadow = Some(Arc::new(shadow));
        }
        self
    }
}
