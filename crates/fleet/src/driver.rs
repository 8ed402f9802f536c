//! The task that talks to the engine: it tells the machine what happened, and does what the machine says.

use crate::clock::{nanos, now};
use crate::engine::{Engine, EngineError, Reply, Request};
use crate::error::JoinError;
use crate::fleet::{Ask, Lease, Shared};
use crate::gate::before_counting;
use crate::protocol::machine::{Counts, Effect, Event, Machine, NEVER};
use crate::protocol::wire::Key;
use crate::stats::{Overhang, Stats};
use connlimit::Limiter;
use core::pin::pin;
use core::sync::atomic::Ordering::{Relaxed, Release};
use core::time::Duration;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

/// The machine, and the clients it speaks of.
pub(crate) struct Core {
    machine: Machine,
    by_key: HashMap<Key, Arc<Lease>>,
    last_error: Option<String>,
}

struct Local<'a> {
    limiter: &'a Limiter,
    by_key: &'a HashMap<Key, Arc<Lease>>,
}

impl Counts for Local<'_> {
    fn open(&self, key: &Key) -> u32 {
        self.by_key.get(key).map_or(0, |lease| self.limiter.open_connections(lease.client))
    }

    fn any(&self) -> bool {
        self.limiter.stats().total.open_connections > 0
    }
}

impl Core {
    pub(crate) fn new(machine: Machine) -> Self {
        Self { machine, by_key: HashMap::new(), last_error: None }
    }

    /// A request, if one is to be sent.
    fn feed(&mut self, shared: &Shared, event: Event) -> Option<Request> {
        let local = Local { limiter: &shared.limiter, by_key: &self.by_key };
        let effects = self.machine.step(now(), event, &local);
        let closes = effects.contains(&Effect::Open(0));
        let request = effects.into_iter().filter_map(|effect| self.apply(shared, effect)).last();
        if !closes {
            return request;
        }
        // Who was let in without a lease is told to the engine.
        before_counting();
        let met: Vec<_> = shared.leases.pin().values().map(Arc::clone).collect();
        let keys = met.iter().map(|lease| lease.key.clone()).collect();
        self.by_key.extend(met.into_iter().map(|lease| (lease.key.clone(), lease)));
        request.or(self.feed(shared, Event::Adopt(keys)))
    }

    fn apply(&mut self, shared: &Shared, effect: Effect) -> Option<Request> {
        match effect {
            // ORDERING: Relaxed, as in `Fleet::attempt`.
            Effect::Share(share) => shared.share.store(share, Relaxed),
            Effect::Lease(key, leased) => {
                if let Some(lease) = self.by_key.get(&key) {
                    lease.gate.set(leased);
                }
            }
            // ORDERING: Relaxed, both: a hint.
            Effect::Quiet(key, until) => {
                if let Some(lease) = self.by_key.get(&key) {
                    lease.quiet_until.store(nanos(until), Relaxed);
                }
            }
            Effect::QuietAll(until) => shared.quiet_until.store(nanos(until), Relaxed),
            // ORDERING: Release, pairs with Acquire in `admit_by_lease`: whoever sees it sees the gates that it is for.
            Effect::Deadline(deadline) => shared.deadline.store(nanos(deadline), Release),
            // ORDERING: Release, pairs with Acquire in `attempt_by_lease`.
            Effect::Open(limit) => shared.open_to.store(limit, Release),
            Effect::Send(mut request) => {
                before_counting();
                let local = Local { limiter: &shared.limiter, by_key: &self.by_key };
                self.machine.settle(&mut request, &local);
                return Some(request);
            }
            Effect::Forget(key) => {
                if let Some(lease) = self.by_key.remove(&key) {
                    lease.gate.set(0);
                    shared.leases.pin().remove(&shared.counted_as(lease.client));
                }
            }
            // ORDERING: Release, pairs with Acquire in `leave`.
            Effect::Left => shared.left.store(true, Release),
        }
        None
    }

    fn hear(&mut self, shared: &Shared, ask: Ask) -> Option<Request> {
        if !self.by_key.contains_key(&ask.key) {
            let counted = shared.counted_as(ask.client);
            let lease = Arc::new(Lease::new(ask.client, ask.key.clone()));
            let leases = shared.leases.pin();
            let lease = leases.get_or_insert(counted, lease);
            self.by_key.insert(ask.key.clone(), Arc::clone(lease));
        }
        self.feed(shared, Event::Ask(ask.key))
    }

    pub(crate) fn overhang(&self, shared: &Shared) -> Vec<Overhang> {
        let local = Local { limiter: &shared.limiter, by_key: &self.by_key };
        let overhang = self.machine.overhang(&local).into_iter();
        let named = |(key, connections)| {
            let lease = self.by_key.get(&key)?;
            Some(Overhang { client: shared.counted_as(lease.client), connections })
        };
        overhang.filter_map(named).collect()
    }

