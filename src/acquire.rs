//! What adapters ask of a limiter, so that they take others as well.

use crate::{Client, Limiter, Permit, Rejected};

/// Admits connections: a [`Limiter`], or a limiter whose counts are elsewhere, such as `SharedLimiter` of
/// `connlimit-shared`, which counts in all processes of a machine.
///
/// The adapters ([`net::LimitedListener`](crate::net::LimitedListener), those of `connlimit-tokio`, `connlimit-axum` and
/// `connlimit-tonic`) are generic over it, with [`Limiter`] as the default. Implement it to put something before a
/// limiter: a log, a list of clients that are always rejected.
///
/// # Examples
///
/// ```
/// use connlimit::{Acquire, Client, Config, Limiter, Permit, Rejected, net::LimitedListener};
/// use std::net::TcpListener;
///
/// /// Nobody connects while it is closed.
/// struct Gate {
///     open: bool,
///     limiter: Limiter,
/// }
///
/// impl Acquire for Gate {
///     type Permit = Permit;
///
///     fn try_acquire(&self, client: Client) -> Result<Permit, Rejected> {
///         if self.open { self.limiter.try_acquire(client) } else { Err(Rejected::Denied) }
///     }
/// }
///
/// let gate = Gate { open: true, limiter: Limiter::new(Config::new(16)) };
/// let listener = LimitedListener::new(TcpListener::bind("127.0.0.1:0")?, gate);
/// # let _ = listener;
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait Acquire {
    /// One counted connection. Dropping it ends the count, in whatever thread.
    type Permit: Send + Sync + Unpin + 'static;

    /// Counts one more connection of `client`, if it may have one more. Must not wait.
    ///
    /// # Errors
    ///
    /// Why it may not. Nothing is counted then.
    fn try_acquire(&self, client: Client) -> Result<Self::Permit, Rejected>;

    /// Runs `act` with a [`try_acquire`](Self::try_acquire) for several connections in a row, which a limiter may have
    /// for less than as many calls: [`Limiter`] has its [batch](Limiter::batch). `act` must not wait.
    fn in_a_row<T>(&self, act: impl FnOnce(&mut dyn FnMut(Client) -> Result<Self::Permit, Rejected>) -> T) -> T
    where
        Self: Sized,
    {
        act(&mut |client| self.try_acquire(client))
    }
}

impl Acquire for Limiter {
    type Permit = Permit;

    #[inline]
    #[cfg_attr(feature = "audit", track_caller)]
    fn try_acquire(&self, client: Client) -> Result<Permit, Rejected> {
        // The inherent one.
        Self::try_acquire(self, client)
    }

    fn in_a_row<T>(&self, act: impl FnOnce(&mut dyn FnMut(Client) -> Result<Permit, Rejected>) -> T) -> T {
        // None unless there is a connection: an accept loop is often polled in vain.
        let mut batch = None;
        act(&mut |client| batch.get_or_insert_with(|| self.batch()).try_acquire(client))
    }
}
