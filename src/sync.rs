//! Every atomic, `Arc` and lock of the crate comes from here, so that a model can put loom's or shuttle's in their place.
//!
//! `connlimit_model` is the cfg for what all models share: tables of a few slots, built by constructors, for a model's
//! atomics are more than zeroes. `connlimit_loom` and `connlimit_shuttle` say whose atomics they are.

#[cfg(not(any(
    all(connlimit_model, connlimit_loom, not(connlimit_shuttle)),
    all(connlimit_model, connlimit_shuttle, not(connlimit_loom)),
    not(any(connlimit_model, connlimit_loom, connlimit_shuttle))
)))]
compile_error!("a model has `--cfg connlimit_model`, and one of `--cfg connlimit_loom` and `--cfg connlimit_shuttle`");
#[cfg(all(connlimit_loom, not(crossbeam_loom)))]
compile_error!("`connlimit_loom` needs `--cfg crossbeam_loom`: without it loom cannot see crossbeam's atomics");
#[cfg(all(crossbeam_loom, not(connlimit_loom)))]
compile_error!("`crossbeam_loom` needs `--cfg connlimit_loom`: without it loom cannot see connlimit's atomics");
#[cfg(all(connlimit_ideal, not(connlimit_model)))]
compile_error!("`connlimit_ideal` is a kind of model: it needs `--cfg connlimit_model` and what goes with that");
#[cfg(all(connlimit_wide, not(connlimit_loom)))]
compile_error!("`connlimit_wide` is for models of loom's");
#[cfg(all(connlimit_shuttle, not(connlimit_ideal)))]
compile_error!("`connlimit_shuttle` needs `--cfg connlimit_ideal`: shuttle cannot see crossbeam's atomics");

/// For one fence, which has to match those of crossbeam-epoch.
#[cfg(not(connlimit_ideal))]
pub(crate) use core::sync::atomic::Ordering::SeqCst;
pub(crate) use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

#[cfg(not(connlimit_model))]
pub(crate) use {
    core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, fence},
    std::sync::{Arc, Mutex, MutexGuard},
};

#[cfg(connlimit_loom)]
pub(crate) use loom::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, fence},
};

#[cfg(connlimit_shuttle)]
pub(crate) use shuttle::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, fence},
};

/// Stands in memory that is freed through the epoch or by the last permit. In a model it checks that every use comes
/// before the end; in the product it is nothing.
#[derive(Debug)]
pub(crate) struct Life(
    #[cfg(connlimit_loom)] loom::cell::UnsafeCell<loom::alloc::Track<()>>,
    #[cfg(connlimit_shuttle)] living::Name,
);

#[cfg(connlimit_loom)]
// SAFETY: loom lets one thread run at a time, and reports accesses that may coincide.
unsafe impl Sync for Life {}

impl Life {
    pub(crate) fn new() -> Self {
        Self(
            #[cfg(connlimit_loom)]
            loom::cell::UnsafeCell::new(loom::alloc::Track::new(())),
            #[cfg(connlimit_shuttle)]
            living::born(),
        )
    }

    /// The memory is in use by this thread now.
    #[inline(always)]
    #[cfg_attr(not(connlimit_model), expect(clippy::unused_self, reason = "only a model looks"))]
    pub(crate) fn used(&self) {
        #[cfg(connlimit_loom)]
        self.0.with(|_| ());
        #[cfg(connlimit_shuttle)]
        living::used(self.0);
    }
}

#[cfg(connlimit_model)]
impl Default for Life {
    fn default() -> Self {
        Self::new()
    }
}

/// A copy of what it stands in is memory of its own.
#[cfg(connlimit_model)]
impl Clone for Life {
    fn clone(&self) -> Self {
        Self::new()
    }
}

#[cfg(connlimit_model)]
impl PartialEq for Life {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

#[cfg(connlimit_model)]
impl Eq for Life {}

#[cfg(connlimit_model)]
impl Drop for Life {
    fn drop(&mut self) {
        #[cfg(connlimit_loom)]
        self.0.with_mut(|_| ());
        #[cfg(connlimit_shuttle)]
        living::died(self.0);
    }
}

/// The lives that have begun and not ended. Shuttle runs all threads of an execution on one thread of the system, so
/// each test has a register of its own, and looking into it gives no other thread a turn.
///
/// A use of memory that has been freed finds a name there that is dead, or no name; or, if the memory has been allocated
/// again for the like, a living one, and that goes unnoticed this time.
#[cfg(connlimit_shuttle)]
pub(crate) mod living {
    use core::cell::RefCell;
    use std::collections::BTreeSet;

    pub(super) type Name = u64;

    std::thread_local! {
        static LIVING: RefCell<(Name, BTreeSet<Name>)> = const { RefCell::new((0, BTreeSet::new())) };
    }

    pub(super) fn born() -> Name {
        LIVING.with_borrow_mut(|(last, living)| {
            *last += 1;
            living.insert(*last);
            *last
        })
    }

    pub(super) fn used(name: Name) {
        assert!(LIVING.with_borrow(|(_, living)| living.contains(&name)), "used after it was freed");
    }

    pub(super) fn died(name: Name) {
        assert!(LIVING.with_borrow_mut(|(_, living)| living.remove(&name)), "freed twice");
    }

    /// How many there are; and they are forgotten.
    #[cfg(test)]
    pub(crate) fn take() -> usize {
        LIVING.with_borrow_mut(|(_, living)| core::mem::take(living).len())
    }
}

/// Locks `mutex` whether or not another holder panicked: what it guards is replaced whole, never left half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The cell that holds the configuration in force.
///
/// arc-swap cannot run in a model (its debt list lives in statics that loom does not see), so that has a mutex here:
/// what arc-swap promises, an atomic register of `Arc`s, is trusted; all that is built on it is checked.
#[cfg(not(connlimit_model))]
#[derive(Debug)]
pub(crate) struct ArcCell<T>(arc_swap::ArcSwap<T>);

#[cfg(not(connlimit_model))]
impl<T> ArcCell<T> {
    pub(crate) fn new(value: Arc<T>) -> Self {
        Self(arc_swap::ArcSwap::new(value))
    }

    #[inline]
    pub(crate) fn load(&self) -> impl core::ops::Deref<Target = Arc<T>> {
        self.0.load()
    }

    pub(crate) fn load_full(&self) -> Arc<T> {
        self.0.load_full()
    }

    /// Returns what it held.
    pub(crate) fn swap(&self, value: Arc<T>) -> Arc<T> {
        self.0.swap(value)
    }
}

#[cfg(connlimit_model)]
#[derive(Debug)]
pub(crate) struct ArcCell<T>(Mutex<Arc<T>>);

#[cfg(connlimit_model)]
impl<T> ArcCell<T> {
    pub(crate) fn new(value: Arc<T>) -> Self {
        Self(Mutex::new(value))
    }

    pub(crate) fn load(&self) -> impl core::ops::Deref<Target = Arc<T>> + use<T> {
        Box::new(self.load_full())
    }

    pub(crate) fn load_full(&self) -> Arc<T> {
        Arc::clone(&lock(&self.0))
    }

    pub(crate) fn swap(&self, value: Arc<T>) -> Arc<T> {
        core::mem::replace(&mut lock(&self.0), value)
    }
}
