//! The accept loop: what becomes of each first packet.

use crate::connecting::{Held, LimitedConnecting};
use crate::counts::{Counters, Counts};
use connlimit::datagram::{Gate, Verdict};
use connlimit::{Client, Limiter, Rejected};
use core::fmt;
use core::future::poll_fn;
use core::net::SocketAddr;
use core::pin::Pin;
use core::task::Poll;
use core::time::Duration;
use quinn::{AsyncTimer, Connection, Endpoint, Incoming, Runtime, VarInt, default_runtime};
use std::io;
use std::sync::Arc;

/// An endpoint that admits no more connections of a client than the limiter allows.
///
/// [`accept`](Self::accept) yields handshakes that may begin. A first packet whose address is not validated is answered by
/// a Retry and changes nothing, so forged addresses neither use up the limit of the client they name nor cost a
/// handshake. A client over its limit is refused before any TLS. What is guaranteed, and why, stands at
/// [`Gate`] and [its module](connlimit::datagram).
///
/// A cheap handle: clones share everything. Several tasks may accept at once.
///
/// # What is not promised
///
/// - Packets wait in quinn before they are decided on, [`max_incoming`](quinn::ServerConfig::max_incoming) of them at most;
///   what comes when that many wait is dropped, as by a network that is full. Accept in a task that does nothing else.
/// - An attacker who can read what is sent to a client can validate in its name. So it is with TCP.
/// - The handshake itself is bounded in time, not in the connections at once beyond the client's own limit: that is what
///   [`Config::with_max_total`](connlimit::Config::with_max_total) is for.
///
/// # Examples
///
/// Behind a limiter that other listeners share, with rejections in the log:
///
/// ```
/// use connlimit::Limiter;
/// use connlimit_quinn::{LimitedEndpoint, quinn::Endpoint};
/// use std::time::Duration;
///
/// fn guard(endpoint: Endpoint, limiter: &Limiter) -> std::io::Result<LimitedEndpoint> {
///     Ok(LimitedEndpoint::new(endpoint, limiter.clone())?
///         .with_handshake_deadline(Duration::from_secs(5))
///         .on_rejected(|rejection| eprintln!("{}: {}", rejection.remote, rejection.reason)))
/// }
/// ```
#[derive(Clone)]
pub struct LimitedEndpoint {
    endpoint: Endpoint,
    shared: Arc<Shared>,
}

/// What the endpoint and its handshakes know.
#[derive(Clone)]
pub(crate) struct Shared {
    gate: Gate,
    places: u8,
    deadline: Duration,
    reject: Reject,
    close_code: VarInt,
    on_rejected: Option<Arc<OnRejected>>,
    runtime: Arc<dyn Runtime>,
    pub(crate) counters: Arc<Counters>,
}

type OnRejected = dyn Fn(&Rejection) + Send + Sync;

/// How a client over its limit is turned away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reject {
    /// With one packet that says so: the client's attempt ends at once, with `CONNECTION_REFUSED`
    /// ([RFC 9000, section 20.1](https://www.rfc-editor.org/rfc/rfc9000.html#section-20.1)).
    #[default]
    Refuse,
    /// Without a word: the client tries again until it gives up.
    Ignore,
}

/// A connection that a client did not get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rejection {
    /// Who did not get it. Its address has been validated: nobody else could put its name here.
    pub client: Client,
    /// Why.
    pub reason: Rejected,
    /// The address that the first packet came from.
    pub remote: SocketAddr,
}

/// Packets turned away before other tasks get a turn: some milliseconds' worth.
const TURN: u32 = 64;

impl LimitedEndpoint {
    /// Guards `endpoint` with `limiter`, in the runtime that this is called from.
    ///
    /// # Errors
    ///
    /// When there is none for which quinn has a feature switched on.
    pub fn new(endpoint: Endpoint, limiter: Limiter) -> io::Result<Self> {
        let runtime = default_runtime().ok_or_else(|| io::Error::other("no async runtime found"))?;
        Ok(Self::with_runtime(endpoint, limiter, runtime))
    }

    /// Guards `endpoint` with `limiter`. Deadlines are kept by `runtime`.
    #[must_use]
    pub fn with_runtime(endpoint: Endpoint, limiter: Limiter, runtime: Arc<dyn Runtime>) -> Self {
        let shared = Shared {
            gate: Gate::new(limiter),
            places: 0,
            deadline: Duration::from_secs(10),
            reject: Reject::default(),
            close_code: VarInt::from_u32(0),
            on_rejected: None,
            runtime,
            counters: Arc::default(),
        };
        Self { endpoint, shared: Arc::new(shared) }
    }

    /// Lets up to `places` handshakes at a time begin before the address is validated, which spares clients the round
    /// trip of a Retry while there are places. None, unless set.
    ///
    /// Such a connection is counted when its handshake is complete. While all places are taken clients are asked to
    /// validate, so an attacker can take the places, and with them the shorter way, and nothing else. A handshake
    /// that fails holds its place until the deadline; see [`Gate::with_unvalidated_handshakes`].
    #[must_use]
    pub fn with_unvalidated_handshakes(self, places: u8) -> Self {
        self.change(|shared| shared.places = places)
    }

