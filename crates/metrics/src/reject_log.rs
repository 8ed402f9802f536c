//! Rejections as events of [`tracing`](https://docs.rs/tracing), gathered: a flood of them must not become a flood of
//! log lines, nor make the accept loop wait.

use connlimit::{Client, Rejected};
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use core::time::Duration;
use std::sync::{Mutex, TryLockError};
use std::time::Instant;
use tracing::warn;

/// Gathers rejections into at most one event per interval, such as "37 rejects from 4 clients, e.g. 192.0.2.1".
///
/// The first rejection is told at once, with the next ones gathered until the interval has passed. There is no timer:
/// what was gathered is told by the first rejection after the interval, by [`flush`](Self::flush), or when the log is
/// dropped. Events have the level `WARN` and the target `connlimit`, and the fields `rejects` (a number, exact over
/// all events), `clients` (a number), and of one of the rejections `client` and `reason`.
///
/// Noting a rejection takes no lock that it would have to wait for. When two threads note at the same moment, one
/// leaves its client out of account; "37 rejects from 4 or more clients" says so, and so it does above 64 clients.
/// What a subscriber does with an event is its own affair: give it a writer that does not block.
///
/// Feed it by the hook `on_rejected` of a listener, which is told of every rejection: then no rejection is missing from
/// the log. (A `Reject::handler` of `connlimit-tokio` hears only of those that the budget for answers allows.)
///
/// # Examples
///
/// The blocking listener:
///
/// ```
/// use connlimit::{Config, Limiter, net::LimitedListener};
/// use connlimit_metrics::RejectLog;
/// use std::{net::TcpListener, time::Duration};
///
/// let log = RejectLog::new(Duration::from_secs(10));
/// let limiter = Limiter::new(Config::new(100));
/// let listener = LimitedListener::new(TcpListener::bind("127.0.0.1:0")?, limiter)
///     .on_rejected(move |_stream, peer, rejected| log.note(peer, rejected));
/// # drop(listener);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// The one of `connlimit-tokio`, and with it those of hyper, axum, tonic and the PROXY protocol:
///
/// ```
/// use connlimit::{Config, Limiter};
/// use connlimit_metrics::RejectLog;
/// use connlimit_tokio::LimitedListener;
/// use std::time::Duration;
/// use tokio::net::TcpListener;
///
/// fn logged(socket: TcpListener) -> LimitedListener<TcpListener> {
///     let log = RejectLog::new(Duration::from_secs(10));
///     LimitedListener::new(socket, Limiter::new(Config::new(100)))
///         .on_rejected(move |rejection| log.note(rejection.client, rejection.reason))
/// }
/// ```
pub struct RejectLog {
    interval: Duration,
    start: Instant,
    /// Milliseconds after `start` at which the next event is due.
    due: AtomicU64,
    /// Rejections that no event has told yet.
    rejects: AtomicU64,
    /// From whom those were, as far as could be noted.
    seen: Mutex<Seen>,
}

/// Clients that are told apart. More of them would say no more, and take longer to look through.
const MOST_CLIENTS: usize = 64;

#[derive(Default)]
struct Seen {
    notes: u64,
    clients: Vec<Client>,
    first: Option<(Client, Rejected)>,
}

impl RejectLog {
    /// A log that emits at most one event per `interval`; zero makes each rejection an event.
    #[must_use]
    pub fn new(interval: Duration) -> Self {
        Self {
            interval,
            start: Instant::now(),
            due: AtomicU64::new(0),
            rejects: AtomicU64::new(0),
            seen: Mutex::new(Seen::default()),
        }
    }

    /// Notes that `client` was rejected. Fit for the hooks of listeners that tell about rejections.
    pub fn note(&self, client: impl Into<Client>, rejected: Rejected) {
        let client = client.into();
        self.with_seen(|seen| seen.add(client, rejected));
        // ORDERING: Relaxed; the number is all that is shared, and both the addition and the swap in `emit` act on
        // the latest, so that each rejection is in exactly one event.
        self.rejects.fetch_add(1, Relaxed);
        if self.is_due() {
            self.emit(Some((client, rejected)));
        }
    }

    /// Emits what was gathered, if there is anything, whether or not the interval has passed.
    pub fn flush(&self) {
        self.emit(None);
    }

    /// Whether an event is due, and this thread's to emit.
    fn is_due(&self) -> bool {
        let now = millis(self.start.elapsed());
        // ORDERING: Relaxed; the number is all that is shared.
        let due = self.due.load(Relaxed);
        let next = now.saturating_add(millis(self.interval));
        // ORDERING: Relaxed, as above. Of those who find it due one succeeds, and the others have nothing to do.
        now >= due && self.due.compare_exchange(due, next, Relaxed, Relaxed).is_ok()
    }

    fn emit(&self, example: Option<(Client, Rejected)>) {
        // ORDERING: Relaxed, as in `note`.
        let rejects = self.rejects.swap(0, Relaxed);
        if rejects == 0 {
            return;
        }
        let seen = self.with_seen(core::mem::take).unwrap_or_default();
        let all = seen.notes >= rejects && seen.clients.len() < MOST_CLIENTS;
        let clients = (seen.clients.len() as u64).clamp(1, rejects);
        let text = Text { rejects, clients, all };
        if let Some((client, reason)) = seen.first.or(example) {
            warn!(target: "connlimit", rejects, clients, %client, %reason, "{text}, e.g. {client}");
        } else {
            warn!(target: "connlimit", rejects, clients, "{text}");
        }
    }

    /// `None` when another thread is at it.
    fn with_seen<T>(&self, act: impl FnOnce(&mut Seen) -> T) -> Option<T> {
        match self.seen.try_lock() {
            Ok(mut seen) => Some(act(&mut seen)),
            Err(TryLockError::Poisoned(seen)) => Some(act(&mut seen.into_inner())),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

impl Seen {
    fn add(&mut self, client: Client, rejected: Rejected) {
        self.notes += 1;
        self.first.get_or_insert((client, rejected));
        if self.clients.len() < MOST_CLIENTS && !self.clients.contains(&client) {
            self.clients.push(client);
        }
    }
}

impl Drop for RejectLog {
    fn drop(&mut self) {
        self.flush();
    }
}

impl fmt::Debug for RejectLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RejectLog").field("interval", &self.interval).finish_non_exhaustive()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

struct Text {
    rejects: u64,
    clients: u64,
    /// Every client has been told apart.
    all: bool,
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rejects, clients, all } = *self;
        let rejects_s = if rejects == 1 { "" } else { "s" };
        let clients_s = if clients == 1 && all { "" } else { "s" };
        let or_more = if all { "" } else { " or more" };
        write!(f, "{rejects} reject{rejects_s} from {clients}{or_more} client{clients_s}")
    }
}
