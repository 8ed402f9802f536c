//! One machine of the fleet: which leases it has, what it asks for, and until when it may rely on what it was granted.

use super::Fault;
use super::wire::{Entry, Granted, Key, Reply, Request, Rules};
use crate::terms::WhenAway;
use core::time::Duration;
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

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Lease {
    /// In force here. While the session lasts, the ledger has at least as much written down.
    leased: u32,
    /// By how much the fleet exceeds what it may lease, as far as this machine takes part in it.
    excess: u32,
    /// The ledger has heard of it in this session.
    heard: bool,
    /// The ledger may have more written down than is in force here.
    unsure: bool,
    queued: bool,
    /// Attempts since it was last asked for.
    pending: u32,
    /// Another machine wants it: no more than needed, until then.
    contended_until: Time,
    quiet_until: Time,
    backoff: Duration,
    idle_since: Option<Time>,
    /// When the ledger was last told of it.
    heard_at: Time,
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

    // What ends by itself.

    fn expire(&mut self, now: Time, effects: &mut Vec<Effect>) {
        if self.epoch.is_some() && now >= self.deadline {
            self.begin_anew();
            self.unheard_deadline = now;
        }
        if now < self.unheard_deadline {
            return;
        }
        self.unheard_deadline = NEVER;
        if self.epoch.is_none() && !self.lost {
            self.lost = true;
            self.totals.losses += 1;
            if self.settings.when_away == WhenAway::Open && !self.leaving {
                self.open = true;
                effects.push(Effect::Open(self.settings.limit));
            }
        }
        if self.settings.when_away == WhenAway::Hold || self.has(Fault::LeasesOutliveSession) {
            return;
        }
        for (key, lease) in &mut self.leases {
            if !lease.heard && lease.leased > 0 {
                lease.leased = 0;
                effects.push(Effect::Lease(key.clone(), 0));
            }
        }
    }

    /// The session has ended or is not known: there will be another one, and it has heard of nothing.
    fn begin_anew(&mut self) {
        self.epoch = None;
        self.registration += 1;
        self.in_flight = None;
        self.deadline = NEVER;
        self.queue.clear();
        for (key, lease) in &mut self.leases {
            lease.heard = false;
            // What the ledger had written down too much has ended with the session.
            lease.unsure = false;
            lease.queued = true;
            self.queue.push_back(key.clone());
        }
    }

    // What is asked for.

    fn ask(&mut self, now: Time, key: Key, effects: &mut Vec<Effect>) {
        if self.leaving || self.settings.rules.pool == 0 || now < self.quiet_until {
            return;
        }
        if self.leases.len() >= MOST_LEASES && !self.leases.contains_key(&key) {
            return;
        }
        let lease = self.leases.entry(key.clone()).or_default();
        if now < lease.quiet_until {
            effects.push(Effect::Quiet(key, lease.quiet_until));
            return;
        }
        lease.pending = lease.pending.saturating_add(1);
        self.totals.asks += 1;
        self.enqueue(&key);
    }

    fn enqueue(&mut self, key: &Key) {
        if let Some(lease) = self.leases.get_mut(key)
            && !lease.queued
        {
            lease.queued = true;
            self.queue.push_back(key.clone());
        }
    }

    /// The next request, if one is due.
    fn compose(&mut self, now: Time, counts: &impl Counts, effects: &mut Vec<Effect>) -> Option<Request> {
        if self.in_flight.is_some() || self.left || now < self.next_request {
            return None;
        }
        let end = self.leaving && !counts.any();
        let due = self.epoch.is_none() || now >= self.next_beat || !self.queue.is_empty() || end;
        if !due {
            return None;
        }
        let mut entries = Vec::new();
        while let (false, true) = (end, entries.len() < MOST_ENTRIES) {
            let Some(key) = self.queue.pop_front() else { break };
            let (insists_too_late, relies_too_soon) = (self.has(Fault::ShrinkTooSoon), self.has(Fault::CapBeforeGrant));
            let (limit, share) = (self.settings.limit, self.share);
            let Some(lease) = self.leases.get_mut(&key) else { continue };
            lease.queued = false;
            let mut hold = lease.leased;
            if insists_too_late && lease.idle_since.is_some_and(|since| now >= since + self.settings.idle) {
                hold = 0;
            }
            let want = if lease.pending > 0 { lease.wanted(now, limit.saturating_sub(share)) } else { hold };
            if relies_too_soon {
                effects.push(Effect::Lease(key.clone(), want));
            }
            entries.push(Entry { key, hold, want: want.max(hold) });
        }
        self.sequence += 1;
        self.totals.requests += 1;
        self.totals.entries += entries.len() as u64;
        let keys = entries.iter().map(|entry| entry.key.clone()).collect();
        self.in_flight = Some(InFlight { sequence: self.sequence, sent: now, keys, end });
        self.next_request = now + self.settings.flush;
        self.next_beat = now + self.settings.rules.ttl / 4;
        Some(Request {
            session: self.session().into(),
            epoch: self.epoch.clone(),
            sequence: self.sequence,
            end,
            rules: self.settings.rules,
            entries,
        })
    }

    /// The name of the session that is, or comes next.
    pub(super) fn session(&self) -> String {
        format!("{}.{}", self.name, self.registration)
    }

    /// Makes a request insist on what is open. To be called when it is sent: after every lease that it lowers has been
    /// lowered for all threads, so that whoever was admitted by the old one is counted here.
    pub(crate) fn settle(&self, request: &mut Request, counts: &impl Counts) {
        if self.has(Fault::NothingReasserted) {
            return;
        }
        for entry in &mut request.entries {
            entry.hold = entry.hold.max(self.above_share(&entry.key, counts));
            entry.want = entry.want.max(entry.hold);
        }
    }

    fn above_share(&self, key: &Key, counts: &impl Counts) -> u32 {
        counts.open(key).saturating_sub(self.share)
    }

    // What the engine says.

    fn answer(&mut self, now: Time, flight: InFlight, reply: Reply, counts: &impl Counts, effects: &mut Vec<Effect>) {
        match reply {
            Reply::Granted(granted) => self.granted(now, &flight, granted, counts, effects),
            Reply::Unknown if flight.end => self.leave(effects),
            Reply::Unknown if self.epoch.is_some() => {
                let still_good = self.deadline;
                self.begin_anew();
                self.unheard_deadline = if self.has(Fault::UnheardLeasesKept) { still_good * 100 } else { still_good };
                self.next_request = now;
            }
            Reply::Unknown | Reply::Overtaken | Reply::OtherRules { .. } => self.fail(now, flight, effects),
        }
    }

    fn granted(
        &mut self,
        now: Time,
        flight: &InFlight,
        granted: Granted,
        counts: &impl Counts,
        effects: &mut Vec<Effect>,
    ) {
        self.last_heard = Some(now);
        if flight.end {
            self.leave(effects);
            return;
        }
        if self.epoch.is_none() {
            self.totals.sessions += 1;
        }
        self.epoch = Some(granted.epoch);
        self.lost = false;
        if core::mem::take(&mut self.open) {
            effects.push(Effect::Open(0));
        }
        let ttl = self.settings.rules.ttl;
        // Two clocks that are 1.5 percent wrong, one fast and one slow, still agree on who is first.
        let margin = if self.has(Fault::NoMargin) { Duration::ZERO } else { ttl / 32 };
        let from = if self.has(Fault::DeadlineFromAnswer) { now } else { flight.sent };
        self.deadline = if self.has(Fault::LeasesOutliveSession) { NEVER } else { (from + ttl).saturating_sub(margin) };
        self.share = if granted.seat { self.settings.rules.share } else { 0 };
        if !granted.learning.is_zero() {
            self.quiet_until = now + granted.learning;
            effects.push(Effect::QuietAll(self.quiet_until));
        }
        for (key, grant) in flight.keys.iter().zip(granted.grants) {
            let Some(lease) = self.leases.get_mut(key) else { continue };
            let open = counts.open(key).saturating_sub(self.share);
            // What the ledger gave to others meanwhile is not admitted here once more. What is open is insisted on.
            lease.leased = grant.leased.saturating_sub(grant.excess);
            lease.excess = grant.excess;
            (lease.heard, lease.unsure, lease.heard_at) = (true, grant.excess > 0, flight.sent);
            lease.idle_since = None;
            effects.push(Effect::Lease(key.clone(), lease.leased));
            if core::mem::take(&mut lease.pending) > 0 {
                if lease.leased <= open {
                    lease.refused(now, self.settings.idle);
                    self.totals.refused += 1;
                    effects.push(Effect::Quiet(key.clone(), lease.quiet_until));
                } else {
                    lease.backoff = Duration::ZERO;
                }
            }
        }
        for key in granted.contended {
            let open = self.above_share(&key, counts);
            let Some(lease) = self.leases.get_mut(&key) else { continue };
            lease.contended_until = now + self.settings.idle;
            if lease.heard && !lease.queued && open < lease.leased {
                lease.leased = open;
                effects.push(Effect::Lease(key.clone(), open));
                self.enqueue(&key);
            }
        }
    }

    fn fail(&mut self, now: Time, flight: InFlight, effects: &mut Vec<Effect>) {
        self.totals.failures += 1;
        for key in flight.keys {
            if let Some(lease) = self.leases.get_mut(&key) {
                lease.unsure = true;
                self.enqueue(&key);
            }
        }
        if self.leaving && self.lost {
            // Nobody has to be told: the session is over.
            self.leave(effects);
            return;
        }
        let retry = self.settings.timeout / 4;
        self.next_request = self.next_request.max(now + retry);
        self.quiet_until = now + retry;
        effects.push(Effect::QuietAll(self.quiet_until));
    }

    fn leave(&mut self, effects: &mut Vec<Effect>) {
        self.left = true;
        self.epoch = None;
        for (key, _) in core::mem::take(&mut self.leases) {
            effects.push(Effect::Lease(key.clone(), 0));
            effects.push(Effect::Forget(key));
        }
        effects.extend([Effect::Share(0), Effect::Deadline(Duration::ZERO), Effect::Left]);
    }

    /// Says what is in force for all clients, where that has changed.
    fn tell(&mut self, effects: &mut Vec<Effect>) {
        if self.left {
            return;
        }
        let share = if self.leaving { 0 } else { self.share };
        let unheard = self.leases.values().any(|lease| !lease.heard && lease.leased > 0);
        let holds = self.settings.when_away == WhenAway::Hold || self.has(Fault::LeasesOutliveSession);
        let deadline = if holds {
            NEVER
        } else if self.epoch.is_none() && self.unheard_deadline == NEVER {
            // Nothing has been granted, or what was granted is lost.
            Duration::ZERO
        } else if unheard {
            self.deadline.min(self.unheard_deadline)
        } else {
            self.deadline
        };
        if self.told.0 != share {
            effects.push(Effect::Share(share));
        }
        if self.told.1 != deadline {
            effects.push(Effect::Deadline(deadline));
        }
        self.told = (share, deadline);
    }

    fn begin_to_leave(&mut self, effects: &mut Vec<Effect>) {
        self.leaving = true;
        self.next_scan = Duration::ZERO;
        if core::mem::take(&mut self.open) {
            effects.push(Effect::Open(0));
        }
    }

    fn adopt(&mut self, keys: Vec<Key>) {
        for key in keys {
            self.leases.entry(key.clone()).or_default();
            self.enqueue(&key);
        }
    }

    // What lies idle.

    fn scan(&mut self, now: Time, counts: &impl Counts, effects: &mut Vec<Effect>) {
        let (idle, retention, share) = (self.settings.idle, self.settings.rules.retention, self.share);
        let (leaving, shrinks_too_soon) = (self.leaving, self.has(Fault::ShrinkTooSoon));
        let mut due = Vec::new();
        self.leases.retain(|key, lease| {
            let open = counts.open(key).saturating_sub(share);
            let under_way = lease.queued || self.in_flight.as_ref().is_some_and(|flight| flight.keys.contains(key));
            if lease.leased > 0 && lease.heard && now >= lease.heard_at + retention / 8 * 7 {
                // Should not happen, as it is told in time. The ledger forgets it soon.
                lease.leased = 0;
                lease.heard = false;
                effects.push(Effect::Lease(key.clone(), 0));
            }
            if under_way {
                return true;
            }
            if lease.leased == 0 && open == 0 && !lease.unsure && now >= lease.quiet_until {
                effects.push(Effect::Forget(key.clone()));
                return false;
            }
            let pressing = lease.excess > 0 || now < lease.contended_until || leaving;
            let slack = open < lease.leased && (pressing || open < lease.leased.div_ceil(2));
            if slack {
                let since = *lease.idle_since.get_or_insert(now);
                if pressing || now >= since + idle {
                    // Where nobody else wants it, some is kept for the next connections.
                    let spare = if pressing { 0 } else { open.div_ceil(2) };
                    if !shrinks_too_soon {
                        lease.leased = lease.leased.min(open + spare);
                        effects.push(Effect::Lease(key.clone(), lease.leased));
                    }
                    due.push(key.clone());
                }
            } else {
                lease.idle_since = None;
                let refresh = lease.leased > 0 && now >= lease.heard_at + retention / 3;
                if refresh || !lease.heard || lease.unsure {
                    due.push(key.clone());
                }
            }
            true
        });
        for key in due {
            self.enqueue(&key);
        }
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

impl Lease {
    /// What to ask for: room for those who wait, and some for those who will. More when much is in use already, little
    /// when another machine wants it too.
    fn wanted(&self, now: Time, most: u32) -> u32 {
        let more = if now < self.contended_until {
            self.pending.clamp(1, 4)
        } else {
            self.pending.clamp(self.leased.max(2), self.leased.max(16))
        };
        self.leased.saturating_add(more).min(most)
    }

    /// Less and less often, so that a client who insists costs the engine little.
    fn refused(&mut self, now: Time, most: Duration) {
        self.backoff = (self.backoff * 2).clamp(most / 64, most / 4);
        self.quiet_until = now + self.backoff;
        self.contended_until = now + most;
    }
}
