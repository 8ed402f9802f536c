//! A segment: a run of bins allocated together, on first touch, and freed together.
//!
//! Growing by segments keeps the worst single call short (a page or two are zeroed, never a whole level), and gives
//! memory back piecemeal: one long-lived client holds the segment it sits in, not the level.

#[cfg(not(connlimit_model))]
use super::alloc;
use super::bin::Bin;
use super::segment_meta::SegmentMeta;
use super::slots::Key;
#[cfg(connlimit_model)]
use super::slots::Slots;
use super::tuning::BINS;
use crate::sync::{AcqRel, Acquire, AtomicU32, AtomicUsize, Relaxed};
use core::ptr::NonNull;

#[repr(C)]
pub(super) struct Segment<K: Key> {
    meta: SegmentMeta,
    /// All bins before this one are closed and have no live word, forever.
    drained: AtomicUsize,
    /// [`OPEN`], [`PARKED`] or [`RETIRED`].
    state: AtomicU32,
    /// The overflow blocks lie behind the segment, and are freed with it.
    furnished: bool,
    bins: [Bin<K>; BINS],
}

/// Nobody has drained the segment, or nobody was found in it.
const OPEN: u32 = 0;
/// A drain has found a client with connections in it.
const PARKED: u32 = 1;
/// It has left its level.
const RETIRED: u32 = 2;

/// A segment with all overflow blocks that it can use, in one piece: for tables that take their memory at the start.
#[repr(C)]
pub(super) struct Furnished<K: Key> {
    segment: Segment<K>,
    blocks: [K::Overflow; BINS],
}

/// How far a segment has been drained.
pub(super) enum Drained {
    /// No word in it is alive, forever.
    Empty,
    /// A client still has connections there.
    Held,
    /// There are bins left to look at.
    More,
}

impl<K: Key> Segment<K> {
    /// A segment, to be freed with [`free`](Self::free) or through a box; `None` for lack of memory. Its provenance is
    /// exposed, for `Counter::orphan`.
    #[cfg(not(connlimit_model))]
    pub(super) fn new() -> Option<NonNull<Self>> {
        let segment = alloc::zeroed::<Self>()?;
        // SAFETY: fresh memory of the right layout, in which `meta` comes first. Zeroes are no value for that part, but
        // for all the rest: atomic integers, null pointers, and `false`.
        unsafe { segment.cast::<SegmentMeta>().write(Self::meta(Self::free_plain)) };
        Some(segment)
    }

    /// A segment with overflow blocks.
    #[cfg(not(connlimit_model))]
    pub(super) fn furnished() -> Option<NonNull<Self>> {
        let whole = alloc::zeroed::<Furnished<K>>()?;
        // SAFETY: as in `new`; `segment` comes first in the whole.
        unsafe { whole.cast::<SegmentMeta>().write(Self::meta(Self::free_furnished)) };
        // SAFETY: within the allocation, initialised, and nobody else's yet.
        let segment = unsafe { &mut *whole.as_ptr().cast::<Self>() };
        segment.furnished = true;
        // SAFETY: within the allocation.
        let blocks = unsafe { &raw mut (*whole.as_ptr()).blocks };
        for (number, bin) in segment.bins.iter_mut().enumerate() {
            bin.furnish(blocks.cast::<K::Overflow>().wrapping_add(number));
        }
        Some(whole.cast())
    }

    #[cfg(connlimit_model)]
    pub(super) fn new() -> Option<NonNull<Self>> {
        Some(NonNull::from(Box::leak(Box::new(Self::empty(Self::free_plain)))))
    }

    #[cfg(connlimit_model)]
    pub(super) fn furnished() -> Option<NonNull<Self>> {
        let blocks = core::array::from_fn(|_| Slots::new());
        let whole = Box::leak(Box::new(Furnished { segment: Self::empty(Self::free_furnished), blocks }));
        whole.segment.furnished = true;
        for (bin, block) in whole.segment.bins.iter_mut().zip(&mut whole.blocks) {
            bin.furnish(block);
        }
        Some(NonNull::from(whole).cast())
    }

    #[cfg(connlimit_model)]
    fn empty(free: unsafe fn(NonNull<SegmentMeta>)) -> Self {
        Self {
            meta: Self::meta(free),
            drained: AtomicUsize::new(0),
            state: AtomicU32::new(OPEN),
            furnished: false,
            bins: core::array::from_fn(|_| Bin::new()),
        }
    }

