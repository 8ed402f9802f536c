//! Proof of one counted connection.

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
pub struct Permit {
    /// `None` counts nothing: admitted untracked, by the policy for a full table.
    held: Option<Held>,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Permit>() == 16);

impl Permit {
    #[inline]
    pub(crate) const fn counted(held: Held) -> Self {
        Self { held: Some(held) }
    }

    pub(crate) const fn untracked() -> Self {
        Self { held: None }
    }

    /// Whether the connection is counted. It is, unless the table was full and the configuration says to
    /// [admit untracked](crate::WhenFull::AdmitUntracked) then.
    #[must_use]
    pub const fn is_tracked(&self) -> bool {
        self.held.is_some()
    }
}
