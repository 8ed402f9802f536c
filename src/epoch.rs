//! Pinning, and deferring work until nobody can hold what is retired. Only `epoch/crossbeam.rs` names crossbeam-epoch.
//!
//! A thread that looks into a table is *pinned* meanwhile. The whole crate rests on three sentences, and on nothing else
//! that crossbeam-epoch does:
//!
//! 1. A function given to [`Guard::defer`] runs once every thread that was pinned at that moment has been unpinned.
//! 2. What was done under a pin that began before that moment, and has ended, comes before the run.
//! 3. What was done before that moment comes before all that is done under a pin that begins after it.
//!
//! The second is more than the first: a pin may have ended long before the function was deferred, and what was read under
//! it must still have been read before the memory is freed. In crossbeam-epoch the third holds by fences that make earlier
//! writes visible; wherever the table wants more than to see them, it says so.

#[cfg(not(connlimit_ideal))]
#[path = "epoch/crossbeam.rs"]
mod imp;
#[cfg(connlimit_ideal)]
#[path = "epoch/ideal.rs"]
mod imp;

pub(crate) use imp::{Guard, pin};

use core::borrow::Borrow;
use core::ptr::NonNull;

/// Pins now ([`PinNow`]), or borrows a guard that the caller holds.
pub(crate) trait PinSource {
    /// Pinned, for as long as this value lives.
    fn guard(&mut self) -> impl Borrow<Guard>;

    /// Unpins, if that is for the callee to do; whether the thread can be unpinned now.
    fn let_go(&mut self) -> bool;
}

pub(crate) struct PinNow;

impl PinSource for PinNow {
    #[inline(always)]
    fn guard(&mut self) -> impl Borrow<Guard> {
        pin()
    }

    fn let_go(&mut self) -> bool {
        true
    }
}

/// A guard that holds what the caller has found.
impl PinSource for &Guard {
    #[inline(always)]
    fn guard(&mut self) -> impl Borrow<Guard> {
        *self
    }

    fn let_go(&mut self) -> bool {
        false
    }
}

/// A guard that holds nothing between two calls.
impl PinSource for &mut Guard {
    #[inline(always)]
    fn guard(&mut self) -> impl Borrow<Guard> {
        &**self
    }

    fn let_go(&mut self) -> bool {
        self.repin();
        true
    }
}

impl Guard {
    /// Takes `retired` back into a box, and hands that to `last`, once every thread that is pinned now has been
    /// unpinned.
    ///
    /// # Safety
    ///
    /// 1. `retired` came from [`Box::into_raw`], and this is the only call that retires or frees it.
    /// 2. A thread that pins after this call cannot reach it.
    /// 3. No thread keeps a reference to it beyond the guard under which it found it.
    pub(crate) unsafe fn retire<T: Send + 'static>(
        &self,
        retired: NonNull<T>,
        last: impl FnOnce(Box<T>) + Send + 'static,
    ) {
        struct Sendable<T>(NonNull<T>);
        // SAFETY: it stands for the box that it becomes.
        unsafe impl<T: Send> Send for Sendable<T> {}
        let retired = Sendable(retired);
        self.defer(move || {
            let Sendable(retired) = { retired };
            // SAFETY: by the caller's three duties, nobody else has the pointer or a reference any more.
            last(unsafe { Box::from_raw(retired.as_ptr()) });
        });
    }
}
