//! A segment: a run of bins allocated together, on first touch, and freed together.
//!
//! Growing by segments keeps the worst single call short (a few dozen KiB are zeroed, never a whole level), and gives
//! memory back piecemeal: one long-lived client holds the segment it sits in, not the level.

use super::bin::Bin;
use super::home::Home;
use super::slots::Key;
#[cfg(connlimit_model)]
use super::slots::Slots;
use crate::sync::{AcqRel, Acquire, AtomicUsize};
use core::ptr::NonNull;

/// Bins per segment.
pub(super) const BINS: usize = if cfg!(connlimit_loom) {
    1
} else if cfg!(connlimit_shuttle) {
    4
} else {
    512
};

#[repr(C)]
pub(super) struct Segment<K: Key> {
    home: Home,
    /// All bins before this one are closed and have no live word, for ever.
    drained: AtomicUsize,
    bins: [Bin<K>; BINS],
}

/// How far a segment has been drained.
pub(super) enum Drained {
    /// No word in it is alive, for ever.
    Empty,
    /// A client still has connections there.
    Held,
    /// There are bins left to look at.
    More,
}

impl<K: Key> Segment<K> {
    /// A segment, to be freed with [`free`](Self::free) or through a box. Its provenance is exposed, for
    /// `Counter::orphan`.
    #[cfg(not(connlimit_model))]
    pub(super) fn new() -> NonNull<Self> {
        let segment = zeroed::<Self>();
        // SAFETY: fresh memory of the right layout, in which `home` comes first; zeroes are no value for that part, but
        // for all the rest: atomic integers and null pointers.
        unsafe { segment.cast::<Home>().write(Self::home()) };
        segment
    }

    #[cfg(connlimit_model)]
    pub(super) fn new() -> NonNull<Self> {
        let bins = core::array::from_fn(|_| Bin::new());
        let segment = Box::new(Self { home: Self::home(), drained: AtomicUsize::new(0), bins });
        NonNull::from(Box::leak(segment))
    }

    fn home() -> Home {
        /// # Safety
        ///
        /// As for [`Segment::free`]: `home` is that of such a segment, its first field (`repr(C)`).
        unsafe fn free<K: Key>(home: NonNull<Home>) {
            // SAFETY: the caller's duty.
            unsafe { Segment::<K>::free(home.cast()) };
        }
        // SAFETY: the home stands in a segment of this type.
        unsafe { Home::new(free::<K>) }
    }

    /// # Safety
    ///
    /// `this` is from [`new`](Self::new), and nobody else will use it any more.
    pub(super) unsafe fn free(this: NonNull<Self>) {
        // SAFETY: allocated as a box would be, and by the caller's duty not used any more.
        drop(unsafe { Box::from_raw(this.as_ptr()) });
    }

    #[inline]
    pub(super) fn bins(&self) -> &[Bin<K>; BINS] {
        self.home.life.used();
        &self.bins
    }

    /// Closes and looks through up to `most` bins that may still have clients.
    pub(super) fn drain(&self, most: usize, now: u32) -> Drained {
        // ORDERING: Acquire, with the Release below: what earlier callers saw and closed, this one has seen too,
        // so that the connections they found ended have ended before this thread frees anything.
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

    /// Bytes of this segment and what hangs off it.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.bins.iter().filter(|bin| bin.has_overflow()).count() * size_of::<K::Overflow>()
    }

    /// Frees the segment, or leaves that to the last of the permits that still point into it. The limiter is gone:
    /// releases are all that can still happen.
    ///
    /// # Safety
    ///
    /// `this` is a segment from [`Segment::new`] that the caller owns, but for releases of permits.
    pub(super) unsafe fn abandon(this: NonNull<Self>) {
        // SAFETY: still there, because nothing frees it before the count below is complete.
        let segment = unsafe { this.as_ref() };
        let home = this.cast();
        // SAFETY: the caller owns the segment but for releases; its provenance and those of its blocks are exposed.
        let marked = segment.bins.iter().map(|bin| unsafe { bin.orphan(home) }).sum();
        // SAFETY: so many words were marked; this is the end of the segment for the caller.
        unsafe { Home::wait_for(home, marked) };
    }
}

/// An empty overflow block. Its provenance is exposed, for `Counter::orphan`.
pub(super) fn new_overflow<K: Key>() -> *mut K::Overflow {
    #[cfg(not(connlimit_model))]
    return zeroed().as_ptr();
    #[cfg(connlimit_model)]
    Box::into_raw(Box::new(Slots::new()))
}

/// Memory for a `T`, as a box would have it, full of zeroes and with exposed provenance.
#[cfg(not(connlimit_model))]
fn zeroed<T>() -> NonNull<T> {
    let layout = core::alloc::Layout::new::<T>();
    assert_ne!(layout.size(), 0);
    // SAFETY: the layout is not of size zero.
    let memory = unsafe { std::alloc::alloc_zeroed(layout) };
    memory.expose_provenance();
    NonNull::new(memory.cast()).unwrap_or_else(|| std::alloc::handle_alloc_error(layout))
}
