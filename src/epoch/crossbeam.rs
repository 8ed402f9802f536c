//! The real crossbeam-epoch: in normal builds, and on loom's atomics in the models of the second tier.

use crate::process;

#[derive(Debug)]
pub(crate) struct Guard {
    guard: crossbeam_epoch::Guard,
    /// The process that was pinned.
    process: process::Id,
}

/// Pins the current thread until the guard is dropped.
#[inline(always)]
pub(crate) fn pin() -> Guard {
    let process = process::id();
    Guard { guard: collector::pin(process), process }
}

impl Guard {
    /// Runs `act` once every thread that is pinned now has been unpinned.
    pub(crate) fn defer(&self, act: impl FnOnce() + Send + 'static) {
        self.guard.defer(act);
    }

    /// Makes deferred functions of this thread visible to the others, and runs some that are due. Takes time in proportion
    /// to the number of threads.
    pub(crate) fn flush(&self) {
        self.guard.flush();
    }

    /// Whether this thread has not flushed for so long that doing it now costs little in comparison; and then it counts
    /// as done.
    #[expect(clippy::unused_self, reason = "only a pinned thread flushes")]
    pub(crate) fn may_flush(&self) -> bool {
        collector::may_flush()
    }

    /// Unpins and pins again: everything obtained through the guard is let go. Unless the thread has another guard.
    pub(crate) fn repin(&mut self) {
        if self.process != process::id() {
            // A fork: the collector of the parent, with the parent's threads, holds back nothing here.
            *self = pin();
            return;
        }
        self.guard.repin();
        // crossbeam's `repin` stores the new epoch without the fence that makes later looks see what came before it.
        // ORDERING: SeqCst, pairs with the fences by which crossbeam finds out what epoch each thread is in, as the one
        // in its `pin` does. Without it: the third sentence of `epoch.rs` does not hold for a batch.
        crate::sync::fence(crate::sync::SeqCst);
    }
}

/// A model has crossbeam's own collector, which loom starts anew with each execution.
#[cfg(connlimit_loom)]
mod collector {
    use crate::process::Id;

    pub(super) fn pin(_: Id) -> crossbeam_epoch::Guard {
        crossbeam_epoch::pin()
    }

    pub(super) const fn may_flush() -> bool {
        true
    }
}

/// A collector of our own, so that other crates' long pins cannot hold our garbage; and of this process alone.
#[cfg(not(connlimit_loom))]
mod collector {
    use crate::process::{self, Id, Process};
    use crate::sync::Relaxed;
    use core::cell::{Cell, RefCell};
    use crossbeam_epoch::{Guard, LocalHandle};

    /// A thread's part in the collector of one process.
    struct Local {
        id: Id,
        process: &'static Process,
        handle: LocalHandle,
        /// How many more times it should not flush.
        not_yet: Cell<usize>,
    }

    thread_local! {
        static LOCAL: Local = Local::new();
        /// In a child, that of the thread that forked.
        static FORKED: RefCell<Option<Local>> = const { RefCell::new(None) };
    }

    impl Local {
        fn new() -> Self {
            let process = process::current();
            // ORDERING: Relaxed; a number for a heuristic.
            process.threads.fetch_add(1, Relaxed);
            Self { id: process.id, process, handle: process.collector.register(), not_yet: Cell::new(0) }
        }

        fn may_flush(&self) -> bool {
            if let Some(less) = self.not_yet.get().checked_sub(1) {
                self.not_yet.set(less);
                return false;
            }
            // ORDERING: Relaxed, as above.
            self.not_yet.set(self.process.threads.load(Relaxed) / THREADS_PER_CALL);
            true
        }
    }

    impl Drop for Local {
        fn drop(&mut self) {
            // ORDERING: Relaxed, as above.
            self.process.threads.fetch_sub(1, Relaxed);
        }
    }

    /// So many threads may a flush look at for each call that might have flushed: some tens of nanoseconds.
    const THREADS_PER_CALL: usize = 16;

    #[inline(always)]
    pub(super) fn pin(process: Id) -> Guard {
        LOCAL
            .try_with(|local| (local.id == process).then(|| local.handle.pin()))
            .ok()
            .flatten()
            .unwrap_or_else(|| pin_otherwise(process))
    }

    /// After a fork, or when the thread-local is gone because the destructor of another one asks.
    #[cold]
    fn pin_otherwise(process: Id) -> Guard {
        with_forked(process, |local| local.handle.pin())
            // Registers for this one pin.
            .unwrap_or_else(|| process::current().collector.register().pin())
    }

    fn with_forked<T>(process: Id, act: impl FnOnce(&Local) -> T) -> Option<T> {
        FORKED
            .try_with(|forked| {
                let mut forked = forked.try_borrow_mut().ok()?;
                if forked.as_ref().is_none_or(|local| local.id != process) {
                    *forked = Some(Local::new());
                }
                forked.as_ref().map(act)
            })
            .ok()
            .flatten()
    }

    pub(super) fn may_flush() -> bool {
        let process = process::id();
        LOCAL
            .try_with(|local| (local.id == process).then(|| local.may_flush()))
            .ok()
            .flatten()
            .or_else(|| with_forked(process, Local::may_flush))
            .unwrap_or(true)
    }
}