    pub(crate) fn stats(&self, shared: &Shared) -> Stats {
        let (totals, (clients, leased)) = (self.machine.totals, self.machine.leased());
        let local = Local { limiter: &shared.limiter, by_key: &self.by_key };
        Stats {
            in_touch: self.machine.in_touch(),
            share: self.machine.share(),
            leases: clients as u64,
            leased,
            asks: totals.asks,
            refused: totals.refused,
            losses: totals.losses,
            overhang: self.machine.overhang(&local).iter().map(|&(_, over)| u64::from(over)).sum(),
            sessions: totals.sessions,
            requests: totals.requests,
            entries: totals.entries,
            failures: totals.failures,
            since_heartbeat: self.machine.last_heard().map(|heard| now().saturating_sub(heard)),
            last_error: self.last_error.clone(),
        }
    }
}

/// Longest sleep: a timer that stood still while the machine was suspended is looked at again.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

pub(crate) struct Driver<E> {
    engine: E,
    timeout: Duration,
    asks: mpsc::Receiver<Ask>,
    ears: Ears,
}

struct Ears {
    shared: Arc<Shared>,
    /// Who waits for the first answer.
    joined: Option<oneshot::Sender<Result<(), JoinError>>>,
}

impl<E: Engine> Driver<E> {
    pub(crate) fn new(
        engine: E,
        shared: Arc<Shared>,
        asks: mpsc::Receiver<Ask>,
        timeout: Duration,
        joined: oneshot::Sender<Result<(), JoinError>>,
    ) -> Self {
        Self { engine, timeout, asks, ears: Ears { shared, joined: Some(joined) } }
    }

    /// Until all handles are gone, or the machine has left.
    pub(crate) async fn run(mut self) {
        let mut request = None;
        loop {
            let Some(next) = request.take() else {
                match self.ears.listen(&mut self.asks).await {
                    Heard::Nobody => return,
                    Heard::Something(due) => request = due,
                }
                continue;
            };
            let mut answer = pin!(self.engine.exchange(&next, self.timeout));
            request = loop {
                tokio::select! {
                    answer = &mut answer => match self.ears.answered(next.sequence, answer) {
                        Ok(due) => break due,
                        Err(CouldNotJoin) => return,
                    },
                    heard = self.ears.listen(&mut self.asks) => match heard {
                        Heard::Nobody => return,
                        Heard::Something(None) => {}
                        // The machine no longer waits for the answer.
                        Heard::Something(due) => break due,
                    },
                }
            };
            // ORDERING: Relaxed; this task has written it.
            if self.ears.shared.left.load(Relaxed) {
                return;
            }
        }
    }
}

enum Heard {
    Something(Option<Request>),
    Nobody,
}

impl Ears {
    /// Waits for an ask, for the time at which the machine has something to do, or for the end.
    async fn listen(&self, asks: &mut mpsc::Receiver<Ask>) -> Heard {
        let wake = self.shared.core().machine.next_wake();
        let pause = if wake == NEVER { LONGEST_SLEEP } else { wake.saturating_sub(now()).min(LONGEST_SLEEP) };
        tokio::select! {
            ask = asks.recv() => {
                let Some(ask) = ask else { return Heard::Nobody };
                let mut core = self.shared.core();
                let mut due = core.hear(&self.shared, ask);
                // Those that are there already go along.
                while let (None, Ok(ask)) = (&due, asks.try_recv()) {
                    due = core.hear(&self.shared, ask);
                }
                Heard::Something(due)
            }
            () = self.shared.leave.notified() => Heard::Something(self.feed(Event::Leave)),
            () = sleep(pause) => Heard::Something(self.feed(Event::Tick)),
        }
    }

    fn feed(&self, event: Event) -> Option<Request> {
        let due = self.shared.core().feed(&self.shared, event);
        self.shared.news.notify_waiters();
        due
    }

    /// The next request, if one is due; or that the machine could not join.
    fn answered(&mut self, sequence: u64, answer: Result<Reply, EngineError>) -> Result<Option<Request>, CouldNotJoin> {
        let error = match &answer {
            Ok(Reply::OtherRules { seats, share, ttl }) => {
                Some(JoinError::OtherTerms { seats: *seats, share: *share, ttl: *ttl })
            }
            Ok(_) => None,
            Err(error) => Some(JoinError::Engine(error.clone())),
        };
        if let Some(error) = &error {
            self.shared.core().last_error = Some(error.to_string());
        }
        let due = self.feed(match answer {
            Ok(reply) => Event::Answer { sequence, reply },
            Err(_) => Event::Failed { sequence },
        });
        // What was granted is in force when `join` returns.
        match (self.joined.take(), error) {
            (Some(joined), Some(error)) => {
                // Nobody waits any more if it fails.
                let _nobody = joined.send(Err(error));
                Err(CouldNotJoin)
            }
            (Some(joined), None) => joined.send(Ok(())).map(|()| due).map_err(|_| CouldNotJoin),
            (None, _) => Ok(due),
        }
    }
}

struct CouldNotJoin;
