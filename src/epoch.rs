//! The only file that names crossbeam-epoch: pinning, and deferring work until nobody can hold what is retired.
//!
//! A thread that looks into a table is *pinned* meanwhile. A function given to [`Guard::defer`] runs once every
//! thread that was pinned at that moment has been unpinned; a thread that pins later sees all that was done before
//! the call. The whole crate rests on these two sentences, and on nothing else that crossbeam-epoch does.

pub(crate) use imp::{Guard, pin};

use core::borrow::Borrow;
use core::ptr::NonNull;

/// A way to be pinned: now, or by a guard that is there.
pub(crate) trait Enter {
    fn enter(self) -> impl Borrow<Guard>;
}

/// Pins anew.
pub(crate) struct Anew;

impl Enter for Anew {
    #[inline(always)]
    fn enter(self) -> impl Borrow<Guard> {
        pin()
    }
}

impl Enter for &Guard {
    #[inline(always)]
    fn enter(self) -> impl Borrow<Guard> {
        self
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

/// The real crossbeam-epoch: in the product, and on loom's atomics in the models of the second tier.
#[cfg(not(connlimit_ideal))]
mod imp {
    #[derive(Debug)]
    pub(crate) struct Guard(crossbeam_epoch::Guard);

    /// Pins the current thread until the guard is dropped.
    #[inline(always)]
    pub(crate) fn pin() -> Guard {
        Guard(collector::pin())
    }

    impl Guard {
        /// Runs `act` once every thread that is pinned now has been unpinned.
        pub(crate) fn defer(&self, act: impl FnOnce() + Send + 'static) {
            self.0.defer(act);
        }

        /// Makes deferred functions of this thread visible to the others, and runs some that are due.
        pub(crate) fn flush(&self) {
            self.0.flush();
        }

        /// Unpins and pins again: everything obtained through the guard is let go.
        pub(crate) fn repin(&mut self) {
            // Not crossbeam's `repin`: that stores the new epoch without the fence that makes later looks see what came
            // before it.
            self.0.repin_after(|| ());
        }
    }

    /// A model has crossbeam's own collector, which loom starts anew with each execution.
    #[cfg(connlimit_loom)]
    use crossbeam_epoch as collector;

    /// A collector of our own, so that other crates' long pins cannot hold our garbage.
    #[cfg(not(connlimit_loom))]
    mod collector {
        use crossbeam_epoch::{Collector, Guard, LocalHandle};
        use std::sync::OnceLock;

        thread_local! {
            static HANDLE: LocalHandle = collector().register();
        }

        fn collector() -> &'static Collector {
            static COLLECTOR: OnceLock<Collector> = OnceLock::new();
            COLLECTOR.get_or_init(Collector::new)
        }

        #[inline(always)]
        pub(super) fn pin() -> Guard {
            // The thread-local is gone when a destructor of another thread-local asks: register for this one pin.
            HANDLE.try_with(LocalHandle::pin).unwrap_or_else(|_| collector().register().pin())
        }
    }
}

/// Models of our protocol alone: a collector that is its own specification, and eager. Deferred functions run at
/// the very first moment the two sentences above allow, which is the worst moment for whoever relies on more.
#[cfg(connlimit_ideal)]
mod imp {
    use crate::sync::{Mutex, lock};
    #[cfg(connlimit_loom)]
    use loom::lazy_static;
    #[cfg(connlimit_shuttle)]
    use shuttle::lazy_static;

    #[derive(Debug)]
    pub(crate) struct Guard(usize);

    #[derive(Default)]
    struct State {
        next: usize,
        pinned: Vec<usize>,
        waiting: Vec<(Vec<usize>, Box<dyn FnOnce() + Send>)>,
    }

    impl State {
        fn enter(&mut self) -> usize {
            self.next += 1;
            self.pinned.push(self.next);
            self.next
        }

        fn leave(&mut self, id: usize) -> Vec<Box<dyn FnOnce() + Send>> {
            self.pinned.retain(|&other| other != id);
            for (holders, _) in &mut self.waiting {
                holders.retain(|&other| other != id);
            }
            let (due, waiting) =
                core::mem::take(&mut self.waiting).into_iter().partition(|(holders, _)| holders.is_empty());
            self.waiting = waiting;
            Vec::into_iter(due).map(|(_, act)| act).collect()
        }
    }

    // Begins anew with each execution.
    lazy_static! {
        static ref STATE: Mutex<State> = Mutex::new(State::default());
    }

    pub(crate) fn pin() -> Guard {
        Guard(lock(&STATE).enter())
    }

    impl Guard {
        pub(crate) fn defer(&self, act: impl FnOnce() + Send + 'static) {
            let mut state = lock(&STATE);
            let holders = state.pinned.clone();
            state.waiting.push((holders, Box::new(act)));
        }

        pub(crate) fn flush(&self) {}

        pub(crate) fn repin(&mut self) {
            let due = lock(&STATE).leave(self.0);
            due.into_iter().for_each(|act| act());
            self.0 = lock(&STATE).enter();
        }
    }

    impl Drop for Guard {
        fn drop(&mut self) {
            let due = lock(&STATE).leave(self.0);
            due.into_iter().for_each(|act| act());
        }
    }
}
