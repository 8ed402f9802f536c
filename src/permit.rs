//! Proof of one counted connection.

mod tagged;

#[cfg(feature = "audit")]
use crate::registry::Entry;
use crate::table::CountGuard;
use tagged::TaggedCounts;

/// One counted connection of one client; dropping it ends the count.
///
/// A permit is one word, holds no reference count that clients share, and finds its way back without a look-up:
/// releasing is a single atomic subtraction. It may be sent to any thread, outlives the [`Limiter`](crate::Limiter)
/// it came from, and releases exactly what it charged, whatever the configuration has become since.
///
/// Releasing *happens before* the admission that takes the freed place: what a thread did before it dropped its
/// permit is seen by the thread that is admitted in its stead (release and acquire, as with a semaphore).
///
/// # A permit has to be kept
///
/// The connection is counted for as long as the permit lives. `let _ = limiter.try_acquire(client)?;` drops it at once and
/// counts nothing, and the compiler does not warn of it: bind it to a name (`let _permit = …`), or better, tie it to the
/// stream with [`LimitedStream`](crate::LimitedStream). The lint `let_underscore_drop` of rustc finds such lines:
/// `#![warn(let_underscore_drop)]`.
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
pub struct Permit(TaggedCounts);

const _: () = assert!(size_of::<Option<Permit>>() == size_of::<usize>());

impl Permit {
    #[inline]
    pub(crate) fn counted(held: CountGuard) -> Self {
        Self(TaggedCounts::client(held))
    }

    pub(crate) const fn untracked() -> Self {
        Self(TaggedCounts::UNTRACKED)
    }

    /// Takes its place in the registry of permits that are out along.
    #[cfg(feature = "audit")]
    pub(crate) fn note(&mut self, entry: Entry) {
        self.0.note(entry);
    }

    /// Takes another counter along.
    pub(crate) fn add(&mut self, held: CountGuard) {
        self.0.add(held);
    }

    /// Whether the connection counts for its client. It does, unless the table was full or the peer unknown, and the
    /// configuration says to admit untracked [then](crate::config::WhenFull::AdmitUntracked).
    #[must_use]
    pub fn is_tracked(&self) -> bool {
        self.0.with_own(|own| own.is_some())
    }
}

impl From<Option<CountGuard>> for Permit {
    fn from(held: Option<CountGuard>) -> Self {
        held.map_or_else(Self::untracked, Self::counted)
    }
}
