//! What a machine has for one client.

use super::Time;
use core::time::Duration;

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Lease {
    /// In force here. While the session lasts, the ledger has at least as much written down.
    pub(super) leased: u32,
    /// By how much the fleet exceeds what it may lease, as far as this machine takes part in it.
    pub(super) excess: u32,
    /// The ledger has heard of it in this session.
    pub(super) heard: bool,
    /// The ledger may have more written down than is in force here.
    pub(super) unsure: bool,
    pub(super) queued: bool,
    /// Attempts since it was last asked for.
    pub(super) pending: u32,
    /// Another machine wants it: no more than needed, until then.
    pub(super) contended_until: Time,
    pub(super) quiet_until: Time,
    pub(super) backoff: Duration,
    pub(super) idle_since: Option<Time>,
    /// When the ledger was last told of it.
    pub(super) heard_at: Time,
}

impl Lease {
    /// What to ask for: room for those who wait, and some for those who will. More when much is in use already, little
    /// when another machine wants it too.
    pub(super) fn wanted(&self, now: Time, most: u32) -> u32 {
        let more = if now < self.contended_until {
            self.pending.clamp(1, 4)
        } else {
            self.pending.clamp(self.leased.max(2), self.leased.max(16))
        };
        self.leased.saturating_add(more).min(most)
    }

    /// Less and less often, so that a client who insists costs the engine little.
    pub(super) fn refused(&mut self, now: Time, most: Duration) {
        self.backoff = (self.backoff * 2).clamp(most / 64, most / 4);
        self.quiet_until = now + self.backoff;
        self.contended_until = now + most;
    }
}
