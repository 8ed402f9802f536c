//! One counted connection: the address of the counter it raised.

use super::counter::{Counter, Released};
use super::segment_meta::SegmentMeta;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;

/// Dropping it gives the count back.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct CountGuard(NonNull<Counter>);

// SAFETY: the pointer leads to an atomic, which any thread may use, and which stays valid until the count is given back.
unsafe impl Send for CountGuard {}
// SAFETY: an atomic load is all that can be done through a shared reference.
unsafe impl Sync for CountGuard {}

impl CountGuard {
    /// The count that was just added to `counter`.
    #[inline(always)]
    pub(super) fn new(counter: &Counter) -> Self {
        Self(NonNull::from(counter))
    }

    #[inline(always)]
    const fn counter(&self) -> &Counter {
        // SAFETY: the count that this value stands for keeps the word's segment from being freed: a segment goes
        // only when no word in it is alive; `Segment::abandon`, when the limiter goes, counts this word in.
        unsafe { self.0.as_ref() }
    }

    /// The address, which stands for the count from now on. Its two low bits are zero.
    #[inline(always)]
    pub(crate) fn into_raw(self) -> NonNull<()> {
        ManuallyDrop::new(self).0.cast()
    }

    /// # Safety
    ///
    /// `raw` came from [`into_raw`](Self::into_raw), and stands for nothing from now on.
    #[inline(always)]
    pub(crate) const unsafe fn from_raw(raw: NonNull<()>) -> Self {
        Self(raw.cast())
    }
}

impl Drop for CountGuard {
    /// One access to shared memory, no look-up.
    #[inline(always)]
    fn drop(&mut self) {
        let counter = self.counter();
        #[cfg(connlimit_model)]
        counter.life.used();
        if counter.release() == Released::LastOrphan {
            // SAFETY: the answer was `LastOrphan`, so `Counter::orphan` had left the address there.
            let meta = unsafe { counter.meta() };
            // SAFETY: likewise; nothing follows.
            unsafe { SegmentMeta::orphan_released(meta) };
        }
    }
}

const _: () = assert!(align_of::<Counter>() >= 4, "two low bits are free");