    /// Bounds the time for one handshake, from the first packet that was let in. 10 seconds, unless set. A client that
    /// stalls frees its permit then.
    #[must_use]
    pub fn with_handshake_deadline(self, deadline: Duration) -> Self {
        self.change(|shared| shared.deadline = deadline)
    }

    /// Decides how clients over their limit are turned away.
    #[must_use]
    pub fn reject_with(self, reject: Reject) -> Self {
        self.change(|shared| shared.reject = reject)
    }

    /// The error code for connections that are closed when their handshake is complete, since the client is over its
    /// limit: with [places](Self::with_unvalidated_handshakes) only. 0 unless set; HTTP/3 has
    /// `H3_EXCESSIVE_LOAD`, 0x107 ([RFC 9114, section 8.1](https://www.rfc-editor.org/rfc/rfc9114.html#section-8.1)). The
    /// reason sent along names no count and no limit.
    #[must_use]
    pub fn with_close_code(self, code: VarInt) -> Self {
        self.change(|shared| shared.close_code = code)
    }

    /// Calls `hook` with each rejected connection, to count it or log it, after the client has been turned away.
    ///
    /// It is told of clients whose address was validated, and of no others: no forged packet puts a name into a log or
    /// a ban list. The hook runs in the accept loop, and with [places](Self::with_unvalidated_handshakes) in the tasks of
    /// handshakes too: it must not block, and should bound the rate of what it logs.
    #[must_use]
    pub fn on_rejected(self, hook: impl Fn(&Rejection) + Send + Sync + 'static) -> Self {
        self.change(|shared| shared.on_rejected = Some(Arc::new(hook)))
    }

    fn change(mut self, change: impl FnOnce(&mut Shared)) -> Self {
        let shared = Arc::make_mut(&mut self.shared);
        let before = (shared.places, shared.deadline);
        change(shared);
        if before != (shared.places, shared.deadline) {
            let limiter = shared.gate.limiter().clone();
            shared.gate = Gate::new(limiter).with_unvalidated_handshakes(shared.places, shared.deadline);
        }
        self
    }

    /// Waits for the next handshake that may begin. Everything else is answered on the way, and does not end the wait.
    ///
    /// `None` when the endpoint is closed. Cancel safe: a dropped call has taken nothing that it did not answer.
    pub async fn accept(&self) -> Option<LimitedConnecting> {
        let mut turned_away = 0_u32;
        loop {
            if let Some(connecting) = self.admit(self.endpoint.accept().await?) {
                return Some(connecting);
            }
            turned_away = turned_away.wrapping_add(1);
            // A flood is always ready, and quinn must read the socket in between, on this thread perhaps.
            if turned_away % TURN == 0 {
                yield_once().await;
            }
        }
    }

    /// Decides about `incoming` and answers it: for servers with an accept loop of their own. `None` when no handshake
    /// was begun.
    pub fn admit(&self, incoming: Incoming) -> Option<LimitedConnecting> {
        let shared = &*self.shared;
        let remote = incoming.remote_address();
        let client = Client::from(remote);
        let held = match shared.gate.decide(client, incoming.remote_address_validated()) {
            Verdict::Admit(permit) => {
                shared.counters.admitted.add_one();
                Held::Permit(permit)
            }
            Verdict::AdmitUnvalidated(place) => {
                shared.counters.unvalidated.add_one();
                Held::Place(place)
            }
            Verdict::Validate => {
                shared.counters.retried.add_one();
                // quinn guarantees that it may be asked, since it is not validated.
                if let Err(refused) = incoming.retry() {
                    refused.into_incoming().ignore();
                }
                return None;
            }
            Verdict::Reject(reason) => {
                match shared.reject {
                    Reject::Refuse => incoming.refuse(),
                    Reject::Ignore => incoming.ignore(),
                }
                shared.rejected(client, reason, remote);
                return None;
            }
        };
        if let Ok(connecting) = incoming.accept() {
            return Some(LimitedConnecting::new(connecting, held, client, remote, Arc::clone(&self.shared)));
        }
        // What it held goes back; quinn has answered the peer, where there is an answer.
        shared.counters.failed.add_one();
        None
    }

    /// How often each thing has happened so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.counters.read()
    }

    /// The endpoint, to ask for its address or to close it for example.
    #[must_use]
    pub const fn get_ref(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The limiter that counts.
    #[must_use]
    pub fn limiter(&self) -> &Limiter {
        self.shared.gate.limiter()
    }
}

impl Shared {
    pub(crate) fn rejected(&self, client: Client, reason: Rejected, remote: SocketAddr) {
        self.counters.rejected.add_one();
        if let Some(hook) = &self.on_rejected {
            hook(&Rejection { client, reason, remote });
        }
    }

    pub(crate) fn close_rejected(&self, connection: &Connection, reason: Rejected) {
        connection.close(self.close_code, reason.to_string().as_bytes());
    }

    /// None when the deadline is further off than the clock goes.
    pub(crate) fn handshake_timer(&self) -> Option<Pin<Box<dyn AsyncTimer>>> {
        Some(self.runtime.new_timer(self.runtime.now().checked_add(self.deadline)?))
    }
}

async fn yield_once() {
    let mut yielded = false;
    poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl fmt::Debug for LimitedEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitedEndpoint")
            .field("endpoint", &self.endpoint)
            .field("limiter", self.limiter())
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}
