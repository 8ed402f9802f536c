//! Every atomic, `Arc` and lock of the crate comes from here, so that a model can put loom's in their place.

#[cfg(all(connlimit_loom, not(crossbeam_loom)))]
compile_error!("`connlimit_loom` needs `--cfg crossbeam_loom`: without it loom cannot see crossbeam's atomics");
#[cfg(all(crossbeam_loom, not(connlimit_loom)))]
compile_error!("`crossbeam_loom` needs `--cfg connlimit_loom`: without it loom cannot see connlimit's atomics");
#[cfg(all(connlimit_ideal, not(connlimit_loom)))]
compile_error!("`connlimit_ideal` is a kind of model: it needs `--cfg connlimit_loom` and `--cfg crossbeam_loom`");

pub(crate) use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

#[cfg(not(connlimit_loom))]
pub(crate) use {
    core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, fence},
    std::sync::{Arc, Mutex, MutexGuard},
};

#[cfg(connlimit_loom)]
pub(crate) use loom::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, fence},
};

/// Stands in memory that is freed through the epoch or by the last permit. In a model it checks that every use comes
/// before the end; in the product it is nothing.
#[derive(Debug)]
pub(crate) struct Life(#[cfg(connlimit_loom)] loom::cell::UnsafeCell<loom::alloc::Track<()>>);

#[cfg(connlimit_loom)]
// SAFETY: loom lets one thread run at a time, and reports accesses that may coincide.
unsafe impl Sync for Life {}

impl Life {
    pub(crate) fn new() -> Self {
        Self(
            #[cfg(connlimit_loom)]
            loom::cell::UnsafeCell::new(loom::alloc::Track::new(())),
        )
    }

    /// The memory is in use by this thread now.
    #[inline(always)]
    #[cfg_attr(not(connlimit_loom), expect(clippy::unused_self, reason = "only a model looks"))]
    pub(crate) fn used(&self) {
        #[cfg(connlimit_loom)]
        self.0.with(|_| ());
    }
}

#[cfg(connlimit_loom)]
impl Default for Life {
    fn default() -> Self {
        Self::new()
    }
}

/// A copy of what it stands in is memory of its own.
#[cfg(connlimit_loom)]
impl Clone for Life {
    fn clone(&self) -> Self {
        Self::new()
    }
}

#[cfg(connlimit_loom)]
impl PartialEq for Life {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

#[cfg(connlimit_loom)]
impl Eq for Life {}

#[cfg(connlimit_loom)]
impl Drop for Life {
    fn drop(&mut self) {
        self.0.with_mut(|_| ());
    }
}

/// Locks `mutex` whether or not another holder panicked: what it guards is replaced whole, never left half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The cell that holds the configuration in force.
///
/// arc-swap cannot run under loom (its debt list lives in statics loom does not see), so a model has a mutex here:
/// what arc-swap promises, an atomic register of `Arc`s, is trusted; all that is built on it is checked.
#[cfg(not(connlimit_loom))]
#[derive(Debug)]
pub(crate) struct ArcCell<T>(arc_swap::ArcSwap<T>);

#[cfg(not(connlimit_loom))]
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

#[cfg(connlimit_loom)]
#[derive(Debug)]
pub(crate) struct ArcCell<T>(Mutex<Arc<T>>);

#[cfg(connlimit_loom)]
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
