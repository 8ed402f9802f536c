//! The limiter: a handle on the counts and the configuration in force.
//!
//! More than half of it is documentation: this is where users read what is guaranteed.

mod batch;
mod configure;
mod layered;
#[cfg(all(test, connlimit_loom))]
mod models;
mod usage;

use crate::client::{Client, Identity};
use crate::config::{Config, ConfigError, Family, WhenFull};
use crate::counts::Counts;
use crate::decisions::StripedCounters;
use crate::epoch::{PinNow, PinSource, pin};
use crate::permit::Permit;
use crate::process::Writers;
#[cfg(feature = "audit")]
use crate::registry::Registry;
use crate::rejected::Rejected;
use crate::sync::{Acquire, Arc, ArcCell, AtomicPtr, AtomicU32};
use crate::table::{Counted, NoMemory, Refusal};
pub use batch::Batch;
use configure::mirrored_limit;
use core::borrow::Borrow;
use core::fmt;
use core::net::Ipv4Addr;
use crossbeam_utils::CachePadded;
pub use usage::{Admission, Usage, Zone};

/// Limits how many connections each client may have open at once.
///
/// A limiter is a cheap handle: clones share the same counts and the same configuration. All its methods may be
/// called from any number of threads.
///
/// # What is guaranteed between threads
///
/// - A client never has more permits than a limit that was in force while the last of them was being admitted.
/// - A client below its limit is never rejected on account of attempts that were rejected, nor, while the table has room,
///   on account of another client. (Where clients share a [tier](Config::with_tier) or a [total](Config::with_max_total)
///   its own guarantee holds.) At the memory bound a client that has connections is admitted all the same; one that has
///   none may be rejected with [`Rejected::TableFull`]: each client has its place in one of many small bins, and that
///   one may be full while others are not. A newcomer that comes alone is not rejected while nobody has a connection,
///   unless a thread keeps places from being used again: one with an open [`Batch`], or one that calls with tiers, a total,
///   a dry run or a shadow configured, by itself.
/// - Admission is lock-free and release is wait-free, up to the allocator: a thread that stalls anywhere in this crate
///   delays nobody else's admission or release. A thread that stalls, or is killed, in the midst of an admission or with
///   an open [`Batch`], does keep the places of clients that leave from being used again, until in the end newcomers are
///   rejected. What takes memory: the first call of a thread, an admission that makes the table grow, and, with tiers or
///   a total, every permit; what gives it back: some admissions, and releases of permits that have outlived the limiter.
/// - An admission for which the table finds no memory is a [`Rejected::TableFull`], too. (What `crossbeam-epoch` allocates
///   when a thread calls for the first time, and for what it frees later, is the exception: like a box, it aborts.)
/// - A call that starts after [`set_config`](Self::set_config) returned decides by the new configuration.
/// - A permit's release happens before the admission that takes its place (see [`Permit`]).
///
/// # What happens in a child of `fork`
///
/// A child may build limiters of its own; they work as in any process, whatever the parent's threads were doing. An
/// inherited limiter is a copy: permits that the child inherits count there, limits hold, and a new configuration can be
/// set. But where another thread of the parent was in the midst of a call, a place stays taken, or places of clients
/// that leave are not used again. So build limiters after forking, or only release what was inherited.
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
    /// Held while a configuration is put in force, so that `hot.limit` cannot fall behind `config` when two calls race.
    writers: Writers,
    decisions: StripedCounters,
    #[cfg(feature = "audit")]
    registry: Registry,
}

struct Hot {
    /// The limit of `config`, for the path that must not pay for reading it; or [`LAYERED`].
    limit: AtomicU32,
    /// What `config` holds, for threads that are pinned: they need no count on it.
    current: AtomicPtr<Config>,
    counts: Counts,
}

/// Stands for a configuration that is more than one limit.
const LAYERED: u32 = 0;

impl Limiter {
    /// Builds a limiter. Its tables start small, or at full size if the configuration says to
    /// [preallocate](Config::with_preallocation).
    ///
    /// # Panics
    ///
    /// When the machine does not have the memory: a few kilobytes, or all of the bound if it is to be preallocated. Use
    /// [`try_new`](Self::try_new) where that may be too much.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self::try_new(config).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Builds a limiter like [`new`](Self::new), if there is memory for it.
    ///
    /// # Errors
    ///
    /// [`ConfigError::NoMemory`] when the machine does not have the memory that the configuration asks for at the start.
    /// A system that promises more memory than it has may find that out too late; no process can tell beforehand.
    ///
    /// # Examples
    ///
    /// ```
    /// use connlimit::config::ConfigError;
    /// use connlimit::{Config, Limiter};
    ///
    /// // Somebody has typed some digits too many.
    /// let config = Config::new(10).with_table_memory(1 << 50).with_preallocation(true);
    /// assert!(matches!(Limiter::try_new(config), Err(ConfigError::NoMemory { .. })));
    /// ```
    pub fn try_new(config: Config) -> Result<Self, ConfigError> {
        let config = Arc::new(config.resolved());
        // The epoch's first use sets it up under a lock: here, where nobody is being admitted yet.
        drop(pin());
        let hot = Hot {
            limit: AtomicU32::new(mirrored_limit(&config)),
            current: AtomicPtr::new(Arc::as_ptr(&config).cast_mut()),
            counts: Counts::new(&config).map_err(|NoMemory { bytes }| ConfigError::NoMemory { bytes })?,
        };
        Ok(Self {
            inner: Arc::new(Inner {
                hot: CachePadded::new(hot),
                config: ArcCell::new(config),
                writers: Writers::new(),
                decisions: StripedCounters::new(),
                #[cfg(feature = "audit")]
                registry: Registry::new(),
            }),
        })
    }

