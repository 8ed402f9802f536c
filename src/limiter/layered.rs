//! The long way to a permit: for configurations that are more than one limit for everybody.
//!
//! An admission takes one place after the other, the client's own first, then its networks', in the end the total's.
//! What it has taken it holds in values that give back when dropped, so a rejection anywhere undoes all. It looks before
//! it takes: an attempt that has no chance writes nothing.

use super::Limiter;
use crate::client::Client;
#[cfg(feature = "rules")]
use crate::config::Action;
use crate::config::{Config, UnknownPeer, WhenFull};
use crate::decisions::Decision;
use crate::epoch::{Guard, pin};
use crate::permit::Permit;
use crate::rejected::Rejected;
use crate::table::{MAX_COUNT, Refusal};

/// What a configuration says of a client.
#[derive(Clone, Copy)]
#[cfg_attr(not(feature = "rules"), expect(dead_code, reason = "only rules say more than a limit"))]
pub(super) enum Verdict {
    /// The client's own limit.
    Limit(u32),
    /// Counted for itself, never rejected, and no part of tiers and total.
    Exempt,
    Deny,
}

impl Verdict {
    /// By the rule for the client's own address, or by the limit for everybody. Where an embedded IPv4 client is
    /// [the IPv4 client](crate::config::Embedded::SameAsIpv4), IPv4's rules are its rules.
    #[cfg(feature = "rules")]
    #[inline]
    pub(super) fn of(config: &Config, client: Client) -> Self {
        use crate::client::Identity;
        use crate::client::canonical::{Canonical, canonical};
        let rules = config.rules();
        let action = match client.identity() {
            Identity::V4(addr) => rules.action_v4(addr.to_bits()),
            Identity::V6(addr) => match canonical(addr, config.embedded()) {
                Canonical::V4(addr) => rules.action_v4(addr.to_bits()),
                Canonical::V6(_) | Canonical::Own(_) => rules.action_v6(addr.to_bits()),
            },
            Identity::Named(_) => None,
        };
        match action {
            None => Self::for_everybody(config),
            Some(Action::Limit(limit)) => Self::Limit(limit.min(MAX_COUNT)),
            Some(Action::Unlimited) => Self::Exempt,
            Some(Action::Deny) => Self::Deny,
        }
    }

    #[cfg(not(feature = "rules"))]
    pub(super) fn of(config: &Config, _: Client) -> Self {
        Self::for_everybody(config)
    }

    fn for_everybody(config: &Config) -> Self {
        Self::Limit(config.max_per_client().count())
    }

    /// The client's own limit, which is `within` if the caller named one, and whether tiers and total apply.
    fn limit(self, within: Option<u32>) -> Result<(u32, bool), Rejected> {
        match self {
            Self::Limit(limit) => Ok((within.unwrap_or(limit), true)),
            Self::Exempt => Ok((within.unwrap_or(MAX_COUNT), false)),
            Self::Deny => Err(Rejected::Denied),
        }
    }
}

