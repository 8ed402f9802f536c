//! The long way to a permit: for configurations that are more than one limit for everybody.
//!
//! An admission takes one place after the other, the client's own first, then its networks', in the end the total's.
//! What it has taken it holds in values that give back when dropped, so a rejection anywhere undoes all. It looks before
//! it takes: an attempt that has no chance writes nothing.

use crate::client::Client;
#[cfg(feature = "rules")]
use crate::config::Allowance;
use crate::config::{Config, UnknownPeer, WhenFull};
use crate::counts::no_limit_if_zero;
use crate::epoch::{Guard, pin};
use crate::limiter::Limiter;
use crate::permit::Permit;
use crate::rejected::Rejected;
use crate::table::{MAX_COUNT, Refusal};
use crate::tally::Event;

/// An admission, and how near to its limit the client has come.
#[derive(Debug)]
#[must_use = "the connection stops being counted when its permit is dropped"]
#[non_exhaustive]
pub struct Admission {
    /// The counted connection.
    pub permit: Permit,
    /// Connections that the client has open, this one included; 0 when it is not tracked.
    pub open: u32,
    /// How near to its limit that is.
    pub zone: Zone,
}

/// How near to its limit a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Zone {
    /// Not above the [soft share](Config::with_soft_percent) of its limit, or there is no share or no limit.
    Normal,
    /// Above it: a server may give this client less, shorter time-outs for instance.
    Soft,
}

impl Zone {
    fn of(config: &Config, client: Client, open: u32) -> Self {
        let (Some(percent), Verdict::Limit(limit)) = (config.soft_percent(), Verdict::of(config, client)) else {
            return Self::Normal;
        };
        // Where there is no limit, there is no share of it.
        let soft = limit < MAX_COUNT && u64::from(open) * 100 > u64::from(limit) * u64::from(percent);
        if soft { Self::Soft } else { Self::Normal }
    }
}

/// What the rules say of a client.
#[derive(Clone, Copy)]
#[cfg_attr(not(feature = "rules"), expect(dead_code, reason = "only rules say more than a limit"))]
enum Verdict {
    Limit(u32),
    /// Counted, never rejected.
    Exempt,
    Deny,
}

impl Verdict {
    /// By the rule for the client's own address, or by the limit for everybody. Where an embedded IPv4 client is
    /// [the IPv4 client](crate::Embedded::SameAsIpv4), IPv4's rules are its rules.
    #[cfg(feature = "rules")]
    #[inline]
    fn of(config: &Config, client: Client) -> Self {
        use crate::client::Identity;
        use crate::client::embedded::{Canonical, canonical};
        let rules = config.rules();
        let allowance = match client.identity() {
            Identity::V4(addr) => rules.allowance_v4(addr.to_bits()),
            Identity::V6(addr) => match canonical(addr, config.embedded()) {
                Canonical::V4(addr) => rules.allowance_v4(addr.to_bits()),
                Canonical::V6(_) | Canonical::Own(_) => rules.allowance_v6(addr.to_bits()),
            },
            Identity::Named(_) => None,
        };
        match allowance {
            None => Self::for_everybody(config),
            Some(Allowance::Limit(limit)) => Self::Limit(no_limit_if_zero(limit)),
            Some(Allowance::Unlimited) => Self::Exempt,
            Some(Allowance::Deny) => Self::Deny,
        }
    }

    #[cfg(not(feature = "rules"))]
    fn of(config: &Config, _: Client) -> Self {
        Self::for_everybody(config)
    }

    fn for_everybody(config: &Config) -> Self {
        Self::Limit(no_limit_if_zero(config.max_per_client()))
    }
}

impl Limiter {
    /// Counts one more connection of `client` like [`try_acquire`](Self::try_acquire), and says how near to its limit
    /// the client has come.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire).
    ///
    /// # Examples
    ///
    /// Above half of its limit, a client gets less patience:
    ///
    /// ```
    /// use connlimit::{Config, Limiter, Zone};
    /// use std::{net::Ipv4Addr, time::Duration};
    ///
    /// let limiter = Limiter::new(Config::new(4).with_soft_percent(50)?);
    /// let client = Ipv4Addr::new(192, 0, 2, 1);
    /// let patience = |zone| Duration::from_secs(if zone == Zone::Soft { 5 } else { 60 });
    ///
    /// let admitted = [(); 3].map(|()| limiter.try_acquire_with_usage(client).unwrap());
    /// assert_eq!(admitted.each_ref().map(|admission| patience(admission.zone).as_secs()), [60, 60, 5]);
    /// # Ok::<(), connlimit::ConfigError>(())
    /// ```
    #[cfg_attr(feature = "audit", track_caller)]
    pub fn try_acquire_with_usage(&self, client: impl Into<Client>) -> Result<Admission, Rejected> {
        let client = client.into();
        let guard = pin();
        let config = self.policy(&guard);
        let (permit, open) = self.admit(client, config, &guard)?;
        let permit = self.entered(client, Ok(permit))?;
        Ok(Admission { permit, open, zone: Zone::of(config, client, open) })
    }

