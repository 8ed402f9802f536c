//! Proof of one counted connection.

use crate::table::Lane;

/// One connection that is counted for one client in all processes; dropping it ends the count.
///
/// A release is one atomic subtraction, without a look-up. A permit may be sent to any thread, and outlives the
/// [`SharedLimiter`](crate::SharedLimiter) it came from: the process remains a member of the region while there are
/// permits.
///
/// Releasing *happens before* the admission that takes the freed place, in whichever process (release and acquire, as
/// with a semaphore).
///
/// [`core::mem::forget`] leaks this one count until the process ends. When a process ends, in whatever way, its permits
/// end as well. A child that is forked, and goes on without `exec`, cannot release the permits of its parent: the region
/// is not mapped in it, and an attempt ends it with `SIGSEGV`.
///
/// # Examples
///
/// ```
/// use connlimit_shared::{Limits, SharedConfig, SharedLimiter};
/// use std::net::Ipv4Addr;
///
/// let limiter = SharedLimiter::create_unnamed(&SharedConfig::new(Limits::new(1)))?;
/// let permit = limiter.try_acquire(Ipv4Addr::LOCALHOST)?;
/// let server = std::thread::spawn(move || {
///     // serve the connection
///     drop(permit);
/// });
/// server.join().unwrap();
/// assert_eq!(limiter.open_connections(Ipv4Addr::LOCALHOST), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "the connection stops being counted when its permit is dropped"]
pub struct SharedPermit(Lane<'static>);

impl SharedPermit {
    #[inline(always)]
    pub(crate) const fn new(lane: Lane<'static>) -> Self {
        Self(lane)
    }
}

impl Drop for SharedPermit {
    #[inline(always)]
    fn drop(&mut self) {
        self.0.release();
    }
}
