//! What a permit needs to know of the segment that holds its counter once the limiter is gone: how to free it.
//!
//! While the limiter lives, a permit is its counter's address and nothing more. The limiter's end leaves the address of
//! the home with each counter that still counts somebody (see [`Counter::orphan`]), and whoever takes the last of the
//! segment's connections frees the segment.

use super::counter::Counter;
use crate::sync::{AcqRel, AtomicUsize, Life};
use core::ptr::NonNull;

#[derive(Debug)]
pub(crate) struct Home {
    pub(super) life: Life,
    /// Orphaned words that still have connections. Releases count down from zero (wrapping) while the limiter's
    /// drop still walks; then the drop adds what it marked. Whoever brings it to zero frees the segment.
    orphans: AtomicUsize,
    free: unsafe fn(NonNull<Home>),
}

impl Home {
    /// # Safety
    ///
    /// `free` may be called once, with the address of this home, when nobody else knows of its segment any more.
    pub(super) unsafe fn new(free: unsafe fn(NonNull<Self>)) -> Self {
        Self { life: Life::new(), orphans: AtomicUsize::new(0), free }
    }

    /// Waits for the `marked` words of the segment, or frees it when all of them have been released meanwhile.
    ///
    /// # Safety
    ///
    /// `this` points to the home of a segment that the caller owns but for `marked` words, which `Counter::orphan` has
    /// marked. Called once; the segment must not be touched afterwards.
    pub(super) unsafe fn wait_for(this: NonNull<Self>, marked: usize) {
        // SAFETY: nothing frees the segment before this very addition.
        let home = unsafe { this.as_ref() };
        // ORDERING: AcqRel, as in `orphan_released`.
        let before = home.orphans.fetch_add(marked, AcqRel);
        if before.wrapping_add(marked) == 0 {
            // SAFETY: the count is complete and zero: no permit is left, and nobody else will free it.
            unsafe { (home.free)(this) };
        }
    }

    /// One orphaned word has seen its last release.
    ///
    /// # Safety
    ///
    /// `counter` is such a word, and the caller took its last connection. The segment must not be touched afterwards.
    pub(super) unsafe fn orphan_released(counter: &Counter) {
        // SAFETY: the word was marked, so `Counter::orphan` had left the address there.
        let this = unsafe { counter.home() };
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

const _: () = assert!(size_of::<NonNull<Home>>() <= size_of::<u64>(), "an address fits where a header was");
