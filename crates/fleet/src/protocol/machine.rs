//! One machine of the fleet: which leases it has, what it asks for, and until when it may rely on what it was granted.

mod answers;
mod ends;
mod lease;
mod requests;

use super::Fault;
use super::wire::{Key, Reply, Request, Rules};
use crate::terms::WhenAway;
use core::time::Duration;
use lease::Lease;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// A moment by the machine's clock, which never steps back.
pub(crate) type Time = Duration;

/// Later than all that happens.
pub(crate) const NEVER: Time = Duration::MAX;
/// Two machines that differ only in what they have counted go on alike.
#[cfg(test)]
impl core::hash::Hash for Totals {
    fn hash<H: core::hash::Hasher>(&self, _: &mut H) {}
}

/// Most clients that one request names.
const MOST_ENTRIES: usize = 256;
/// Most clients that a machine remembers. Beyond that it does not ask for newcomers, which stay within their share.
const MOST_LEASES: usize = 1 << 20;

/// What happened.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A client wants more than it has here.
    Ask(Key),
    /// Time has passed.
    Tick,
    /// The engine has answered.
    Answer { sequence: u64, reply: Reply },
    /// The engine has not answered, and whether it has heard the request is not known.
    Failed { sequence: u64 },
    /// These clients may have been let in without a lease, while the engine was [away](Effect::Open).
    Adopt(Vec<Key>),
    /// The machine takes no more clients.
    Leave,
}

/// What is to be done, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Each client may have this many connections here without a lease.
    Share(u32),
    /// This client may have this many above the share.
    Lease(Key, u32),
    /// Nothing is to be asked for this client until then.
    Quiet(Key, Time),
    /// Nothing is to be asked for any client until then.
    QuietAll(Time),
    /// Leases are good until then, and not at that moment.
    Deadline(Time),
    /// Each client may have this many connections here, whatever was leased; 0 ends that, and is to be followed by
    /// [`Event::Adopt`].
    Open(u32),
    /// To be [settled](Machine::settle) and sent, after all that came before has been done.
    Send(Request),
    /// Nothing is kept about this client any more.
    Forget(Key),
    /// The session has ended for good.
    Left,
}

/// The connections that are open on this machine.
pub(crate) trait Counts {
    /// Those of one client.
    fn open(&self, key: &Key) -> u32;
    /// Whether there is any.
    fn any(&self) -> bool;
}

/// What a machine goes by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Settings {
    pub(crate) rules: Rules,
    /// Connections of one client in the whole fleet.
    pub(crate) limit: u32,
    pub(crate) when_away: WhenAway,
    /// Least time between two requests.
    pub(crate) flush: Duration,
    /// How long to wait for an answer.
    pub(crate) timeout: Duration,
    /// How long a lease may lie idle.
    pub(crate) idle: Duration,
}

/// What the machine has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) requests: u64,
    pub(crate) entries: u64,
    pub(crate) failures: u64,
    pub(crate) asks: u64,
    pub(crate) refused: u64,
    pub(crate) losses: u64,
    pub(crate) sessions: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each of them is an end of its own, and they do not exclude each other"
)]
pub(crate) struct Machine {
    settings: Settings,
    name: Arc<str>,
    /// Which of the machine's sessions this is.
    registration: u64,
    sequence: u64,
    /// While the ledger knows the session.
    epoch: Option<Arc<str>>,
    /// Until when leases are good that the ledger knows in this session.
    deadline: Time,
    /// Until when leases are good that it knew in the session before, and has not heard of in this one.
    unheard_deadline: Time,
    /// The end of a session has been met, and there is no other yet.
    lost: bool,
    /// No limit but the fleet's is enforced, as the engine is away.
    open: bool,
    share: u32,
    /// In force, as the outside was told.
    told: (u32, Time),
    leases: BTreeMap<Key, Lease>,
    /// Clients about whom the ledger is to hear, each once.
    queue: VecDeque<Key>,
    in_flight: Option<InFlight>,
    next_request: Time,
    next_beat: Time,
    next_scan: Time,
    quiet_until: Time,
    last_heard: Option<Time>,
    leaving: bool,
    left: bool,
    pub(crate) totals: Totals,
    pub(super) fault: Option<Fault>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct InFlight {
    sequence: u64,
    sent: Time,
    keys: Vec<Key>,
    end: bool,
}

impl Machine {
    /// A machine that was started at `now`, under a name that no other one has.
    pub(crate) fn new(name: Arc<str>, settings: Settings, now: Time) -> Self {
        Self {
            settings,
            name,
            registration: 1,
            sequence: 0,
            epoch: None,
            deadline: NEVER,
            unheard_deadline: NEVER,
            lost: false,
            open: false,
            share: 0,
            told: (0, Duration::ZERO),
            leases: BTreeMap::new(),
            queue: VecDeque::new(),
            in_flight: None,
            next_request: now,
            next_beat: now,
            next_scan: now,
            quiet_until: Duration::ZERO,
            last_heard: None,
            leaving: false,
            left: false,
            totals: Totals::default(),
            fault: None,
        }
    }

