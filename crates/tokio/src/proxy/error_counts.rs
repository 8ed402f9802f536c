//! How often a connection was closed for want of a valid header, by what was wrong.

use super::ProxyError;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;

/// Connections that were closed for want of a valid PROXY header so far, by what was wrong: one number for each kind of
/// [`ProxyError`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyErrorCounts {
    /// [`ProxyError::Untrusted`].
    pub untrusted: u64,
    /// [`ProxyError::Busy`].
    pub busy: u64,
    /// [`ProxyError::Missing`].
    pub missing: u64,
    /// [`ProxyError::Malformed`].
    pub malformed: u64,
    /// [`ProxyError::TooLong`].
    pub too_long: u64,
    /// [`ProxyError::Late`].
    pub late: u64,
    /// [`ProxyError::Io`].
    pub io: u64,
}

impl ProxyErrorCounts {
    /// Each kind with its number, under a name that is fit for a label: `too_long` and so on.
    #[must_use]
    pub const fn by_kind(&self) -> [(&'static str, u64); 7] {
        [
            ("untrusted", self.untrusted),
            ("busy", self.busy),
            ("missing", self.missing),
            ("malformed", self.malformed),
            ("too_long", self.too_long),
            ("late", self.late),
            ("io", self.io),
        ]
    }

    /// All of them together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.by_kind().iter().map(|&(_, count)| count).sum()
    }
}

/// Counts the errors of one [`Proxied`](super::Proxied), which hands it out as [`errors`](super::Proxied::errors). Clones
/// share the counts.
///
/// # Examples
///
/// Keep one before the listener takes the socket:
///
/// ```
/// use connlimit::{Config, Limiter};
/// use connlimit_tokio::{LimitedListener, proxy::{Proxied, ProxyErrors}};
/// use ipnet::IpNet;
/// use tokio::net::TcpListener;
///
/// fn watched(socket: TcpListener, proxies: IpNet) -> (LimitedListener<Proxied<TcpListener>>, ProxyErrors) {
///     let proxied = Proxied::new(socket, [proxies]);
///     let errors = proxied.errors().clone();
///     (LimitedListener::new(proxied, Limiter::new(Config::new(16))), errors)
/// }
/// ```
#[derive(Clone, Debug, Default)]
pub struct ProxyErrors(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    untrusted: AtomicU64,
    busy: AtomicU64,
    missing: AtomicU64,
    malformed: AtomicU64,
    too_long: AtomicU64,
    late: AtomicU64,
    io: AtomicU64,
}

impl ProxyErrors {
    /// The counts as they are now.
    #[must_use]
    pub fn counts(&self) -> ProxyErrorCounts {
        // ORDERING: Relaxed; no number says anything about another, and each only grows.
        let now = |count: &AtomicU64| count.load(Relaxed);
        let Counters { untrusted, busy, missing, malformed, too_long, late, io } = &*self.0;
        ProxyErrorCounts {
            untrusted: now(untrusted),
            busy: now(busy),
            missing: now(missing),
            malformed: now(malformed),
            too_long: now(too_long),
            late: now(late),
            io: now(io),
        }
    }

    pub(super) fn count(&self, error: &ProxyError) {
        let counters = &*self.0;
        let count = match error {
            ProxyError::Untrusted => &counters.untrusted,
            ProxyError::Busy => &counters.busy,
            ProxyError::Missing => &counters.missing,
            ProxyError::Malformed => &counters.malformed,
            ProxyError::TooLong(_) => &counters.too_long,
            ProxyError::Late => &counters.late,
            ProxyError::Io(_) => &counters.io,
        };
        // ORDERING: Relaxed; the number is all that is shared, and an addition always acts on the latest.
        count.fetch_add(1, Relaxed);
    }
}
