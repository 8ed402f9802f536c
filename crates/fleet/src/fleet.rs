//! A machine's part in the fleet: what admissions see of it.

use crate::client::FleetClient;
use crate::clock::{nanos, now};
use crate::driver::{Core, Driver};
use crate::engine::{Engine, EngineError};
use crate::error::{JoinError, Rejection};
use crate::gate::Gate;
use crate::protocol::machine::Machine;
use crate::protocol::wire::Key;
use crate::stats::{Overhang, Stats};
use crate::terms::{OnLoss, Terms};
use connlimit::{Client, Config, Limiter, Permit, Rejected};
use core::fmt;
use core::pin::pin;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use core::time::Duration;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

/// Admits connections of a client that may have so many in the whole fleet.
///
/// A cheap handle; clones are the same member of the fleet. Every admission is decided here, by the limiter, within the
/// share of this machine and what has been leased to it: no admission waits for the engine. A task of the runtime in
/// which [`join`](Self::join) was called talks to the engine.
///
/// While a handle exists the machine is in the fleet. When the last one is dropped it falls silent, and what it had is
/// free after a [time to live](Terms::ttl): use [`leave`](Self::leave) while connections are still open.
///
/// # What is guaranteed
///
/// See [the table](crate#guarantees). Between threads: an admission that this type has answered with a permit is counted
/// for the fleet before anything that is leased to this machine is given back.
///
/// # Examples
///
/// ```
/// use connlimit::{Config, Limiter};
/// use connlimit_fleet::{Fleet, Rejection, Terms, engine::Memory};
/// use std::net::Ipv4Addr;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let limiter = Limiter::new(Config::new(100));
/// let fleet = Fleet::join(Memory::new(), limiter, Terms::new(100).seats(10).share(1)).await?;
///
/// let client = Ipv4Addr::new(192, 0, 2, 1);
/// let first = fleet.try_acquire(client)?;
/// assert_eq!(fleet.try_acquire(client).unwrap_err(), Rejection::ShareUsed);
/// # drop(first);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Fleet {
    /// The same as in `shared`, where an admission finds it a step earlier.
    limiter: Limiter,
    shared: Arc<Shared>,
    /// The task ends with the last of them.
    asks: mpsc::Sender<Ask>,
}

/// What admissions read, and the task that talks to the engine writes.
pub(crate) struct Shared {
    /// Connections of each client without a lease.
    pub(crate) share: AtomicU32,
    pub(crate) limiter: Limiter,
    /// The limiter's configuration when it joined, for what is fixed in it: who counts as whom.
    config: Arc<Config>,
    /// Until when leases are good, by the machine's clock in nanoseconds.
    pub(crate) deadline: AtomicU64,
    /// Not 0 while the engine is away and each client may have that many.
    pub(crate) open_to: AtomicU32,
    /// Until when nothing is to be asked.
    pub(crate) quiet_until: AtomicU64,
    pub(crate) leaving: AtomicBool,
    pub(crate) left: AtomicBool,
    /// Clients above their share.
    pub(crate) leases: papaya::HashMap<Client, Arc<Lease>>,
    pub(crate) core: Mutex<Core>,
    /// The engine has answered, or something has ended.
    pub(crate) news: Notify,
    /// [`Fleet::leave`] was called.
    pub(crate) leave: Notify,
    on_loss: OnLoss,
    patience: Duration,
    /// Whether there is anything to lease.
    leases_exist: bool,
}

pub(crate) struct Lease {
    /// Counted like all addresses of the client.
    pub(crate) client: Client,
    pub(crate) key: Key,
    pub(crate) gate: Gate,
    pub(crate) quiet_until: AtomicU64,
}

pub(crate) struct Ask {
    pub(crate) client: Client,
    pub(crate) key: Key,
}

/// Asks that wait to be heard; more are not made.
const MOST_ASKS: usize = 4096;

