//! One client's open connections: a word that never moves while anybody counts on it.
//!
//! ```text
//!   31    30       29                 0
//! [DEAD|ORPHAN|  connections, or stamp  ]
//!
//!            admit            admit / release
//!  ZERO  ------------> LIVE 1 <-------------> LIVE n
//!   |  <------------      |
//!   |      release        | the limiter is dropped
//!   | stamp               v
//!   v                   ORPHAN n ---- last release: one less to wait for
//!  DEAD stamp  (final; the slot is used again once the stamp has expired)
//! ```

use super::segment_meta::SegmentMeta;
#[cfg(connlimit_model)]
use crate::sync::Life;
use crate::sync::{AcqRel, Acquire, AtomicPtr, AtomicU32, Relaxed, Release};
use core::ptr::NonNull;

const DEAD: u32 = 1 << 31;
const ORPHAN: u32 = 1 << 30;

/// Most connections one client can have; also the mask of the low bits.
pub(crate) const MAX_COUNT: u32 = ORPHAN - 1;

/// A value of the counter word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count(u32);

impl Count {
    pub(super) const ZERO: Self = Self(0);

    /// The stamp of a word that is dead.
    pub(super) const fn stamp(self) -> u32 {
        self.0 & MAX_COUNT
    }

    pub(super) const fn is_dead(self) -> bool {
        self.0 & DEAD != 0
    }

    /// Open connections.
    pub(super) const fn open(self) -> u32 {
        if self.is_dead() { 0 } else { self.0 & MAX_COUNT }
    }
}

/// What came of an attempt to admit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// With this number of connections, the new one included.
    Admitted(u32),
    AtLimit,
    /// The word died meanwhile; the client may have a newer one.
    Dead,
}

/// What a release was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Released {
    Done,
    /// The limiter is gone and this was the word's last connection.
    LastOrphan,
}

#[derive(Debug)]
pub(crate) struct Counter {
    word: AtomicU32,
    /// See [`meta_cell`](Self::meta_cell).
    #[cfg(connlimit_model)]
    meta: AtomicPtr<SegmentMeta>,
    #[cfg(connlimit_model)]
    pub(super) life: Life,
}

/// Bytes of a cache line. Each that holds counters begins with eight bytes of something else; see [`Counter::orphan`].
#[cfg(not(connlimit_model))]
pub(super) const LINE: usize = 64;

impl Counter {
    #[cfg(any(test, connlimit_model))]
    pub(super) fn new(word: u32) -> Self {
        Self {
            word: AtomicU32::new(word),
            #[cfg(connlimit_model)]
            meta: AtomicPtr::new(core::ptr::null_mut()),
            #[cfg(connlimit_model)]
            life: Life::new(),
        }
    }

    /// A look that decides nothing by itself: the bin validates it, or a compare-and-swap does.
    #[inline]
    pub(super) fn peek(&self) -> Count {
        // ORDERING: Relaxed; `Bin::confirm` puts an acquire fence between this and the look that validates it.
        Count(self.word.load(Relaxed))
    }

    /// A look that also sees what the connections that are gone have done.
    #[inline]
    pub(super) fn observe(&self) -> Count {
        // ORDERING: Acquire, with the Release of `release` and of `stamp`: a thread that finds no connection here and frees
        // the memory does so after the last touch of those who had one.
        Count(self.word.load(Acquire))
    }

    /// One more connection, if that stays within `limit`. Starts from `seen`, a value just observed.
    ///
    /// Ends: each failed exchange means that another thread's admission, release or stamp took effect.
    #[inline]
    pub(super) fn admit(&self, mut seen: Count, limit: u32) -> Admission {
        let limit = if limit < MAX_COUNT { limit } else { MAX_COUNT };
        loop {
            if seen.is_dead() {
                return Admission::Dead;
            }
            if seen.open() >= limit {
                return Admission::AtLimit;
            }
            // ORDERING: Acquire, with the Release of `release`: a thread that is admitted in place of a connection that
            // ended sees what that connection's thread did. A failure only yields the next value to try: Relaxed.
            match self.word.compare_exchange_weak(seen.0, seen.0 + 1, Acquire, Relaxed) {
                Ok(_) => return Admission::Admitted(seen.open() + 1),
                Err(now) => seen = Count(now),
            }
        }
    }

    /// One connection less. The word must not be touched after this, unless the answer is `LastOrphan`.
    #[inline]
    pub(super) fn release(&self) -> Released {
        // ORDERING: Release, with the Acquire of `admit` (semaphore semantics), and with that of `observe` and
        // `stamp`: the memory is freed or used again after this access.
        let before = self.word.fetch_sub(1, Release);
        debug_assert!(Count(before).open() > 0, "released more often than acquired");
        if before == ORPHAN | 1 {
            // ORDERING: Acquire, with the Release of every other release of this word: they end before it is freed. A load
            // where a fence would do, for ThreadSanitizer does not know fences.
            self.word.load(Acquire);
            Released::LastOrphan
        } else {
            Released::Done
        }
    }

    /// Kills a word without connections; `false` when it has some again, or is dead already.
    pub(super) fn try_kill(&self, now: u32) -> bool {
        // ORDERING: Release, with `observe`: what this thread saw before it killed the word is seen by who frees it.
        // Acquire, with the Release of `release`: likewise for the connections that ended. A failure decides
        // nothing: Relaxed.
        self.word.compare_exchange(0, DEAD | now & MAX_COUNT, AcqRel, Relaxed).is_ok()
    }