impl Limiter {
    /// Counts one more connection of `peer` like [`try_acquire`](Self::try_acquire); for servers that cannot always
    /// tell who it is. The configuration decides about an [unknown peer](Config::with_unknown_peer).
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire), and [`Rejected::UnknownPeer`].
    ///
    /// # Examples
    ///
    /// ```
    /// use connlimit::{Config, Limiter, Rejected};
    /// use std::net::TcpListener;
    /// # use std::net::TcpStream;
    ///
    /// let limiter = Limiter::new(Config::new(100));
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let _client = TcpStream::connect(listener.local_addr()?)?;
    /// let (stream, _) = listener.accept()?;
    /// let permit = limiter.try_acquire_peer(stream.peer_addr().ok());
    /// assert!(permit.is_ok());
    /// assert_eq!(limiter.try_acquire_peer(None::<std::net::IpAddr>).unwrap_err(), Rejected::UnknownPeer);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[cfg_attr(feature = "audit", track_caller)]
    pub fn try_acquire_peer(&self, peer: Option<impl Into<Client>>) -> Result<Permit, Rejected> {
        match peer {
            Some(client) => self.try_acquire(client),
            None => self.acquire_unknown(),
        }
    }

    #[cold]
    pub(super) fn acquire_unknown(&self) -> Result<Permit, Rejected> {
        let config = self.load_config();
        let answer = match config.unknown_peer() {
            UnknownPeer::Reject => Err(Rejected::UnknownPeer),
            UnknownPeer::AdmitUntracked => Ok((Permit::untracked(), 0)),
        };
        self.note(&config, &answer);
        answer.map(|(permit, _)| permit)
    }

    #[cold]
    #[inline(never)]
    #[cfg_attr(feature = "audit", track_caller)]
    pub(super) fn acquire_layered(
        &self,
        client: Client,
        within: Option<u32>,
        guard: &Guard,
    ) -> Result<Permit, Rejected> {
        self.admit(client, within, self.pinned_config(guard), guard).map(|(permit, _)| permit)
    }

    /// Admits `client` by `config`; with the permit, how many connections that makes.
    #[cfg_attr(feature = "audit", track_caller)]
    pub(super) fn admit(
        &self,
        client: Client,
        within: Option<u32>,
        config: &Config,
        guard: &Guard,
    ) -> Result<(Permit, u32), Rejected> {
        if let Some(shadow) = config.shadow() {
            if self.would_reject(client, within, shadow, guard).is_some() {
                self.decisions().count(Decision::ShadowRejected);
            }
        }
        #[cfg_attr(not(feature = "audit"), expect(unused_mut, reason = "only an audit adds to a permit"))]
        let mut answer = self.charge(client, within, config, guard);
        self.note(config, &answer);
        #[cfg(feature = "audit")]
        if let Ok((permit, _)) = &mut answer {
            if config.is_audited() && permit.is_tracked() {
                permit.note(self.registry().enter(client));
            }
        }
        answer
    }

    /// Takes a place in each counter that `config` charges, or in none.
    fn charge(
        &self,
        client: Client,
        within: Option<u32>,
        config: &Config,
        guard: &Guard,
    ) -> Result<(Permit, u32), Rejected> {
        let layered = !config.tiers().is_empty() || config.max_total().is_some();
        if layered || config.dry_run() {
            match self.would_reject(client, within, config, guard) {
                Some(_) if config.dry_run() => self.decisions().count(Decision::DryRunRejected),
                Some(rejected) => return Err(rejected),
                None => {}
            }
        }
        let (limit, shared) = match Verdict::of(config, client).limit(within) {
            answer if !config.dry_run() => answer?,
            // Whom a rule exempts, it exempts in a dry run too; all others are counted wherever they would be.
            answer => (MAX_COUNT, answer.map_or(true, |(_, shared)| shared)),
        };
        if limit == 0 {
            return Err(Rejected::ClientLimit);
        }
        let key = self.counts().key(client);
        let tracked = |held: Result<_, Refusal>, at_limit| match held {
            Ok((held, open)) => Ok(Some((held, open))),
            Err(Refusal::AtLimit) => Err(at_limit),
            Err(Refusal::Full) => match config.when_full_for(key.family()) {
                WhenFull::Reject => Err(Rejected::TableFull),
                WhenFull::AdmitUntracked => Ok(None),
            },
        };
        let own = tracked(self.counts().acquire(key, limit, guard), Rejected::ClientLimit)?;
        let open = own.as_ref().map_or(0, |(_, open)| *open);
        let mut permit = Permit::from(own.map(|(held, _)| held));
        if layered && shared {
            for counter in self.counts().above(client) {
                let limit = if config.dry_run() { MAX_COUNT } else { counter.limit(config) };
                if limit == 0 {
                    return Err(counter.rejection());
                }
                if let Some((held, _)) = tracked(counter.acquire(limit, guard), counter.rejection())? {
                    permit.add(held);
                }
            }
        }
        Ok((permit, open))
    }

    /// Whether `client` would be admitted with the connections that are open now. Writes nothing and counts nothing.
    pub(crate) fn would_admit(&self, client: Client) -> bool {
        let guard = pin();
        let config = self.pinned_config(&guard);
        config.dry_run() || self.would_reject(client, None, config, &guard).is_none()
    }

    /// Whether `config` would reject `client` with the connections that are open now. Writes nothing.
    fn would_reject(&self, client: Client, within: Option<u32>, config: &Config, guard: &Guard) -> Option<Rejected> {
        let (limit, shared) = match Verdict::of(config, client).limit(within) {
            Ok(limit) => limit,
            Err(denied) => return Some(denied),
        };
        if self.counts().open(self.counts().key(client), guard) >= limit {
            return Some(Rejected::ClientLimit);
        }
        if !shared {
            return None;
        }
        self.counts()
            .above(client)
            .find(|counter| counter.open(guard) >= counter.limit(config))
            .map(|counter| counter.rejection())
    }

    fn note(&self, config: &Config, answer: &Result<(Permit, u32), Rejected>) {
        if config.counting() {
            self.decisions().count(match answer {
                Ok((permit, _)) if permit.is_tracked() => Decision::Admitted,
                Ok(_) => Decision::AdmittedUntracked,
                Err(rejected) => Decision::from(*rejected),
            });
        }
    }
}
