//! How much memory one table may still take. A thread reserves before it allocates; what is freed is given back when it
//! is really gone, grace period included, so the bound holds for the allocator's view too.
//!
//! **The headroom.** A table that is full of clients that have left gives its memory back by way of a smaller level, and
//! that level needs memory before the large one can go. So a part of the bound is kept for that, out of reach for
//! everything else.

use crate::sync::{Acquire, Arc, AtomicUsize, Relaxed, Release};

#[derive(Debug)]
pub(crate) struct Budget {
    bound: usize,
    /// What only a smaller level may take.
    headroom: usize,
    reserved: AtomicUsize,
    /// How often memory has come back.
    returns: AtomicUsize,
    /// One more than `returns` was when a larger level was denied; zero if that was never so.
    denied: AtomicUsize,
    /// Rejections for lack of room, more or less.
    rejections: AtomicUsize,
}

/// What memory is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// More clients.
    Room,
    /// A level smaller than the newest.
    Shrinking,
}

impl Budget {
    pub(super) fn new(bound: usize, headroom: usize) -> Arc<Self> {
        let [reserved, returns, denied, rejections] = [(); 4].map(|()| AtomicUsize::new(0));
        Arc::new(Self { bound, headroom: headroom.min(bound), reserved, returns, denied, rejections })
    }

    /// Takes `bytes`, or nothing when that would pass the bound.
    #[must_use]
    pub(super) fn reserve(&self, bytes: usize, purpose: Purpose) -> bool {
        let most = match purpose {
            Purpose::Room => self.bound - self.headroom,
            Purpose::Shrinking => self.bound,
        };
        // ORDERING: Relaxed; the number itself is all that is shared, and an exchange always acts on the latest.
        self.reserved
            .fetch_update(Relaxed, Relaxed, |reserved| reserved.checked_add(bytes).filter(|&sum| sum <= most))
            .is_ok()
    }

    pub(super) fn give_back(&self, bytes: usize) {
        // ORDERING: Relaxed, as above.
        self.reserved.fetch_sub(bytes, Relaxed);
        // ORDERING: Release, pairs with `returns`. Without it: a thread sees the new number and the old sum, is denied, and
        // notes that for a time after the memory has come back: nobody asks again. (model
        // `growth_that_was_denied_is_tried_when_memory_has_come_back`)
        self.returns.fetch_add(1, Release);
    }

    /// Bytes that are reserved now.
    pub(super) fn reserved(&self) -> usize {
        // ORDERING: Relaxed, as above.
        self.reserved.load(Relaxed)
    }

    /// Bytes that could still be reserved for more clients.
    pub(super) fn left_for_room(&self) -> usize {
        (self.bound - self.headroom).saturating_sub(self.reserved())
    }

    /// Most bytes that may be reserved.
    pub(super) const fn bound(&self) -> usize {
        self.bound
    }

    /// How often memory has come back so far.
    pub(super) fn returns(&self) -> usize {
        // ORDERING: Acquire, pairs with `give_back`. Read before an attempt to reserve, so that what comes back after it is
        // not missed.
        self.returns.load(Acquire)
    }

    /// Notes that a larger level was denied, by a thread that read `returns` before it asked.
    pub(super) fn note_denied(&self, returns: usize) {
        // ORDERING: Relaxed; a hint that spares others the attempt.
        self.denied.store(returns.wrapping_add(1), Relaxed);
    }

    /// Whether a larger level was denied and no memory has come back since.
    pub(super) fn is_exhausted(&self) -> bool {
        // ORDERING: Relaxed, as in `note_denied`.
        self.denied.load(Relaxed) == self.returns().wrapping_add(1)
    }

    /// The number of this rejection for lack of room.
    pub(super) fn count_rejection(&self) -> usize {
        // ORDERING: Relaxed; all that matters is that the numbers differ.
        self.rejections.fetch_add(1, Relaxed)
    }
}
