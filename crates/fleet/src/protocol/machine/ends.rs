//! What ends by itself, and what is given back.

use super::{Counts, Effect, Machine, NEVER, Time};
use crate::protocol::Fault;
use crate::terms::WhenAway;

impl Machine {
    pub(super) fn expire(&mut self, now: Time, effects: &mut Vec<Effect>) {
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
    pub(super) fn begin_anew(&mut self) {
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

    pub(super) fn scan(&mut self, now: Time, counts: &impl Counts, effects: &mut Vec<Effect>) {
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
                    let kept = open + if pressing { 0 } else { open.div_ceil(2) };
                    if !shrinks_too_soon {
                        lease.leased = lease.leased.min(kept);
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
}
