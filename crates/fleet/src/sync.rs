//! Atomics, real or loom's.

#[cfg(not(connlimit_loom))]
pub(crate) use core::sync::atomic::{AtomicU32, Ordering, fence};
#[cfg(connlimit_loom)]
pub(crate) use loom::sync::atomic::{AtomicU32, Ordering, fence};
