//! One exact limit of concurrent connections per client for all processes of a machine.
//!
//! Workers on one port, or the two generations of a server that restarts gracefully, count the same clients in memory
//! that they share. When a process ends, in whatever way and at whatever instruction, its connections stop being counted
//! and all counts are exact again: there is no journal, no lock that could be left behind, and no heartbeat.
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