    /// How near to its limit `client` is now, with the connections that it has open.
    ///
    /// For work that comes after the admission: other threads open and close connections meanwhile.
    ///
    /// # Examples
    ///
    /// ```
    /// use connlimit::{Config, Limiter, Zone};
    /// use std::net::Ipv4Addr;
    ///
    /// let limiter = Limiter::new(Config::new(4).with_soft_percent(50)?);
    /// let client = Ipv4Addr::new(192, 0, 2, 1);
    /// let permits = [(); 3].map(|()| limiter.try_acquire(client).unwrap());
    /// assert_eq!(limiter.zone(client), Zone::Soft);
    /// drop(permits);
    /// assert_eq!(limiter.zone(client), Zone::Normal);
    /// # Ok::<(), connlimit::ConfigError>(())
    /// ```
    #[must_use]
    pub fn zone(&self, client: impl Into<Client>) -> Zone {
        let client = client.into();
        Zone::of(&self.load_config(), client, self.open_connections(client))
    }

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
        if let Some(client) = peer {
            return self.try_acquire(client);
        }
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
    pub(crate) fn acquire_by_policy(&self, client: Client, guard: &Guard) -> Result<Permit, Rejected> {
        self.admit(client, self.policy(guard), guard).map(|(permit, _)| permit)
    }

    fn admit(&self, client: Client, config: &Config, guard: &Guard) -> Result<(Permit, u32), Rejected> {
        if let Some(shadow) = config.shadow() {
            if self.would_reject(client, shadow, guard).is_some() {
                self.tally().count(Event::ShadowRejected);
            }
        }
        let answer = self.charge(client, config, guard);
        self.note(config, &answer);
        answer
    }

    /// Takes a place in each counter that `config` charges, or in none.
    fn charge(&self, client: Client, config: &Config, guard: &Guard) -> Result<(Permit, u32), Rejected> {
        let plain = config.tiers().is_empty() && config.max_total().is_none();
        if !plain || config.dry_run() {
            match self.would_reject(client, config, guard) {
                Some(_) if config.dry_run() => self.tally().count(Event::DryRunRejected),
                Some(rejected) => return Err(rejected),
                None => {}
            }
        }
        let (limit, exempt) = match Verdict::of(config, client) {
            _ if config.dry_run() => (MAX_COUNT, true),
            Verdict::Limit(limit) => (limit, false),
            Verdict::Exempt => (MAX_COUNT, true),
            Verdict::Deny => return Err(Rejected::Denied),
        };
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
        if !plain {
            for above in self.counts().above(client) {
                let limit = if exempt { MAX_COUNT } else { above.limit(config) };
                if let Some((held, _)) = tracked(above.acquire(limit, guard), above.rejection())? {
                    permit.add(held);
                }
            }
        }
        Ok((permit, open))
    }

    /// Whether `client` would be admitted with the connections that are open now. Writes nothing and counts nothing.
    pub(crate) fn would_admit(&self, client: Client) -> bool {
        let guard = pin();
        let config = self.policy(&guard);
        config.dry_run() || self.would_reject(client, config, &guard).is_none()
    }

    /// Whether `config` would reject `client` with the connections that are open now. Writes nothing.
    fn would_reject(&self, client: Client, config: &Config, guard: &Guard) -> Option<Rejected> {
        let limit = match Verdict::of(config, client) {
            Verdict::Deny => return Some(Rejected::Denied),
            Verdict::Exempt => return None,
            Verdict::Limit(limit) => limit,
        };
        if self.counts().open(self.counts().key(client), guard) >= limit {
            return Some(Rejected::ClientLimit);
        }
        self.counts()
            .above(client)
            .find(|above| above.open(guard) >= above.limit(config))
            .map(|above| above.rejection())
    }

    fn note(&self, config: &Config, answer: &Result<(Permit, u32), Rejected>) {
        if config.counting() {
            self.tally().count(match answer {
                Ok((permit, _)) if permit.is_tracked() => Event::Admitted,
                Ok(_) => Event::AdmittedUntracked,
                Err(rejected) => Event::from(*rejected),
            });
        }
    }
}
