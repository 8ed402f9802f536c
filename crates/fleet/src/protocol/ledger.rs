//! What the engine knows, and how it answers: the script `engine/exchange.lua`, in Rust.

use super::Fault;
use super::wire::{Entry, Grant, Granted, Key, Reply, Request, Rules};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Most clients that one answer names as contended.
pub(crate) const MOST_CONTENDED: usize = 256;

/// The engine's memory. Times are those of the engine's clock, in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Ledger {
    meta: Option<Meta>,
    sessions: BTreeMap<Arc<str>, Session>,
    grants: BTreeMap<Key, Grants>,
    notes: BTreeMap<Arc<str>, BTreeSet<Key>>,
    #[cfg(test)]
    pub(super) fault: Option<Fault>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Meta {
    epoch: Arc<str>,
    /// The server whose memory this is.
    run: Arc<str>,
    /// The latest time there was.
    last: u64,
    /// Until then nothing grows.
    learning_until: u64,
    seats: u32,
    share: u32,
    ttl: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Session {
    expires: u64,
    seat: bool,
    sequence: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Grants {
    expires: u64,
    leased: BTreeMap<Arc<str>, u32>,
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Ledger {
    const fn has(&self, fault: Fault) -> bool {
        #[cfg(test)]
        return matches!(self.fault, Some(planted) if planted as u8 == fault as u8);
        #[cfg(not(test))]
        {
            let _ = (self, fault);
            false
        }
    }

    /// Answers a request that arrives at `clock` on the server `run`.
    pub(crate) fn exchange(&mut self, clock: u64, run: &Arc<str>, request: &Request) -> Reply {
        let now = match self.look_around(clock, run, request) {
            Ok(now) => now,
            Err(reply) => return reply,
        };
        let Some(meta) = &self.meta else { return Reply::Unknown };
        let (epoch, learning_until, ttl) = (Arc::clone(&meta.epoch), meta.learning_until, meta.ttl);

        let same_epoch = request.epoch.as_ref() == Some(&epoch) || self.has(Fault::EpochIgnored);
        let known = self.sessions.get(&request.session);
        match known {
            Some(session) if request.epoch.is_none() || same_epoch => {
                if request.sequence <= session.sequence && !self.has(Fault::LateRequestsCount) {
                    return Reply::Overtaken;
                }
            }
            None if request.epoch.is_none() && !request.end => {}
            _ => return Reply::Unknown,
        }
        if request.end {
            self.sessions.remove(&request.session);
            self.notes.remove(&request.session);
            return Reply::Granted(Granted::new(epoch, false, Duration::ZERO));
        }

        let taken = self.sessions.iter().filter(|(id, session)| **id != request.session && session.seat).count();
        let free = (taken as u64) < u64::from(request.rules.seats) || self.has(Fault::SeatsForAll);
        let seat = known.is_some_and(|session| session.seat) || free;
        let session = Session { expires: now + ttl, seat, sequence: request.sequence };
        self.sessions.insert(Arc::clone(&request.session), session);

        let learning = if self.has(Fault::NoLearning) { 0 } else { learning_until.saturating_sub(now) };
        let mut granted = Granted::new(epoch, seat, Duration::from_millis(learning));
        let entries = request.entries.iter();
        granted.grants = entries.map(|entry| self.grant(now, learning > 0, request, entry)).collect();
        granted.contended = self.take_notes(&request.session);
        Reply::Granted(granted)
    }

    /// What time it is; and whether this is still the memory it was. If not, all sessions end, and the ledger learns.
    fn look_around(&mut self, clock: u64, run: &Arc<str>, request: &Request) -> Result<u64, Reply> {
        let Rules { seats, share, .. } = request.rules;
        let ttl = millis(request.rules.ttl);
        let intact = self.meta.as_ref().is_some_and(|meta| {
            // A step of less is waited for, or ends no session of a machine that is in touch.
            let stepped = clock > meta.last + meta.ttl / 2 || clock + meta.ttl / 2 < meta.last;
            (meta.run == *run || self.has(Fault::FailoverUnseen)) && (!stepped || self.has(Fault::StepUnseen))
        });
        if let (Some(meta), true) = (&mut self.meta, intact) {
            meta.last = meta.last.max(clock);
            let now = meta.last;
            let notes = &mut self.notes;
            self.sessions.retain(|id, session| {
                let lives = session.expires > now;
                if !lives {
                    notes.remove(id);
                }
                lives
            });
            if (meta.seats, meta.share, meta.ttl) == (seats, share, ttl) {
                return Ok(now);
            }
            if !self.sessions.is_empty() {
                let ttl = Duration::from_millis(meta.ttl);
                return Err(Reply::OtherRules { seats: meta.seats, share: meta.share, ttl });
            }
        }
        self.sessions.clear();
        let epoch = format!("{clock}:{}:{}", request.session, request.sequence).into();
        // Machines that go by the rules of before may still rely on what they were granted.
        let learns = self.meta.as_ref().map_or(ttl, |meta| ttl.max(meta.ttl));
        let learning_until = clock + learns;
        self.meta = Some(Meta { epoch, run: Arc::clone(run), last: clock, learning_until, seats, share, ttl });
        Ok(clock)
    }

    fn grant(&mut self, now: u64, learning: bool, request: &Request, entry: &Entry) -> Grant {
        let (pool, holds_ignored) = (request.rules.pool, self.has(Fault::HoldsIgnored));
        let sessions = &self.sessions;
        let grants = self.grants.entry(entry.key.clone()).or_default();
        if grants.expires <= now {
            grants.leased.clear();
        }
        grants.leased.retain(|id, _| sessions.contains_key(id));
        grants.leased.remove(&request.session);
        let others = grants.leased.values().fold(0u32, |sum, &leased| sum.saturating_add(leased));
        let others = if holds_ignored { others.min(pool / 2) } else { others };
        let allowed = if learning { 0 } else { pool.saturating_sub(others) };
        let leased = entry.hold.max(entry.want.min(allowed));
        if leased < entry.want && !learning {
            for id in grants.leased.keys() {
                self.notes.entry(Arc::clone(id)).or_default().insert(entry.key.clone());
            }
        }
        if leased > 0 {
            grants.leased.insert(Arc::clone(&request.session), leased);
        }
        grants.expires = now + millis(request.rules.retention);
        if grants.leased.is_empty() {
            self.grants.remove(&entry.key);
        }
        Grant::new(leased, others.saturating_add(leased).saturating_sub(pool).min(leased))
    }

    fn take_notes(&mut self, session: &Arc<str>) -> Vec<Key> {
        let Some(notes) = self.notes.get_mut(session) else { return Vec::new() };
        let taken: Vec<_> = core::iter::from_fn(|| notes.pop_first()).take(MOST_CONTENDED).collect();
        if notes.is_empty() {
            self.notes.remove(session);
        }
        taken
    }
}

#[cfg(test)]
impl Ledger {
    /// What a session has for a client, if it has not ended.
    pub(super) fn leased(&self, session: &str, key: &Key) -> u32 {
        let live = self.sessions.contains_key(session);
        let leased = self.grants.get(key).and_then(|grants| grants.leased.get(session));
        leased.copied().filter(|_| live).unwrap_or(0)
    }

    /// What all sessions have for a client.
    pub(super) fn leased_in_all(&self, key: &Key) -> u32 {
        self.sessions.keys().map(|session| self.leased(session, key)).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.grants.values().all(|grants| grants.leased.keys().all(|session| !self.sessions.contains_key(session)))
    }
}
