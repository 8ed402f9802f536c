//! What is asked for, and when.

use super::{Counts, Effect, InFlight, MOST_ENTRIES, MOST_LEASES, Machine, Time};
use crate::protocol::Fault;
use crate::protocol::wire::{Entry, Key, Request};

impl Machine {
    pub(super) fn ask(&mut self, now: Time, key: Key, effects: &mut Vec<Effect>) {
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

    pub(super) fn enqueue(&mut self, key: &Key) {
        if let Some(lease) = self.leases.get_mut(key)
            && !lease.queued
        {
            lease.queued = true;
            self.queue.push_back(key.clone());
        }
    }

    /// The next request, if one is due.
    pub(super) fn compose(&mut self, now: Time, counts: &impl Counts, effects: &mut Vec<Effect>) -> Option<Request> {
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
    pub(in crate::protocol) fn session(&self) -> String {
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

    pub(super) fn above_share(&self, key: &Key, counts: &impl Counts) -> u32 {
        counts.open(key).saturating_sub(self.share)
    }
}
