//! A batch of admissions under one pin.

use super::Limiter;
use super::usage::Admission;
use crate::client::Client;
use crate::epoch::{Guard, pin};
use crate::permit::Permit;
use crate::rejected::Rejected;

/// Admits connections like its [`Limiter`], but pays for entering the table once per batch, not once per call.
///
/// Meant for an accept loop that takes several connections in a row. While a batch exists, memory that the table
/// gives up is held back, so drop it before waiting for the next readiness event; it cannot leave its thread, and
/// so cannot be held across an `.await` of a task that moves. It lets go by itself every 64 calls, unless its thread has
/// another batch open as well.
///
/// # Examples
///
/// ```
/// use connlimit::{Config, Limiter};
/// use std::net::Ipv4Addr;
///
/// let limiter = Limiter::new(Config::new(2));
/// let ready = [Ipv4Addr::new(192, 0, 2, 1); 3];
///
/// let mut batch = limiter.batch();
/// let permits: Vec<_> = ready.into_iter().filter_map(|peer| batch.try_acquire(peer).ok()).collect();
/// drop(batch);
/// assert_eq!(permits.len(), 2);
/// ```
#[derive(Debug)]
pub struct Batch<'a> {
    limiter: &'a Limiter,
    guard: Guard,
    calls: u32,
}

/// Calls between two moments at which a batch lets go of the table.
const CALLS_PER_PIN: u32 = if cfg!(connlimit_shuttle) { 4 } else { 64 };

impl Limiter {
    /// A guard for accept loops: admits a batch of connections for the price of one entry into the table.
    #[must_use]
    pub fn batch(&self) -> Batch<'_> {
        Batch { limiter: self, guard: pin(), calls: 0 }
    }
}

impl Batch<'_> {
    /// Counts one more connection of `client`, if it may have one more.
    ///
    /// # Errors
    ///
    /// As [`Limiter::try_acquire`].
    #[inline]
    #[cfg_attr(feature = "audit", track_caller)]
    pub fn try_acquire(&mut self, client: impl Into<Client>) -> Result<Permit, Rejected> {
        let limiter = self.limiter;
        limiter.acquire(client.into(), None, self.pinned())
    }

    /// Counts one more connection of `client`, with `limit` in place of the configuration's limit per client.
    ///
    /// # Errors
    ///
    /// As [`Limiter::try_acquire_within`].
    #[inline]
    #[cfg_attr(feature = "audit", track_caller)]
    pub fn try_acquire_within(&mut self, client: impl Into<Client>, limit: u32) -> Result<Permit, Rejected> {
        let limiter = self.limiter;
        limiter.acquire(client.into(), Some(limit), self.pinned())
    }

    /// Counts one more connection of `client`, and tells what it has with it.
    ///
    /// # Errors
    ///
    /// As [`Limiter::try_acquire_with_usage`].
    #[cfg_attr(feature = "audit", track_caller)]
    pub fn try_acquire_with_usage(&mut self, client: impl Into<Client>) -> Result<Admission, Rejected> {
        let limiter = self.limiter;
        limiter.acquire_with_usage(client.into(), self.pinned())
    }

    /// Counts one more connection of `peer`, which may not be known.
    ///
    /// # Errors
    ///
    /// As [`Limiter::try_acquire_peer`].
    #[cfg_attr(feature = "audit", track_caller)]
    pub fn try_acquire_peer(&mut self, peer: Option<impl Into<Client>>) -> Result<Permit, Rejected> {
        match peer {
            Some(client) => self.try_acquire(client),
            None => self.limiter.acquire_unknown(),
        }
    }

    /// The guard of the batch, after it has let go when it is time.
    #[inline]
    fn pinned(&mut self) -> &mut Guard {
        self.calls += 1;
        if self.calls == CALLS_PER_PIN {
            self.calls = 0;
            self.guard.repin();
        }
        &mut self.guard
    }
}
