//! Proof of one counted connection.

use crate::audit::Entry;
use crate::config::MAX_TIERS;
use crate::table::Held;

/// One counted connection of one client; dropping it ends the count.
///
/// A permit is two words, holds no reference count that clients share, and finds its way back without a look-up:
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
/// assert_eq!(limiter.num_open(Ipv4Addr::LOCALHOST), 0);
/// # Ok::<(), connlimit::Rejected>(())
/// ```
#[derive(Debug)]
#[must_use = "the connection stops being counted when its permit is dropped"]
pub struct Permit(
    Charge,
    #[cfg_attr(feature = "audit", expect(dead_code, reason = "it is there to be dropped"))] Entry,
);

/// What a permit gives back. Two words, in each case.
#[derive(Debug)]
enum Charge {
    /// The client's counter: all there is, unless the configuration has tiers or a total.
    Client(Held),
    /// Nothing, if admitted untracked; or the counters of the client (if tracked), its networks and the total.
    Other(Option<Box<Charges>>),
}

#[derive(Debug, Default)]
struct Charges {
    client: Option<Held>,
    above: [Option<Held>; MAX_TIERS + 1],
}

#[cfg(all(target_pointer_width = "64", not(feature = "audit")))]
const _: () = assert!(size_of::<Permit>() == 16);

impl Permit {
    #[inline]
    pub(crate) const fn counted(held: Held) -> Self {
        Self(Charge::Client(held), Entry::NONE)
    }

    pub(crate) const fn untracked() -> Self {
        Self(Charge::Other(None), Entry::NONE)
    }

    /// With a place in the registry of permits that are out.
    #[cfg(feature = "audit")]
    pub(crate) fn entered(self, entry: Entry) -> Self {
        Self(self.0, entry)
    }

    /// Takes another counter along.
    pub(crate) fn add(&mut self, held: Held) {
        let mut charges = match core::mem::replace(&mut self.0, Charge::Other(None)) {
            Charge::Client(client) => Box::new(Charges { client: Some(client), ..Charges::default() }),
            Charge::Other(charges) => charges.unwrap_or_default(),
        };
        if let Some(free) = charges.above.iter_mut().find(|place| place.is_none()) {
            *free = Some(held);
        }
        self.0 = Charge::Other(Some(charges));
    }

    const fn client(&self) -> Option<&Held> {
        match &self.0 {
            Charge::Client(held) => Some(held),
            Charge::Other(Some(charges)) => charges.client.as_ref(),
            Charge::Other(None) => None,
        }
    }

    /// Whether the connection counts for its client. It does, unless the table was full or the peer unknown, and the
    /// configuration says to admit untracked [then](crate::WhenFull::AdmitUntracked).
    #[must_use]
    pub const fn is_tracked(&self) -> bool {
        self.client().is_some()
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
        self.client().map_or(0, Held::open)
    }
}

impl From<Option<Held>> for Permit {
    fn from(held: Option<Held>) -> Self {
        held.map_or_else(Self::untracked, Self::counted)
    }
}