    fn has(&self, fault: Fault) -> bool {
        cfg!(test) && self.fault == Some(fault)
    }

    /// Takes note of what happened at `now`.
    pub(crate) fn step(&mut self, now: Time, event: Event, counts: &impl Counts) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.left {
            return effects;
        }
        self.expire(now, &mut effects);
        match event {
            Event::Tick => {}
            Event::Ask(key) => self.ask(now, key, &mut effects),
            Event::Adopt(keys) => self.adopt(keys),
            Event::Leave => self.begin_to_leave(&mut effects),
            Event::Answer { sequence, reply } => {
                if let Some(flight) = self.in_flight.take_if(|flight| flight.sequence == sequence) {
                    self.answer(now, flight, reply, counts, &mut effects);
                }
            }
            Event::Failed { sequence } => {
                if let Some(flight) = self.in_flight.take_if(|flight| flight.sequence == sequence) {
                    self.fail(now, flight, &mut effects);
                }
            }
        }
        if let Some(flight) = self.in_flight.take_if(|flight| now >= flight.sent + self.settings.timeout) {
            self.fail(now, flight, &mut effects);
        }
        if now >= self.next_scan && !self.left {
            self.next_scan = now + self.settings.idle / if self.leaving { 20 } else { 2 };
            self.scan(now, counts, &mut effects);
        }
        self.tell(&mut effects);
        if let Some(request) = self.compose(now, counts, &mut effects) {
            effects.push(Effect::Send(request));
        }
        effects
    }

    /// When there is something to do if nothing happens until then.
    pub(crate) fn next_wake(&self) -> Time {
        let request = match &self.in_flight {
            Some(flight) => flight.sent + self.settings.timeout,
            None if self.queue.is_empty() && self.epoch.is_some() => self.next_beat.max(self.next_request),
            None => self.next_request,
        };
        let unheard = if self.leases.is_empty() { NEVER } else { self.unheard_deadline };
        let end = if self.lost { NEVER } else { self.deadline.min(unheard) };
        request.min(end).min(self.next_scan)
    }

    // What there is to see.

    /// Clients with more connections open than the machine may have for them now: by how many.
    pub(crate) fn overhang(&self, counts: &impl Counts) -> Vec<(Key, u32)> {
        let over = |(key, lease): (&Key, &Lease)| {
            let open = self.above_share(key, counts);
            let over = open.saturating_sub(lease.leased);
            (over > 0).then(|| (key.clone(), over))
        };
        self.leases.iter().filter_map(over).collect()
    }

    /// Clients with leases, and connections leased.
    pub(crate) fn leased(&self) -> (usize, u64) {
        let leased = self.leases.values().map(|lease| lease.leased).filter(|&leased| leased > 0);
        leased.fold((0, 0), |(clients, sum), leased| (clients + 1, sum + u64::from(leased)))
    }

    pub(crate) const fn last_heard(&self) -> Option<Time> {
        self.last_heard
    }

    pub(crate) const fn in_touch(&self) -> bool {
        self.epoch.is_some()
    }

    pub(crate) const fn share(&self) -> u32 {
        self.share
    }
}