impl Fleet {
    /// Takes `limiter` into the fleet whose leases `engine` keeps.
    ///
    /// The limiter's own limit per client no longer matters for what is admitted through the fleet, nor do limits that
    /// rules name; all else does. The limiters of a fleet must tell clients apart by the same prefixes.
    ///
    /// # Errors
    ///
    /// [`JoinError`] when the terms cannot stand or are not those of the fleet, and when the engine is away. A machine
    /// may then try again, or serve with `limit / seats` until it can.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with time and, for `Redis`, I/O.
    pub async fn join(mut engine: impl Engine, limiter: Limiter, terms: Terms) -> Result<Self, JoinError> {
        let settings = terms.settings().map_err(JoinError::Terms)?;
        let mut name = [0; 16];
        getrandom::fill(&mut name).map_err(|error| JoinError::Name(error.to_string()))?;
        engine.fleet(&terms.fleet);
        let leases_exist = settings.rules.pool > 0;
        let timeout = settings.timeout;
        let machine = Machine::new(format!("{:032x}", u128::from_ne_bytes(name)).into(), settings, now());
        let shared = Arc::new(Shared {
            config: limiter.config(),
            limiter: limiter.clone(),
            share: AtomicU32::new(0),
            deadline: AtomicU64::new(0),
            open_to: AtomicU32::new(0),
            quiet_until: AtomicU64::new(0),
            leaving: AtomicBool::new(false),
            left: AtomicBool::new(false),
            leases: papaya::HashMap::new(),
            core: Mutex::new(Core::new(machine)),
            news: Notify::new(),
            leave: Notify::new(),
            on_loss: terms.on_loss,
            patience: terms.patience,
            leases_exist,
        });
        let (asks, to_hear) = mpsc::channel(MOST_ASKS);
        let (joined, first) = oneshot::channel();
        tokio::spawn(Driver::new(engine, Arc::clone(&shared), to_hear, timeout, joined).run());
        match first.await {
            Ok(Ok(())) => Ok(Self { limiter, shared, asks }),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(JoinError::Engine(EngineError::Garbled("its task ended"))),
        }
    }

    /// Counts one more connection of `client`, if this machine may have one more of it now. Never waits.
    ///
    /// A client that has used the share of this machine and what was leased is rejected, and more is asked for in the
    /// background: a later attempt may find it. [`acquire`](Self::acquire) waits for that.
    ///
    /// # Errors
    ///
    /// [`Rejection`] says why there is no permit.
    #[inline]
    #[expect(single_use_lifetimes, reason = "it cannot be left out yet")]
    pub fn try_acquire<'a>(&self, client: impl Into<FleetClient<'a>>) -> Result<Permit, Rejection> {
        self.attempt(client.into(), true)
    }

    #[inline(always)]
    fn attempt(&self, client: FleetClient<'_>, ask: bool) -> Result<Permit, Rejection> {
        // ORDERING: Relaxed; a share that is out of date is one that was in force at the start of this call.
        match self.limiter.try_acquire_within(client.local, self.shared.share.load(Relaxed)) {
            Ok(permit) => Ok(permit),
            Err(rejected) => self.attempt_by_lease(&client, rejected, ask),
        }
    }

    #[cold]
    #[inline(never)]
    fn attempt_by_lease(&self, client: &FleetClient<'_>, rejected: Rejected, ask: bool) -> Result<Permit, Rejection> {
        if rejected != Rejected::ClientLimit {
            return Err(Rejection::Limiter(rejected));
        }
        let shared = &*self.shared;
        // ORDERING: Acquire, pairs with Release in `leave`.
        if shared.leaving.load(Acquire) {
            return Err(Rejection::Left);
        }
        let counted = shared.counted_as(client.local);
        let leases = shared.leases.pin();
        let mut quiet_until = 0;
        if let Some(lease) = leases.get(&counted) {
            if let Some(permit) = shared.admit_by_lease(client.local, lease)? {
                return Ok(permit);
            }
            // ORDERING: Relaxed; asking once too often, or not at once, does no harm.
            quiet_until = lease.quiet_until.load(Relaxed);
        }
        // ORDERING: Acquire, pairs with Release in `Core::apply`.
        let open_to = shared.open_to.load(Acquire);
        if open_to > 0 {
            // Known from here on, so that it is told to the engine when that is back.
            leases.get_or_insert_with(counted, || Arc::new(Lease::new(client.local, client.key(&shared.config))));
            return shared.limiter.try_acquire_within(client.local, open_to).map_err(Rejection::from);
        }
        // ORDERING: Relaxed, as above.
        quiet_until = quiet_until.max(shared.quiet_until.load(Relaxed));
        if ask && shared.leases_exist && nanos(now()) >= quiet_until {
            // Full: those who are heard first will do.
            let _lost = self.asks.try_send(Ask { client: client.local, key: client.key(&shared.config) });
        }
        Err(Rejection::ShareUsed)
    }

    /// Counts one more connection of `client` like [`try_acquire`](Self::try_acquire), and waits for a lease if it takes
    /// one: at most the [patience](Terms::patience) agreed on, and no longer than until the engine has refused.
    ///
    /// Cancelling it leaves nothing behind but the lease, if it comes, for the next attempt.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire).
    #[expect(single_use_lifetimes, reason = "it cannot be left out yet")]
    pub async fn acquire<'a>(&self, client: impl Into<FleetClient<'a>>) -> Result<Permit, Rejection> {
        let (client, shared) = (client.into(), &*self.shared);
        let patience = Instant::now() + shared.patience;
        let mut ask = true;
        loop {
            let mut news = pin!(shared.news.notified());
            news.as_mut().enable();
            match self.attempt(client, ask) {
                Err(Rejection::ShareUsed) if shared.may_hope(client.local) => {}
                answer => return answer,
            }
            ask = false;
            if timeout_at(patience, news).await.is_err() {
                return self.attempt(client, false);
            }
        }
    }

    /// The clients with connections to close, and how many: those above the share when this machine had been cut off for
    /// a time to live, and later those that are too many for the fleet. Always empty under [`OnLoss::Keep`].
    ///
    /// It is the server that closes; when the permits are dropped they vanish from here.
    #[must_use]
    pub fn overhang(&self) -> Vec<Overhang> {
        let shared = &*self.shared;
        if shared.on_loss == OnLoss::Keep { Vec::new() } else { shared.core().overhang(shared) }
    }

    /// Waits until there is an [overhang](Self::overhang).
    pub async fn wait_overhang(&self) -> Vec<Overhang> {
        loop {
            let mut news = pin!(self.shared.news.notified());
            news.as_mut().enable();
            let overhang = self.overhang();
            if !overhang.is_empty() {
                return overhang;
            }
            news.await;
        }
    }

    /// The state of this member in numbers.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let shared = &*self.shared;
        shared.core().stats(shared)
    }

    /// The limiter that decides.
    #[must_use]
    pub fn limiter(&self) -> &Limiter {
        &self.limiter
    }

    /// Admits nobody any more, and gives leases back as connections end. Returns when the limiter has no connection open
    /// and the engine has taken the session out, so that the seat and all that was leased are free at once.
    ///
    /// Connections are not closed. To wait for so long only, wrap it in a timeout: the machine goes on leaving while a
    /// handle exists.
    pub async fn leave(&self) {
        let shared = &*self.shared;
        // ORDERING: Release, pairs with Acquire in `attempt_by_lease`.
        shared.leaving.store(true, Release);
        shared.leave.notify_one();
        loop {
            let mut news = pin!(shared.news.notified());
            news.as_mut().enable();
            // ORDERING: Acquire, pairs with Release in `Core::apply`.
            if shared.left.load(Acquire) {
                return;
            }
            news.await;
        }
    }
}

