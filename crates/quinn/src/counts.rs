//! What has become of first packets.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How often each thing has happened since the endpoint was guarded. Every event is counted once.
///
/// A first packet is one of `retried`, `rejected`, `admitted` and `unvalidated`. A handshake that was `admitted` or
/// `unvalidated` may be one of `failed` later, and an `unvalidated` one, when it is complete, one of `admitted` or
/// `rejected`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// First packets that were answered by a Retry, and otherwise forgotten. Under an attack with forged addresses this
    /// is the number that grows.
    pub retried: u64,
    /// Handshakes begun without validation, in a
    /// [place](crate::LimitedEndpoint::with_unvalidated_handshakes) set aside.
    pub unvalidated: u64,
    /// Connections that were counted for a client whose address was validated.
    pub admitted: u64,
    /// Connections that a client whose address was validated did not get.
    pub rejected: u64,
    /// Handshakes that were begun and came to nothing: by an error, by the deadline, or because they were dropped.
    pub failed: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) retried: Counter,
    pub(crate) unvalidated: Counter,
    pub(crate) admitted: Counter,
    pub(crate) rejected: Counter,
    pub(crate) failed: Counter,
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add_one(&self) {
        // ORDERING: Relaxed; the number is all that is shared, and an addition always acts on the latest.
        self.0.fetch_add(1, Relaxed);
    }

    fn get(&self) -> u64 {
        // ORDERING: Relaxed; no counter says anything about another.
        self.0.load(Relaxed)
    }
}

impl Counters {
    pub(crate) fn read(&self) -> Counts {
        Counts {
            retried: self.retried.get(),
            unvalidated: self.unvalidated.get(),
            admitted: self.admitted.get(),
            rejected: self.rejected.get(),
            failed: self.failed.get(),
        }
    }
}
