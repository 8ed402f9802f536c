//! How much memory one table may still take. Whoever allocates reserves first; what is freed is given back when it
//! is really gone, grace period included, so the bound holds for the allocator's view too.

use crate::sync::{Arc, AtomicUsize, Relaxed};

#[derive(Debug)]
pub(crate) struct Budget {
    bound: usize,
    reserved: AtomicUsize,
}

impl Budget {
    pub(super) fn new(bound: usize) -> Arc<Self> {
        Arc::new(Self { bound, reserved: AtomicUsize::new(0) })
    }

    /// Takes `bytes`, or nothing when that would pass the bound.
    #[must_use]
    pub(super) fn reserve(&self, bytes: usize) -> bool {
        // ORDERING: Relaxed; the number itself is all that is shared, and an exchange always acts on the latest.
        self.reserved
            .fetch_update(Relaxed, Relaxed, |reserved| reserved.checked_add(bytes).filter(|&sum| sum <= self.bound))
            .is_ok()
    }

    pub(super) fn give_back(&self, bytes: usize) {
        // ORDERING: Relaxed, as above.
        self.reserved.fetch_sub(bytes, Relaxed);
    }

    /// Bytes that are reserved now.
    pub(super) fn reserved(&self) -> usize {
        // ORDERING: Relaxed, as above.
        self.reserved.load(Relaxed)
    }

    /// Most bytes that may be reserved.
    pub(super) const fn bound(&self) -> usize {
        self.bound
    }

    /// Bytes that could still be reserved.
    pub(super) fn left(&self) -> usize {
        self.bound - self.reserved().min(self.bound)
    }
}
