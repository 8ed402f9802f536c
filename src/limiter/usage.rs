//! What a client has and how near that is to a limit: told at the admission, or later.

use super::Limiter;
use super::layered::Verdict;
use crate::client::Client;
use crate::config::{Config, Limit};
use crate::epoch::{Guard, pin};
use crate::permit::Permit;
use crate::rejected::Rejected;
use crate::table::MAX_COUNT;

/// A permit, and what its client has with it. From
/// [`Limiter::try_acquire_with_usage`].
#[derive(Debug)]
#[must_use = "the connection stops being counted when its permit is dropped"]
#[non_exhaustive]
pub struct Admission {
    /// The counted connection.
    pub permit: Permit,
    /// What the client has, this connection included.
    pub usage: Usage,
}

/// What a client has, of what it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Usage {
    /// Connections that the client has open; 0 when it is not tracked.
    pub open_connections: u32,
    /// Connections that it may have open, by the rule for it or the limit for everybody. A client that a rule denies may
    /// have none.
    pub limit: Limit,
    /// How near the nearest limit is.
    pub zone: Zone,
}

/// How near a limit is: the client's own, or one that it shares with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Zone {
    /// No limit is above its [soft share](Config::with_soft_percent), or there is no share or no limit.
    Normal,
    /// One is: a server may give this client less, shorter time-outs for instance.
    Soft,
}

impl Limiter {
    /// Counts one more connection of `client` like [`try_acquire`](Self::try_acquire), and tells how many it has open
    /// with this one, of how many, and how near the nearest limit is.
    ///
    /// The number of open connections is that of the admission itself: of admissions of one client, without releases in
    /// between, each gets another. The zone looks at [tiers](Config::with_tier) and the [total](Config::with_max_total)
    /// too, right after the admission.
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
    /// use connlimit::{Config, Limiter, stats::Zone};
    /// use std::{net::Ipv4Addr, time::Duration};
    ///
    /// let limiter = Limiter::new(Config::new(4).with_soft_percent(50));
    /// let client = Ipv4Addr::new(192, 0, 2, 1);
    /// let patience = |zone| Duration::from_secs(if zone == Zone::Soft { 5 } else { 60 });
    ///
    /// let admitted = [(); 3].map(|()| limiter.try_acquire_with_usage(client).unwrap());
    /// assert_eq!(admitted.each_ref().map(|admission| patience(admission.usage.zone).as_secs()), [60, 60, 5]);
    /// assert_eq!(admitted[2].usage.open_connections, 3);
    /// ```
    #[cfg_attr(feature = "audit", track_caller)]
    pub fn try_acquire_with_usage(&self, client: impl Into<Client>) -> Result<Admission, Rejected> {
        self.acquire_with_usage(client.into(), &pin())
    }

    #[cfg_attr(feature = "audit", track_caller)]
    pub(super) fn acquire_with_usage(&self, client: Client, guard: &Guard) -> Result<Admission, Rejected> {
        let config = self.pinned_config(guard);
        let (permit, open) = self.admit(client, None, config, guard)?;
        Ok(Admission { permit, usage: self.usage_of(client, open, config, guard) })
    }

    /// What `client` has open now, of how many, and how near the nearest limit is.
    ///
    /// For work that comes after the admission: other threads open and close connections meanwhile.
    ///
    /// # Examples
    ///
    /// ```
    /// use connlimit::{Config, Limiter, stats::Zone};
    /// use std::net::Ipv4Addr;
    ///
    /// let limiter = Limiter::new(Config::new(4).with_soft_percent(50));
    /// let client = Ipv4Addr::new(192, 0, 2, 1);
    /// let permits = [(); 3].map(|()| limiter.try_acquire(client).unwrap());
    /// let usage = limiter.usage(client);
    /// assert_eq!((usage.open_connections, usage.limit.at_most(), usage.zone), (3, Some(4), Zone::Soft));
    /// drop(permits);
    /// assert_eq!(limiter.usage(client).zone, Zone::Normal);
    /// ```
    #[must_use]
    pub fn usage(&self, client: impl Into<Client>) -> Usage {
        let (client, guard) = (client.into(), pin());
        let open = self.counts().open(self.counts().key(client), &guard);
        self.usage_of(client, open, self.pinned_config(&guard), &guard)
    }

    fn usage_of(&self, client: Client, open_connections: u32, config: &Config, guard: &Guard) -> Usage {
        let (limit, shared) = match Verdict::of(config, client) {
            Verdict::Limit(MAX_COUNT) => (Limit::Unlimited, true),
            Verdict::Limit(limit) => (Limit::AtMost(limit), true),
            Verdict::Exempt => (Limit::Unlimited, false),
            Verdict::Deny => (Limit::AtMost(0), true),
        };
        let zone = config.soft_percent().map_or(Zone::Normal, |percent| {
            let soft = |open: u32, limit: u32| {
                // Where there is no limit, there is no share of it.
                limit < MAX_COUNT && u64::from(open) * 100 > u64::from(limit) * u64::from(percent)
            };
            let near = soft(open_connections, limit.count())
                || shared && self.counts().above(client).any(|above| soft(above.open(guard), above.limit(config)));
            if near { Zone::Soft } else { Zone::Normal }
        });
        Usage { open_connections, limit, zone }
    }
}
