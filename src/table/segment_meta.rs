//! What a permit needs to know of the segment that holds its counter once the limiter is gone: how to free it.
//!
//! While the limiter lives, a permit is its counter's address and nothing more. The limiter's end leaves the address of
//! the segment's metadata with each counter that still counts somebody (see `Counter::orphan`), and whoever takes the last of the
//! segment's connections frees the segment.

use crate::sync::{AcqRel, AtomicUsize, Life};
use core::ptr::NonNull;

#[derive(Debug)]
pub(crate) struct SegmentMeta {
    pub(super) life: Life,
    /// Orphaned words that still have connections. Releases count down from zero (wrapping) while the limiter's
    /// drop still walks; then the drop adds what it marked. Whoever brings it to zero frees the segment.
    orphans: AtomicUsize,
    free: unsafe fn(NonNull<SegmentMeta>),
}

impl SegmentMeta {
    /// # Safety
    ///
    /// `free` may be called once, with the address of this meta, when nobody else knows of its segment any more.
    pub(super) unsafe fn new(free: unsafe fn(NonNull<Self>)) -> Self {
        Self { life: Life::new(), orphans: AtomicUsize::new(0), free }
    }

    /// Waits for the `marked` words of the segment, or frees it when all of them have been released meanwhile.
    ///
    /// # Safety
    ///
    /// `this` points to the meta of a segment that the caller owns but for `marked` words, which `Counter::orphan` has
    /// marked. Called once; the segment must not be touched afterwards.
    pub(super) unsafe fn wait_for(this: NonNull<Self>, marked: usize) {
        // SAFETY: nothing frees the segment before this very addition.
        let meta = unsafe { this.as_ref() };
        // ORDERING: AcqRel, as in `orphan_released`.
        let before = meta.orphans.fetch_add(marked, AcqRel);
        if before.wrapping_add(marked) == 0 {
            // SAFETY: the count is complete and zero: no permit is left, and nobody else will free it.
            unsafe { (meta.free)(this) };
        }
    }

    /// One orphaned word has seen its last release.
    ///
    /// # Safety
    ///
    /// `this` was left with that word by `Counter::orphan`, and the caller took its last connection. The segment must not
    /// be touched afterwards.
    pub(super) unsafe fn orphan_released(this: NonNull<Self>) {
        // SAFETY: the segment waits for this very call, so it is still there.
        let meta = unsafe { this.as_ref() };
        // ORDERING: AcqRel. Release: all this thread did in the segment comes before the free. Acquire, with the
        // other counts: and so does all that the others did.
        if meta.orphans.fetch_sub(1, AcqRel) == 1 {
            // SAFETY: the count has come to zero with all of it added, which happens once; nobody else is left.
            unsafe { (meta.free)(this) };
        }
    }
}

const _: () = assert!(size_of::<NonNull<SegmentMeta>>() <= size_of::<u64>(), "an address fits where a header was");