    fn meta(free: unsafe fn(NonNull<SegmentMeta>)) -> SegmentMeta {
        // SAFETY: it stands in a segment that was allocated as `free` expects.
        unsafe { SegmentMeta::new(free) }
    }

    /// # Safety
    ///
    /// As for [`Segment::free`]: `meta` is that of such a segment, its first field (`repr(C)`), which is not furnished.
    unsafe fn free_plain(meta: NonNull<SegmentMeta>) {
        // SAFETY: allocated as a box would be, and by the caller's duty not used any more.
        drop(unsafe { Box::from_raw(meta.cast::<Self>().as_ptr()) });
    }

    /// # Safety
    ///
    /// As for [`Segment::free`]: `meta` is that of such a segment, its first field (`repr(C)`), which is furnished.
    unsafe fn free_furnished(meta: NonNull<SegmentMeta>) {
        // SAFETY: as above; the segment is the first field of what was allocated.
        drop(unsafe { Box::from_raw(meta.cast::<Furnished<K>>().as_ptr()) });
    }

    /// # Safety
    ///
    /// `this` is from [`new`](Self::new) or [`furnished`](Self::furnished), and nobody else will use it any more.
    pub(super) unsafe fn free(this: NonNull<Self>) {
        // SAFETY: by the caller's duty, it is there.
        let furnished = unsafe { this.as_ref() }.furnished;
        let free = if furnished { Self::free_furnished } else { Self::free_plain };
        // SAFETY: allocated as that expects; the rest is the caller's duty.
        unsafe { free(this.cast()) };
    }

    #[inline]
    pub(super) fn bins(&self) -> &[Bin<K>; BINS] {
        self.meta.life.used();
        &self.bins
    }

    /// Closes and looks through up to `most` bins that may still have clients.
    pub(super) fn drain(&self, most: usize, now: u32) -> Drained {
        // ORDERING: Acquire, pairs with the Release below. Without it: the thread that frees the segment, or admits a
        // client in place of one that an earlier caller found gone, does not see what that client's threads did. (model
        // `a_release_in_a_level_that_goes_happens_before_the_next_admission`)
        let start = self.drained.load(Acquire);
        let mut end = start;
        let mut held = false;
        while end < BINS && end - start < most && !held {
            held = !self.bins()[end].drain(now);
            end += usize::from(!held);
        }
        if end > start {
            // ORDERING: AcqRel, as above, in a chain.
            self.drained.fetch_max(end, AcqRel);
        }
        match (end == BINS, held) {
            (true, _) => Drained::Empty,
            (false, true) => Drained::Held,
            (false, false) => Drained::More,
        }
    }

    /// Notes that a client was found in it; `true` for the first that does.
    pub(super) fn note_parked(&self) -> bool {
        // ORDERING: Relaxed; a number for a heuristic depends on it, and each change is seen by one thread.
        self.state.compare_exchange(OPEN, PARKED, Relaxed, Relaxed).is_ok()
    }

    /// Notes that it has left its level; whether a client had been found in it.
    pub(super) fn note_retired(&self) -> bool {
        // ORDERING: Relaxed, as above.
        self.state.swap(RETIRED, Relaxed) == PARKED
    }

    /// Bytes of this segment and what hangs off it.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.bins.iter().filter(|bin| bin.has_overflow()).count() * size_of::<K::Overflow>()
    }

    /// Frees the segment, or leaves that to the last of the permits that still point into it. The limiter is gone:
    /// releases are all that can still happen.
    ///
    /// # Safety
    ///
    /// `this` is a segment from [`Segment::new`] or [`Segment::furnished`] that the caller owns, but for releases of
    /// permits.
    pub(super) unsafe fn abandon(this: NonNull<Self>) {
        // SAFETY: still there, because nothing frees it before the count below is complete.
        let segment = unsafe { this.as_ref() };
        let meta = this.cast();
        // SAFETY: the caller owns the segment but for releases; its provenance and those of its blocks are exposed.
        let marked = segment.bins.iter().map(|bin| unsafe { bin.orphan(meta) }).sum();
        // SAFETY: so many words were marked; this is the end of the segment for the caller.
        unsafe { SegmentMeta::wait_for(meta, marked) };
    }
}

impl<K: Key> Drop for Segment<K> {
    fn drop(&mut self) {
        if !self.furnished {
            self.bins.iter_mut().for_each(Bin::free_overflow);
        }
    }
}
