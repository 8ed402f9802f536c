//! The limiter: a handle on the counts and the configuration in force.

#[cfg(all(test, connlimit_loom))]
mod models;

use crate::audit::Registry;
use crate::batch::Batch;
use crate::client::{Client, Identity};
use crate::config::{Config, ConfigError, Family, WhenFull};
use crate::counts::{Counts, no_limit_if_zero};
use crate::epoch::{Anew, Enter, Guard, pin};
use crate::permit::Permit;
use crate::rejected::Rejected;
use crate::sync::{Acquire, Arc, ArcCell, AtomicPtr, AtomicU32, Mutex, Release, lock};
use crate::table::{Held, Refusal};
use crate::tally::Tally;
use core::borrow::Borrow;
use core::fmt;
use core::net::Ipv4Addr;
use core::ops::Deref;
use crossbeam_utils::CachePadded;

/// Limits how many connections each client may have open at once.
///
/// A limiter is a cheap handle: clones share the same counts and the same configuration. All its methods may be
/// called from any number of threads.
///
/// # What is guaranteed between threads
///
/// - A client never has more permits than a limit that was in force while the last of them was being admitted.
/// - A client below its limit is never rejected on account of another client, or of attempts that were rejected. (Where
///   clients share a [tier](Config::with_tier) or a [total](Config::with_max_total) its own guarantee holds.)
/// - Admission is lock-free and release is wait-free: a thread that stalls or dies anywhere in this crate delays
///   nobody else's admission or release.
/// - A call that starts after [`set_config`](Self::set_config) returned decides by the new configuration.
/// - A permit's release happens before the admission that takes its place (see [`Permit`]).
///
/// # Examples
///
/// ```
/// use connlimit::{Config, Limiter};
/// use std::net::Ipv4Addr;
///
/// let limiter = Limiter::new(Config::new(2));
/// let client = Ipv4Addr::new(192, 0, 2, 1);
///
/// let first = limiter.try_acquire(client)?;
/// let second = limiter.try_acquire(client)?;
/// assert!(limiter.try_acquire(client).is_err());
///
/// drop(first);
/// let third = limiter.try_acquire(client)?;
/// assert_eq!(limiter.open_connections(client), 2);
/// # drop((second, third));
/// # Ok::<(), connlimit::Rejected>(())
/// ```
#[derive(Clone)]
pub struct Limiter {
    inner: Arc<Inner>,
}

struct Inner {
    /// What every admission reads, on lines that nothing but a change of configuration or size writes.
    hot: CachePadded<Hot>,
    /// The configuration in force.
    config: ArcCell<Config>,
    /// Held by `set_config`, so that `hot.limit` cannot fall behind `config` when two calls race.
    writer: Mutex<()>,
    tally: Tally,
    #[cfg_attr(not(feature = "audit"), expect(dead_code, reason = "it is nothing then"))]
    registry: Registry,
}

struct Hot {
    /// The limit of `config`, for the path that must not pay for reading it; or [`BY_POLICY`].
    limit: AtomicU32,
    /// What `config` holds, for threads that are pinned: they need no count on it.
    policy: AtomicPtr<Config>,
    counts: Counts,
}

/// The limit of a configuration that is more than one limit: no limit of the tables is zero.
const BY_POLICY: u32 = 0;

impl Limiter {
    /// Builds a limiter. Its tables start small, or at full size if the configuration says to
    /// [preallocate](Config::with_preallocation).
    #[must_use]
    pub fn new(config: Config) -> Self {
        let config = Arc::new(config.resolved());
        // The epoch's first use sets it up under a lock: here, where nobody is being admitted yet.
        drop(pin());
        let hot = Hot {
            limit: AtomicU32::new(mirrored_limit(&config)),
            policy: AtomicPtr::new(Arc::as_ptr(&config).cast_mut()),
            counts: Counts::new(&config),
        };
        Self {
            inner: Arc::new(Inner {
                hot: CachePadded::new(hot),
                config: ArcCell::new(config),
                writer: Mutex::new(()),
                tally: Tally::new(),
                registry: Registry::new(),
            }),
        }
    }

    /// Counts one more connection of `client`, if it may have one more.
    ///
    /// A client at its limit is rejected without a write to the table, so that a flood does not slow the rest down. (With
    /// [counting](Config::with_counting), a shadow or a dry run, there are striped counters that note it.)
    ///
    /// # Errors
    ///
    /// [`Rejected::ClientLimit`] when the client is at its limit, [`Rejected::TableFull`] when it is new and the
    /// table is at its memory bound; [`Rejected::TierLimit`] and [`Rejected::TotalLimit`] where the configuration has
    /// [tiers](Config::with_tier) or a [total](Config::with_max_total).
    ///
    /// # Examples
    ///
    /// Claim before anything costly happens, and before the connection is handed to a task:
    ///
    /// ```
    /// use connlimit::{Config, Limiter};
    /// use std::net::TcpListener;
    /// # use std::net::TcpStream;
    ///
    /// let limiter = Limiter::new(Config::new(100));
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let _client = TcpStream::connect(listener.local_addr()?)?;
    ///
    /// let (stream, peer) = listener.accept()?;
    /// match limiter.try_acquire(peer) {
    ///     Ok(permit) => { std::thread::spawn(move || { let _counted = permit; let _serve = stream; }); }
    ///     Err(_) => drop(stream),
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[inline]
    #[cfg_attr(feature = "audit", track_caller)]
    pub fn try_acquire(&self, client: impl Into<Client>) -> Result<Permit, Rejected> {
        let client = client.into();
        self.entered(client, self.acquire(client, Anew))
    }

