//! Events, counted in stripes: no line that all threads share.

use crate::rejected::Rejected;
use crate::sync::{AtomicU64, Relaxed};
use core::cell::Cell;
use crossbeam_utils::CachePadded;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Admitted,
    AdmittedUntracked,
    ClientLimit,
    TableFull,
    TierLimit,
    TotalLimit,
    Denied,
    UnknownPeer,
    ShadowRejected,
    DryRunRejected,
}

const EVENTS: usize = Event::DryRunRejected as usize + 1;
const STRIPES: usize = if cfg!(connlimit_loom) { 1 } else { 16 };

impl From<Rejected> for Event {
    fn from(rejected: Rejected) -> Self {
        match rejected {
            Rejected::ClientLimit => Self::ClientLimit,
            Rejected::TableFull => Self::TableFull,
            Rejected::TierLimit => Self::TierLimit,
            Rejected::TotalLimit => Self::TotalLimit,
            Rejected::Denied => Self::Denied,
            Rejected::UnknownPeer => Self::UnknownPeer,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Tally([CachePadded<[AtomicU64; EVENTS]>; STRIPES]);

impl Tally {
    pub(crate) fn new() -> Self {
        Self(core::array::from_fn(|_| CachePadded::new(core::array::from_fn(|_| AtomicU64::new(0)))))
    }

    pub(crate) fn count(&self, event: Event) {
        thread_local!(static STRIPE: Cell<usize> = const { Cell::new(usize::MAX) });
        let _ = &STRIPE;
        // ORDERING: Relaxed; a number, no more.
        self.0[0][event as usize].fetch_add(1, Relaxed);
    }
}
