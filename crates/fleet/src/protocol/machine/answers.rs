//! What the engine says, and what follows.

use super::{Counts, Effect, InFlight, Machine, NEVER, Time};
use crate::protocol::Fault;
use crate::protocol::wire::{Granted, Key, Reply};
use crate::terms::WhenAway;
use core::time::Duration;

impl Machine {
    pub(super) fn answer(
        &mut self,
        now: Time,
        flight: InFlight,
        reply: Reply,
        counts: &impl Counts,
        effects: &mut Vec<Effect>,
    ) {
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

    pub(super) fn granted(
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

    pub(super) fn fail(&mut self, now: Time, flight: InFlight, effects: &mut Vec<Effect>) {
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

    pub(super) fn leave(&mut self, effects: &mut Vec<Effect>) {
        self.left = true;
        self.epoch = None;
        for (key, _) in core::mem::take(&mut self.leases) {
            effects.push(Effect::Lease(key.clone(), 0));
            effects.push(Effect::Forget(key));
        }
        effects.extend([Effect::Share(0), Effect::Deadline(Duration::ZERO), Effect::Left]);
    }

    /// Says what is in force for all clients, where that has changed.
    pub(super) fn tell(&mut self, effects: &mut Vec<Effect>) {
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

    pub(super) fn begin_to_leave(&mut self, effects: &mut Vec<Effect>) {
        self.leaving = true;
        self.next_scan = Duration::ZERO;
        if core::mem::take(&mut self.open) {
            effects.push(Effect::Open(0));
        }
    }

    pub(super) fn adopt(&mut self, keys: Vec<Key>) {
        for key in keys {
            self.leases.entry(key.clone()).or_default();
            self.enqueue(&key);
        }
    }
}