    #[inline(always)]
    pub(crate) fn acquire(&self, client: Client, enter: impl Enter) -> Result<Permit, Rejected> {
        match client.identity() {
            Identity::V4(addr) => self.acquire_ipv4(addr, enter),
            Identity::V6(_) | Identity::Named(_) => self.acquire_any(client, enter),
        }
    }

    /// The way of most: in line, and from end to end in registers.
    #[inline(always)]
    fn acquire_ipv4(&self, addr: Ipv4Addr, enter: impl Enter) -> Result<Permit, Rejected> {
        let limit = self.limit();
        if limit == BY_POLICY {
            return self.acquire_any(addr.into(), enter);
        }
        let counts = self.counts();
        self.answer(counts.v4().acquire(counts.ipv4_key(addr), limit, enter), Family::Ipv4)
    }

    #[inline(never)]
    fn acquire_any(&self, client: Client, enter: impl Enter) -> Result<Permit, Rejected> {
        let limit = self.limit();
        if limit == BY_POLICY {
            return self.acquire_by_policy(client, enter.enter().borrow());
        }
        let key = self.counts().key(client);
        self.answer(self.counts().acquire(key, limit, enter), key.family())
    }

    #[inline(always)]
    fn limit(&self) -> u32 {
        // ORDERING: Acquire, with the Release in `set_config`: who sees a limit also sees the configuration it is of.
        self.inner.hot.limit.load(Acquire)
    }

    #[inline(always)]
    fn answer(&self, counted: Result<(Held, u32), Refusal>, family: Family) -> Result<Permit, Rejected> {
        match counted {
            Ok((held, _)) => Ok(Permit::counted(held)),
            Err(Refusal::AtLimit) => Err(Rejected::ClientLimit),
            Err(Refusal::Full) => self.full(family),
        }
    }

    #[cold]
    fn full(&self, family: Family) -> Result<Permit, Rejected> {
        match self.load_config().when_full_for(family) {
            WhenFull::Reject => Err(Rejected::TableFull),
            WhenFull::AdmitUntracked => Ok(Permit::untracked()),
        }
    }

    /// A guard for accept loops: admits a batch of connections for the price of one entry into the table.
    #[must_use]
    pub fn batch(&self) -> Batch<'_> {
        Batch::new(self)
    }

    /// Open connections of `client`, as of one moment within the call.
    #[must_use]
    pub fn open_connections(&self, client: impl Into<Client>) -> u32 {
        let counts = self.counts();
        counts.open(counts.key(client.into()), &pin())
    }

    /// Gives memory back now that inserts would give back in passing.
    ///
    /// Never needed while new clients come: each of them does a share of it. A server that falls idle after a crowd may
    /// call it from a timer. It takes time in proportion to the memory there is (about a millisecond for each hundred
    /// thousand clients there have been), and disturbs nobody. What clients with open connections hold stays.
    ///
    /// # Examples
    ///
    /// ```
    /// use connlimit::{Config, Limiter};
    /// use std::net::Ipv4Addr;
    ///
    /// let limiter = Limiter::new(Config::new(1));
    /// let crowd: Vec<_> = (0..50_000).map(|n| limiter.try_acquire(Ipv4Addr::from_bits(n)).unwrap()).collect();
    /// drop(crowd);
    /// limiter.reclaim();
    /// ```
    pub fn reclaim(&self) {
        self.counts().reclaim();
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.inner.hot.counts
    }

    /// The permits that are out.
    #[cfg(feature = "audit")]
    pub(crate) fn registry(&self) -> &Registry {
        &self.inner.registry
    }

    pub(crate) fn tally(&self) -> &Tally {
        &self.inner.tally
    }

    /// The configuration in force, without the price of counting who reads it.
    #[inline]
    pub(crate) fn policy<'a>(&'a self, _: &'a Guard) -> &'a Config {
        // ORDERING: Acquire, with the Release in `set_config`: it is initialised.
        let config = self.inner.hot.policy.load(Acquire);
        // SAFETY: `config` holds it, until the last handle goes; or `set_config` has replaced it and leaves it to the
        // epoch, and the guard is pinned.
        let config = unsafe { &*config };
        #[cfg(connlimit_model)]
        config.life.used();
        config
    }

    pub(crate) fn load_config(&self) -> impl Deref<Target = Arc<Config>> {
        self.inner.config.load()
    }

    /// The configuration in force, with the shape the limiter was built with.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        self.inner.config.load_full()
    }

    /// Replaces the configuration, while admissions go on undisturbed.
    ///
    /// Admissions that start after this returns decide by the new one. No connection is closed: a client that has
    /// more than a lowered limit keeps what it has, and gets nothing new until it is below.
    ///
    /// # Errors
    ///
    /// [`ConfigError::FixedAtBuild`] when `config` sets something that is fixed when a limiter is built (see
    /// [`Config`]) other than it was. Nothing has changed then.
    pub fn set_config(&self, config: Config) -> Result<(), ConfigError> {
        let inner = &*self.inner;
        let _writer = lock(&inner.writer);
        let config = Arc::new(config.adapted_to(&inner.config.load())?);
        let limit = mirrored_limit(&config);
        // ORDERING: Release, with the Acquire in `policy`.
        inner.hot.policy.store(Arc::as_ptr(&config).cast_mut(), Release);
        let replaced = inner.config.swap(config);
        // A thread that is pinned may have found it through `policy`. And not to lie in this thread's bag for long.
        let guard = pin();
        guard.defer(move || drop(replaced));
        guard.flush();
        // ORDERING: Release, with the Acquire in `limit`.
        inner.hot.limit.store(limit, Release);
        Ok(())
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter").field("config", &*self.config()).finish_non_exhaustive()
    }
}

fn mirrored_limit(config: &Config) -> u32 {
    if config.is_plain() { no_limit_if_zero(config.max_per_client()) } else { BY_POLICY }
}