impl Shared {
    pub(crate) fn counted_as(&self, client: Client) -> Client {
        self.config.counted_as(client)
    }

    pub(crate) fn core(&self) -> MutexGuard<'_, Core> {
        // A step that panicked has left the machine as it was, or lets leases run out.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` if the lease has no room.
    fn admit_by_lease(&self, client: Client, lease: &Lease) -> Result<Option<Permit>, Rejection> {
        // Ends: each turn but the last sees the gate at another value, and the deadline not reached.
        loop {
            let leased = lease.gate.leased();
            if leased == 0 {
                return Ok(None);
            }
            // ORDERING: Relaxed; the share only changes with the session, and what is open is told then.
            let limit = self.share.load(Relaxed).saturating_add(leased);
            let permit = match self.limiter.try_acquire_within(client, limit) {
                Ok(permit) => permit,
                Err(Rejected::ClientLimit) => return Ok(None),
                Err(rejected) => return Err(Rejection::Limiter(rejected)),
            };
            // Counted first, so that it was there while the lease was good; and the engine hears of it before that ends.
            // ORDERING: Acquire, pairs with Release in `Core::apply`.
            if nanos(now()) >= self.deadline.load(Acquire) {
                return Ok(None);
            }
            if lease.gate.still(leased) {
                return Ok(Some(permit));
            }
        }
    }

    /// Whether an answer of the engine may bring more.
    fn may_hope(&self, client: Client) -> bool {
        let now = nanos(now());
        // ORDERING: Relaxed; it is about waiting, not about admitting.
        let quiet = |lease: &Arc<Lease>| now < lease.quiet_until.load(Relaxed);
        let counted = self.counted_as(client);
        let asked = !self.leases.pin().get(&counted).is_some_and(quiet);
        self.leases_exist && asked && now >= self.quiet_until.load(Relaxed)
    }
}

impl Lease {
    pub(crate) fn new(client: Client, key: Key) -> Self {
        Self { client, key, gate: Gate::shut(), quiet_until: AtomicU64::new(0) }
    }
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