    /// The first connection of a new client, in a slot that the caller has claimed.
    pub(super) fn start(&self) {
        // ORDERING: Release, with the fences of `Bin::confirm` and `Bin::scan`: a reader that meets this value in a slot it took for
        // another client's sees the claim that preceded it, and turns back.
        self.word.store(1, Release);
    }

    /// Marks a word that has connections, and leaves the address of its `meta` with it; `false` when it has none.
    ///
    /// The address takes the place of the bin's header, or of a key: of the first eight bytes of the word's cache line.
    ///
    /// Ends: only releases compete, and there are finitely many.
    ///
    /// # Safety
    ///
    /// The limiter is gone and the caller is the only one to look at headers and keys. The word's line lies in an
    /// allocation whose provenance is exposed.
    pub(super) unsafe fn orphan(&self, meta: NonNull<SegmentMeta>) -> bool {
        let mut seen = self.observe();
        if seen.open() > 0 {
            // SAFETY: by the caller's duty.
            let cell = unsafe { self.meta_cell() };
            // ORDERING: Relaxed; the exchange below releases it to the thread that finds the mark.
            cell.store(meta.as_ptr(), Relaxed);
        }
        while seen.open() > 0 {
            // ORDERING: AcqRel. Release, with the load in `release`: the last one sees the address, and the walk that
            // marked it. Acquire on either outcome, with the Release of `release`, as in `observe`.
            match self.word.compare_exchange(seen.0, seen.0 | ORPHAN, AcqRel, Acquire) {
                Ok(_) => return true,
                Err(now) => seen = Count(now),
            }
        }
        false
    }

    /// The address that [`orphan`](Self::orphan) has left.
    ///
    /// # Safety
    ///
    /// It has left one here, and this thread's [`release`](Self::release) has answered `LastOrphan`.
    pub(super) unsafe fn meta(&self) -> NonNull<SegmentMeta> {
        // SAFETY: what was true for `orphan` still is.
        let cell = unsafe { self.meta_cell() };
        // ORDERING: Relaxed; `release` has acquired the mark.
        let meta = cell.load(Relaxed);
        // SAFETY: `orphan` stores no null.
        unsafe { NonNull::new_unchecked(meta) }
    }

    /// # Safety
    ///
    /// As for [`orphan`](Self::orphan).
    #[cfg(not(connlimit_model))]
    unsafe fn meta_cell(&self) -> &AtomicPtr<SegmentMeta> {
        let line = core::ptr::from_ref(self).addr() & !(LINE - 1);
        // SAFETY: the line is within the word's allocation, exposed by the caller's duty; the layout of bins and blocks
        // (asserted with `Bin` and `SlotArray`) has an atomic integer of eight bytes there, which nobody uses as such now.
        unsafe { &*core::ptr::with_exposed_provenance(line) }
    }

    /// Loom's atomics cannot change their type.
    #[cfg(connlimit_model)]
    unsafe fn meta_cell(&self) -> &AtomicPtr<SegmentMeta> {
        &self.meta
    }
}

#[cfg(all(test, not(connlimit_model)))]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_word_can_hold_is_refused() {
        let counter = Counter::new(MAX_COUNT - 1);
        assert_eq!(counter.admit(counter.peek(), u32::MAX), Admission::Admitted(MAX_COUNT));
        assert_eq!(counter.peek().open(), MAX_COUNT);
        assert_eq!(counter.admit(counter.peek(), u32::MAX), Admission::AtLimit);
        assert_eq!(counter.peek(), Count(MAX_COUNT), "neither orphaned nor dead");
        assert_eq!(counter.release(), Released::Done);
        assert_eq!(counter.peek().open(), MAX_COUNT - 1);
    }

    #[test]
    fn a_dead_word_is_final() {
        let counter = Counter::new(0);
        assert!(counter.try_kill(u32::MAX));
        assert!(counter.peek().is_dead());
        assert_eq!(counter.peek().stamp(), MAX_COUNT);
        assert_eq!(counter.admit(counter.peek(), 1), Admission::Dead);
        assert_eq!(counter.admit(Count::ZERO, 1), Admission::Dead, "a late admission learns it by its exchange");
        assert!(!counter.try_kill(0));
    }

    /// A counter as it lies in a bin or a block.
    #[repr(C, align(64))]
    struct Line {
        begins_with: AtomicPtr<SegmentMeta>,
        counter: Counter,
    }

    #[test]
    fn a_word_with_connections_is_neither_stamped_nor_forgotten() {
        let line = Box::new(Line { begins_with: AtomicPtr::default(), counter: Counter::new(2) });
        core::ptr::from_ref(&*line).expose_provenance();
        let (counter, meta) = (&line.counter, NonNull::dangling());
        assert!(!counter.try_kill(0));
        // SAFETY: the line begins with a cell for it, and is exposed.
        let orphan = || unsafe { counter.orphan(meta) };
        assert!(orphan());
        assert_eq!(counter.peek().open(), 2);
        assert_eq!(counter.release(), Released::Done);
        assert_eq!(counter.release(), Released::LastOrphan);
        // SAFETY: as the release said.
        assert_eq!(unsafe { counter.meta() }, meta);
        assert!(!orphan());
        assert_eq!(line.begins_with.into_inner(), meta.as_ptr());
    }
}