    /// Counts one more connection of `client`, if it may have one more.
    ///
    /// A client at its limit is rejected without a write to the table, so that a flood does not slow the rest down. (With
    /// [counting](Config::with_counting), a shadow or a dry run, there are striped counters that note it.)
    ///
    /// The connection is counted for as long as the permit lives. `let _ = limiter.try_acquire(peer)?;` drops it in the same
    /// statement and counts nothing, and no lint that is on by default sees it; `#![warn(let_underscore_drop)]` does. Bind
    /// it to a name, or tie it to the stream with a [`LimitedStream`](crate::LimitedStream).
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
        self.acquire(client.into(), None, PinNow)
    }

    /// Counts one more connection of `client` like [`try_acquire`](Self::try_acquire), with `limit` in place of the
    /// configuration's limit per client: a tenant's plan, or this machine's share of what a client may have in a fleet.
    ///
    /// After an admission the client has at most `limit` connections open, however many the configuration would allow it,
    /// and whichever limits other calls named. 0 rejects. A `limit` below what the client has open closes nothing.
    ///
    /// It takes the place of [`Config::max_per_client`] and of the limit that a rule names; a rule that lifts the limit
    /// lifts that of tiers and of the total, not this one. All else is as configured: a rule that denies,
    /// [tiers](Config::with_tier), the [total](Config::with_max_total), [counting](Config::with_counting), what happens
    /// when the table is [full](Config::with_when_full), a [dry run](Config::with_dry_run), which enforces no limit, this
    /// one included, and a [shadow](Config::with_shadow), whose limit per client is `limit` too.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire); [`Rejected::ClientLimit`] when the client has `limit` connections open.
    ///
    /// # Examples
    ///
    /// Each tenant has the limit of its plan:
    ///
    /// ```
    /// use connlimit::{Client, Config, Limiter, Rejected};
    ///
    /// let limiter = Limiter::new(Config::new(10));
    /// let (small, large) = (Client::named("tenant-17"), Client::named("tenant-4"));
    ///
    /// let first = limiter.try_acquire_within(small, 1)?;
    /// assert_eq!(limiter.try_acquire_within(small, 1).unwrap_err(), Rejected::ClientLimit);
    ///
    /// let many: Result<Vec<_>, _> = (0..25).map(|_| limiter.try_acquire_within(large, 25)).collect();
    /// assert_eq!(many?.len(), 25);
    /// # drop(first);
    /// # Ok::<(), Rejected>(())
    /// ```
    #[inline]
    #[cfg_attr(feature = "audit", track_caller)]
    pub fn try_acquire_within(&self, client: impl Into<Client>, limit: u32) -> Result<Permit, Rejected> {
        self.acquire(client.into(), Some(limit), PinNow)
    }

    /// Within `within`, or without it within what the configuration says.
    #[inline(always)]
    #[cfg_attr(feature = "audit", track_caller)]
    fn acquire(&self, client: Client, within: Option<u32>, pins: impl PinSource) -> Result<Permit, Rejected> {
        match client.identity() {
            Identity::V4(addr) => self.acquire_ipv4(addr, within, pins),
            Identity::V6(_) | Identity::Named(_) => self.acquire_any(client, within, pins),
        }
    }

    /// The common case, one IPv4 client and one limit. Inlined so that the result stays in registers.
    #[inline(always)]
    #[cfg_attr(feature = "audit", track_caller)]
    fn acquire_ipv4(&self, addr: Ipv4Addr, within: Option<u32>, pins: impl PinSource) -> Result<Permit, Rejected> {
        let configured = self.limit();
        if configured == LAYERED {
            return self.acquire_any(addr.into(), within, pins);
        }
        let limit = within.unwrap_or(configured);
        if limit == 0 {
            return Err(Rejected::ClientLimit);
        }
        let counts = self.counts();
        self.answer(counts.v4().acquire(counts.ipv4_key(addr), limit, pins), Family::Ipv4)
    }

    #[inline(never)]
    #[cfg_attr(feature = "audit", track_caller)]
    fn acquire_any(&self, client: Client, within: Option<u32>, mut pins: impl PinSource) -> Result<Permit, Rejected> {
        let configured = self.limit();
        if configured == LAYERED {
            return self.acquire_layered(client, within, pins.guard().borrow());
        }
        let limit = within.unwrap_or(configured);
        if limit == 0 {
            return Err(Rejected::ClientLimit);
        }
        let key = self.counts().key(client);
        self.answer(self.counts().acquire(key, limit, pins), key.family())
    }

    #[inline(always)]
    fn limit(&self) -> u32 {
        // ORDERING: Acquire, pairs with Release in `install`. A thread that sees a limit also sees the configuration that it
        // is of; without it, a thread that finds `LAYERED` could read the configuration before.
        self.inner.hot.limit.load(Acquire)
    }

    #[inline(always)]
    fn answer(&self, counted: Counted, family: Family) -> Result<Permit, Rejected> {
        match counted {
            Ok((held, _)) => Ok(Permit::counted(held)),
            Err(Refusal::AtLimit) => Err(Rejected::ClientLimit),
            Err(Refusal::Full) => self.full(family),
        }
    }

    #[cold]
    fn full(&self, family: Family) -> Result<Permit, Rejected> {
        // Not by `load_config`: a thread's first use of that allocates.
        match self.pinned_config(&pin()).when_full_for(family) {
            WhenFull::Reject => Err(Rejected::TableFull),
            WhenFull::AdmitUntracked => Ok(Permit::untracked()),
        }
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

    pub(crate) fn decisions(&self) -> &StripedCounters {
        &self.inner.decisions
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter").field("config", &*self.config()).finish_non_exhaustive()
    }
}
