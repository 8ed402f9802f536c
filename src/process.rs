//! What belongs to the process, and begins anew in a child.
//!
//! A child made by `fork` has one thread, and the memory of all. A thread of the parent that was pinned at that moment
//! stays pinned in that memory forever, and a lock that it held stays locked. So the collector of epochs and the lock of
//! those who change configurations are the process's own, and a child makes others.

#[cfg(connlimit_model)]
pub(crate) use model::Writers;
#[cfg(all(connlimit_model, not(connlimit_ideal)))]
pub(crate) use model::{Id, id};
#[cfg(not(connlimit_model))]
pub(crate) use real::{Id, Process, Writers, current, id};

#[cfg(not(connlimit_model))]
mod real {
    use crate::sync::{AcqRel, Acquire, AtomicPtr, AtomicUsize, Relaxed, lock};
    use core::ops::Deref;
    use core::ptr;
    use crossbeam_epoch::Collector;
    use std::sync::{Mutex, Once};

    /// Tells a process from its forebears.
    pub(crate) type Id = usize;

    pub(crate) struct Process {
        pub(crate) id: Id,
        pub(crate) collector: Collector,
        /// Threads that are registered with the collector.
        pub(crate) threads: AtomicUsize,
        writers: Mutex<()>,
    }

    /// Forks since the first use, along the line that leads here.
    static FORKS: AtomicUsize = AtomicUsize::new(0);
    /// Null until it is wanted.
    static CURRENT: AtomicPtr<Process> = AtomicPtr::new(ptr::null_mut());

    #[inline(always)]
    pub(crate) fn id() -> Id {
        // ORDERING: Relaxed; it changes only in a new process, before that has a second thread.
        FORKS.load(Relaxed)
    }

    pub(crate) fn current() -> &'static Process {
        // ORDERING: Acquire, pairs with the exchange below. Without it: a collector that is not initialised.
        let mut process = CURRENT.load(Acquire);
        if process.is_null() {
            notice_forks();
            let new = Process {
                id: id(),
                collector: Collector::new(),
                threads: AtomicUsize::new(0),
                writers: Mutex::new(()),
            };
            let new = Box::into_raw(Box::new(new));
            // ORDERING: AcqRel. Release, pairs with the load above; Acquire on failure, likewise.
            match CURRENT.compare_exchange(ptr::null_mut(), new, AcqRel, Acquire) {
                Ok(_) => process = new,
                Err(other) => {
                    // SAFETY: made above, and nobody else has seen it.
                    drop(unsafe { Box::from_raw(new) });
                    process = other;
                }
            }
        }
        // SAFETY: from a box that is never freed.
        unsafe { &*process }
    }

    /// Runs in a child, before anything else does.
    #[cfg(all(unix, not(miri)))]
    extern "C" fn begin_anew() {
        // ORDERING: Relaxed; there is one thread.
        FORKS.fetch_add(1, Relaxed);
        // ORDERING: Release, as in `current`.
        CURRENT.store(ptr::null_mut(), crate::sync::Release);
    }

    #[cfg(all(unix, not(miri)))]
    fn notice_forks() {
        // POSIX.1-2017, pthread_atfork.
        unsafe extern "C" {
            fn pthread_atfork(
                prepare: Option<extern "C" fn()>,
                parent: Option<extern "C" fn()>,
                child: Option<extern "C" fn()>,
            ) -> core::ffi::c_int;
        }
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            // SAFETY: the handler may run in any child: it touches two atomics. It fails for lack of memory only; then a
            // child has what it would have without it.
            let _ = unsafe { pthread_atfork(None, None, Some(begin_anew)) };
        });
    }

    #[cfg(not(all(unix, not(miri))))]
    fn notice_forks() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| ());
    }

    /// Those who change configurations take turns.
    #[derive(Debug)]
    pub(crate) struct Writers;

    impl Writers {
        pub(crate) const fn new() -> Self {
            Self
        }

        /// Waits for its turn, which lasts as long as the value returned.
        #[expect(clippy::unused_self, reason = "there is one queue for all limiters, since they change rarely")]
        pub(crate) fn lock(&self) -> impl Deref<Target = ()> {
            lock(&current().writers)
        }
    }
}

/// A model does not fork.
#[cfg(connlimit_model)]
mod model {
    use crate::sync::{Mutex, lock};
    use core::ops::Deref;

    #[cfg(not(connlimit_ideal))]
    pub(crate) type Id = ();

    #[cfg(not(connlimit_ideal))]
    pub(crate) const fn id() -> Id {}

    #[derive(Debug)]
    pub(crate) struct Writers(Mutex<()>);

    impl Writers {
        pub(crate) fn new() -> Self {
            Self(Mutex::new(()))
        }

        pub(crate) fn lock(&self) -> impl Deref<Target = ()> {
            lock(&self.0)
        }
    }
}
