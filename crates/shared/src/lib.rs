//! One exact limit of concurrent connections per client for all processes of a machine.
//!
//! Workers on one port, or the two generations of a server that restarts gracefully, count the same clients in memory
//! that they share. When a process ends, in whatever way and at whatever instruction, its connections stop being counted
//! and all counts are exact again: there is no journal, no lock that could be left behind, and no heartbeat.
//!
//! [`SharedLimiter`] is where to begin: it says what is guaranteed, and what is not.
//!
//! # How it works
//!
//! A client's count is stored nowhere. Its record has a *lane* for each process, and the count is the sum of the lanes. To
//! admit, a process raises its own lane and then sums; if that is more than the limit, it lowers the lane again. To
//! release, it lowers the lane. So every count has its owner's name on it at every instant, and what has to be done when a
//! process dies does not depend on where it died: its lanes are set to zero, and a record it was about to take is given
//! back.
//!
//! Who is alive, the kernel knows: each process holds a lock on a byte of its own beyond the region's data
//! (`F_OFD_SETLK`, see [fcntl(2)](https://man7.org/linux/man-pages/man2/fcntl.2.html)), which is dropped after the last
//! thread of the process is gone. There are no process numbers in this that could be used again, and a process that is
//! stopped or starved is not taken for dead.
//!
//! # Operating it
//!
//! **Where.** For workers of one program, [`create_unnamed`](SharedLimiter::create_unnamed) in the supervisor, and hand each
//! worker a [`descriptor`](SharedLimiter::descriptor): nobody else can reach the region, and nobody can cut it short. For
//! generations that follow each other, [`create_or_open`](SharedLimiter::create_or_open) on a path below `/run` (systemd:
//! `RuntimeDirectory=` with `RuntimeDirectoryPreserve=restart`), or keep the descriptor in the service manager
//! (`FDSTORE=1`) or send it over the upgrade socket. Containers share the file by a volume in memory; the 64 MB of
//! `/dev/shm` in many of them are soon full, and then making the region fails with an error (never later with a signal).
//!
//! **How large.** 64 bytes a record, four records for each expected client: 27 MB for 100,000 clients. It is allocated at
//! once and does not grow. [`stats`](SharedLimiter::stats) tells how many clients have connections: plan a larger region
//! when that is more than a quarter of the records. With more than 20 processes a record takes 128 bytes.
//!
//! **Fork.** Open the region *after* the fork, in each worker. What was opened before is not there in a child that goes on
//! without `exec` (`MADV_DONTFORK`): it cannot release its parent's permits, and an attempt ends it with `SIGSEGV`. Such a
//! child also holds its parent's lock, so a parent that dies is not found dead before the child ends. Programs that are
//! started with `exec` are no matter: all descriptors are closed on `exec`.
//!
//! **Supervisors.** Call [`reap`](SharedLimiter::reap) when a child has ended: counts are right at once. Without one, the
//! next rejections find out.
//!
//! **Permissions.** All processes of a region must trust each other: one that is hostile can falsify counts, lock clients
//! out or fill the table (it cannot break the memory safety of others). A new file is for its user alone (0600); `chmod`
//! it to 0660 for a group. A file that everybody may write to, that belongs to somebody else than this user and root, or
//! that is a symbolic link, is refused.
//!
//! **A file on a path can be cut short** by who may write to it, and a process that touches what is gone gets `SIGBUS`. Do
//! not truncate it; to be rid of it, remove the file. A region without a name cannot be cut short: its size is sealed.
//!
//! **Upgrades.** The layout has a number, and another version of this crate may have another one: opening fails with
//! [`OpenError::Layout`]. Make a new region under another name then; for that one restart the generations count apart. The
//! same holds when the prefix lengths change ([`OpenError::Mismatch`]).
//!
//! **All at once.** When all processes have died, the next one to open the region finds them dead, and starts from zero.
//! After a boot `/run` is empty.
//!
//! **Limits.** Up to 32,767 connections for a client, 52 processes at a time, and the region's size is fixed. A process
//! that is *stopped* in the few nanoseconds after it raised a lane, while the record went to another client, takes one
//! place from that client until it runs on or dies.
//!
//! | A process dies | Until it is swept after | Then |
//! |---|---|---|
//! | with connections open | they count | they do not |
//! | in an admission | its client may count one too many: rejected early, never late | exact |
//! | while it takes a record for a newcomer | one record fewer in that group of fifteen | the record is free |
//! | while it sweeps after others | the sweep is half done, and its lock is free | the next sweep does all of it |
//! | while it makes a region | there is no file of that name yet | the kernel has removed what there was |
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(all(target_os = "linux", target_pointer_width = "64", target_has_atomic = "64")))]
compile_error!(
    "connlimit-shared needs Linux on a 64-bit machine (open file description locks, memfd): make it a dependency under \
     `[target.'cfg(all(target_os = \"linux\", target_pointer_width = \"64\"))'.dependencies]`"
);
#[cfg(all(connlimit_shared_loom, connlimit_shared_shuttle))]
compile_error!("a model is of one kind: `--cfg connlimit_shared_loom` or `--cfg connlimit_shared_shuttle`");

mod hash;
mod key;
mod sync;
mod table;

// A model is about the table.
#[cfg(not(any(connlimit_shared_loom, connlimit_shared_shuttle)))]
mod product {
    pub use crate::config::{Limits, SharedConfig};
    pub use crate::error::OpenError;
    pub use crate::limiter::SharedLimiter;
    pub use crate::member::Reaped;
    pub use crate::permit::SharedPermit;
    pub use crate::stats::{ClientCount, ProcessStats, SharedStats};
}
#[cfg(not(any(connlimit_shared_loom, connlimit_shared_shuttle)))]
pub use product::*;
#[cfg(not(any(connlimit_shared_loom, connlimit_shared_shuttle)))]
use region::LAYOUT;

#[cfg(not(any(connlimit_shared_loom, connlimit_shared_shuttle)))]
mod config;
#[cfg(not(any(connlimit_shared_loom, connlimit_shared_shuttle)))]
mod error;
#[cfg(not(any(connlimit_shared_loom, connlimit_shared_shuttle)))]
mod limiter;
#[cfg(not(any(connlimit_shared_loom, connlimit_shared_shuttle)))]
mod locks;
#[cfg(not(any(connlimit_shared_loom, connlimit_shared_shuttle)))]
mod member;
#[cfg(not(any(connlimit_shared_loom, connlimit_shared_shuttle)))]
mod permit;
#[cfg(not(any(connlimit_shared_loom, connlimit_shared_shuttle)))]
mod region;
#[cfg(not(any(connlimit_shared_loom, connlimit_shared_shuttle)))]
mod stats;

/// The code of the README is compiled and run here.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
