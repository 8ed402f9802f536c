//! Every atomic of the table comes from here, so that a model can put loom's or shuttle's in its place, and so that a
//! test can end a process just after any of its accesses.
//!
//! The table needs the order of a write and a later read of *other* memory in two places (see
//! [`table`](crate::table)). The product has it from sequentially consistent operations. Loom knows sequentially
//! consistent fences only, so there [`write_before_read`] stands between the two.

pub(crate) use core::sync::atomic::Ordering::{self, AcqRel, Acquire, Relaxed, Release, SeqCst};

#[cfg(not(any(test, connlimit_shared_loom, connlimit_shared_shuttle)))]
pub(crate) use core::sync::atomic::{AtomicU64, fence};

#[cfg(any(test, connlimit_shared_loom, connlimit_shared_shuttle))]
pub(crate) use stepped::{AtomicU64, crash, fence};

/// A sequentially consistent write before it comes before a sequentially consistent read after it, for all threads and
/// processes. In the product the operations themselves say so, and this is nothing.
#[inline(always)]
pub(crate) fn write_before_read() {
    // ORDERING: SeqCst, in a model. Without it: the faults that the models of the two pairs show.
    #[cfg(connlimit_shared_loom)]
    {
        fence(SeqCst);
    }
}

/// Atomics that count the accesses of a thread.
#[cfg(any(test, connlimit_shared_loom, connlimit_shared_shuttle))]
mod stepped {
    use super::Ordering;

    #[cfg(not(any(connlimit_shared_loom, connlimit_shared_shuttle)))]
    pub(crate) use core::sync::atomic::fence;
    #[cfg(connlimit_shared_loom)]
    pub(crate) use loom::sync::atomic::fence;
    #[cfg(connlimit_shared_loom)]
    use loom::{sync::atomic::AtomicU64 as Inner, thread_local};
    #[cfg(connlimit_shared_shuttle)]
    pub(crate) use shuttle::sync::atomic::fence;
    #[cfg(connlimit_shared_shuttle)]
    use shuttle::{sync::atomic::AtomicU64 as Inner, thread_local};
    #[cfg(not(any(connlimit_shared_loom, connlimit_shared_shuttle)))]
    use {core::sync::atomic::AtomicU64 as Inner, std::thread_local};

    #[derive(Debug, Default)]
    #[cfg_attr(not(connlimit_shared_loom), repr(transparent))]
    pub(crate) struct AtomicU64(Inner, #[cfg(connlimit_shared_loom)] Accesses);

    /// Loom remembers the last access to an atomic only, so a thread's own read hides another thread's read from the write
    /// that follows, and loom does not try the two the other way round (`last_dependent_access`, loom 0.7.3). A store that
    /// nobody reads, before each access, makes all accesses to one atomic depend on each other, and orders nothing.
    #[cfg(connlimit_shared_loom)]
    #[derive(Debug, Default)]
    struct Accesses(Inner);

    impl AtomicU64 {
        #[cfg_attr(
            any(connlimit_shared_loom, connlimit_shared_shuttle),
            expect(dead_code, reason = "tables are zeroes")
        )]
        pub(crate) fn new(value: u64) -> Self {
            Self(
                Inner::new(value),
                #[cfg(connlimit_shared_loom)]
                Accesses::default(),
            )
        }
    }

    macro_rules! accesses {
        ($($name:ident($($arg:ident: $type:ty),*) -> $result:ty;)*) => {
            impl AtomicU64 {
                $(
                    #[inline]
                    pub(crate) fn $name(&self, $($arg: $type),*) -> $result {
                        crash::step();
                        #[cfg(connlimit_shared_loom)]
                        self.1.0.store(0, Ordering::Relaxed);
                        self.0.$name($($arg),*)
                    }
                )*
            }
        };
    }

    accesses! {
        load(order: Ordering) -> u64;
        store(value: u64, order: Ordering) -> ();
        fetch_add(value: u64, order: Ordering) -> u64;
        fetch_sub(value: u64, order: Ordering) -> u64;
        fetch_and(value: u64, order: Ordering) -> u64;
        fetch_xor(value: u64, order: Ordering) -> u64;
        compare_exchange(old: u64, new: u64, won: Ordering, lost: Ordering) -> Result<u64, u64>;
    }

    /// The death of a process, for one thread: nothing of it runs from some access on.
    #[cfg_attr(not(test), expect(dead_code, reason = "only tests end processes"))]
    #[allow(clippy::missing_const_for_thread_local, reason = "the models' macros know no constants")]
    pub(crate) mod crash {
        use core::cell::Cell;
        use core::panic::AssertUnwindSafe;
        use std::panic::{catch_unwind, resume_unwind};

        super::thread_local! {
            static LEFT: Cell<Option<u64>> = Cell::new(None);
        }

        struct Dead;

        pub(super) fn step() {
            LEFT.with(|left| match left.get() {
                None => {}
                Some(0) => {
                    left.set(None);
                    resume_unwind(Box::new(Dead));
                }
                Some(more) => left.set(Some(more - 1)),
            });
        }

        /// Runs `act` up to and with its access number `accesses`. `None` if it died of that.
        pub(crate) fn after<T>(accesses: u64, act: impl FnOnce() -> T) -> Option<T> {
            LEFT.with(|left| left.set(Some(accesses)));
            let done = catch_unwind(AssertUnwindSafe(act));
            LEFT.with(|left| left.set(None));
            match done {
                Ok(value) => Some(value),
                Err(cause) if cause.is::<Dead>() => None,
                Err(fault) => resume_unwind(fault),
            }
        }
    }
}
