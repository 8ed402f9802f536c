//! A segment: a run of bins allocated together, on first touch, and freed together.
//!
//! Growing by segments keeps the worst single call short (a few dozen KiB are zeroed, never a whole level), and gives
//! memory back piecemeal: one long-lived client holds the segment it sits in, not the level.

use super::bin::Bin;
use super::slots::Key;
#[cfg(connlimit_loom)]
use super::slots::Slots;
use crate::sync::{AcqRel, Acquire, AtomicUsize, Life};
use core::ptr::NonNull;

/// Bins per segment.
#[cfg(not(connlimit_loom))]
pub(super) const BINS: usize = 512;
#[cfg(connlimit_loom)]
pub(super) const BINS: usize = 1;

#[repr(C)]
pub(super) struct Segment<K: Key> {
    home: Home,
    bins: [Bin<K>; BINS],
}

/// What a permit needs to know of the segment that holds its counter, whatever the key: how to free it when the
/// limiter is gone.
#[derive(Debug)]
pub(crate) struct Home {
    pub(super) life: Life,
    /// All bins before this one are closed and have no live word, for ever.
    drained: AtomicUsize,
    /// Orphaned words that still have connections. Releases count down from zero (wrapping) while the limiter's
    /// drop still walks; then the drop adds what it marked. Whoever brings it to zero frees the segment.
    orphans: AtomicUsize,
    free: unsafe fn(NonNull<Home>),
}

impl Home {
    /// One orphaned word has seen its last release.
    ///
    /// # Safety
    ///
    /// `this` points to the home of the segment that the word lies in, and the caller took that word's last
    /// connection after `Counter::orphan` had marked it. The segment must not be touched afterwards.
    pub(crate) unsafe fn orphan_released(this: NonNull<Self>) {
        // SAFETY: the segment waits for this very call, so it is still there.
        let home = unsafe { this.as_ref() };
        // ORDERING: AcqRel. Release: all this thread did in the segment comes before the free. Acquire, with the
        // other counts: and so does all that the others did.
        if home.orphans.fetch_sub(1, AcqRel) == 1 {
            // SAFETY: the count has come to zero with all of it added, which happens once; nobody else is left.
            unsafe { (home.free)(this) };
        }
    }
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
    #[cfg(not(connlimit_loom))]
    pub(super) fn new() -> Box<Self> {
        let layout = core::alloc::Layout::new::<Self>();
        // SAFETY: the layout is not of size zero.
        let memory = unsafe { std::alloc::alloc_zeroed(layout) }.cast::<Self>();
        if memory.is_null() {
            std::alloc::handle_alloc_error(layout);
        }
        // SAFETY: fresh memory of the right layout, in which `home` comes first; zeroes are no value for that part.
        unsafe { memory.cast::<Home>().write(Home::new::<K>()) };
        // SAFETY: allocated by the global allocator with this type's layout and initialised: bins consist of
        // atomic integers and null pointers, for which zeroes are a value.
        unsafe { Box::from_raw(memory) }
    }

    #[cfg(connlimit_loom)]
    pub(super) fn new() -> Box<Self> {
        Box::new(Self { home: Home::new::<K>(), bins: core::array::from_fn(|_| Bin::new()) })
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
        let start = self.home.drained.load(Acquire);
        let mut end = start;
        let mut held = false;
        while end < BINS && end - start < most && !held {
            held = !self.bins()[end].drain(now);
            end += usize::from(!held);
        }
        if end > start {
            // ORDERING: AcqRel, as above, in a chain.
            self.home.drained.fetch_max(end, AcqRel);
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
        let mut marked = 0;
        for bin in &segment.bins {
            bin.for_each(|_, counter| marked += usize::from(counter.orphan()));
        }
        // ORDERING: AcqRel, as in `orphan_released`.
        let before = segment.home.orphans.fetch_add(marked, AcqRel);
        if before.wrapping_add(marked) == 0 {
            // SAFETY: the count is complete and zero: no permit is left, and nobody else will free it.
            unsafe { Home::free::<K>(this.cast()) };
        }
    }
}

impl Home {
    fn new<K: Key>() -> Self {
        Self { life: Life::new(), drained: AtomicUsize::new(0), orphans: AtomicUsize::new(0), free: Self::free::<K> }
    }

    /// # Safety
    ///
    /// `this` is the home of a `Segment<K>` from [`Segment::new`], and the caller is the last to know of it.
    unsafe fn free<K: Key>(this: NonNull<Self>) {
        // SAFETY: by the contract above; `home` is the first field of the `repr(C)` segment.
        drop(unsafe { Box::from_raw(this.cast::<Segment<K>>().as_ptr()) });
    }
}

/// An empty overflow block.
pub(super) fn new_overflow<K: Key>() -> *mut K::Overflow {
    #[cfg(not(connlimit_loom))]
    {
        let layout = core::alloc::Layout::new::<K::Overflow>();
        // SAFETY: the layout is not of size zero.
        let memory = unsafe { std::alloc::alloc_zeroed(layout) }.cast::<K::Overflow>();
        if memory.is_null() {
            std::alloc::handle_alloc_error(layout);
        }
        memory
    }
    #[cfg(connlimit_loom)]
    Box::into_raw(Box::new(Slots::new()))
}
