//! Proof of one counted connection.

mod charge;

use crate::audit::Entry;
use crate::table::Held;
use charge::Charge;

/// One counted connection of one client; dropping it ends the count.
///
/// A permit is one word, holds no reference count that clients share, and finds its way back without a look-up:
/// releasing is a single atomic subtraction. It may be sent to any thread, outlives the [`Limiter`](crate::Limiter)
/// it came from, and releases exactly what it charged, whatever the configuration has become since.
///
/// Releasing *happens before* the admission that takes the freed place: what a thread did before it dropped its
/// permit is seen by the thread that is admitted in its stead (release and acquire, as with a semaphore).
///
/// [`core::mem::forget`] leaks exactly this one count, for as long as the limiter lives, and the piece of the table
/// that holds it.
///
/// # Examples
///
/// ```
/// use connlimit::{Config, Limiter};
/// use std::net::Ipv4Addr;
///
/// let limiter = Limiter::new(Config::new(1));
/// let permit = limiter.try_acquire(Ipv4Addr::LOCALHOST)?;
/// let server = std::thread::spawn(move || {
///     // serve the connection
///     drop(permit);
/// });
/// server.join().unwrap();
/// assert_eq!(limiter.open_connections(Ipv4Addr::LOCALHOST), 0);
/// # Ok::<(), connlimit::Rejected>(())
/// ```
#[derive(Debug)]
#[must_use = "the connection stops being counted when its permit is dropped"]
pub struct Permit(
    Charge,
    #[cfg_attr(feature = "audit", expect(dead_code, reason = "it is there to be dropped"))] Entry,
);

#[cfg(not(feature = "audit"))]
const _: () = assert!(size_of::<Option<Permit>>() == size_of::<usize>());

impl Permit {
    #[inline]
    pub(crate) fn counted(held: Held) -> Self {
        Self(Charge::client(held), Entry::NONE)
    }

    pub(crate) const fn untracked() -> Self {
        Self(Charge::NOTHING, Entry::NONE)
    }

    /// With a place in the registry of permits that are out.
    #[cfg(feature = "audit")]
    pub(crate) fn entered(self, entry: Entry) -> Self {
        Self(self.0, entry)
    }

    /// Takes another counter along.
    pub(crate) fn add(&mut self, held: Held) {
        self.0.add(held);
    }

    /// Whether the connection counts for its client. It does, unless the table was full or the peer unknown, and the
    /// configuration says to admit untracked [then](crate::WhenFull::AdmitUntracked).
    #[must_use]
    pub fn is_tracked(&self) -> bool {
        self.0.see_own(|own| own.is_some())
    }

    /// Connections that this permit's client has open now, this one included, without a look-up. 0 when the connection
    /// is [not tracked](Self::is_tracked).
    ///
    /// # Examples
    ///
    /// ```
    /// use connlimit::{Config, Limiter};
    /// use std::net::Ipv4Addr;
    ///
    /// let limiter = Limiter::new(Config::new(10));
    /// let first = limiter.try_acquire(Ipv4Addr::LOCALHOST)?;
    /// let second = limiter.try_acquire(Ipv4Addr::LOCALHOST)?;
    /// assert_eq!(first.open(), 2);
    /// drop(second);
    /// assert_eq!(first.open(), 1);
    /// # Ok::<(), connlimit::Rejected>(())
    /// ```
    #[must_use]
    pub fn open(&self) -> u32 {
        self.0.see_own(|own| own.map_or(0, Held::open))
    }
}

impl From<Option<Held>> for Permit {
    fn from(held: Option<Held>) -> Self {
        held.map_or_else(Self::untracked, Self::counted)
    }
}
