//! The C ABI of `connlimit`, for servers in C and whatever can call C. Unix only.
//!
//! Each function returns a [`Status`]; no panic leaves one. The header is `include/connlimit.h`: what it says at its top
//! holds for all functions. This package's README says how to build and install.
//!
//! # For readers of the source
//!
//! `address` makes a client of what a server in C has; `acquire` puts what the limiter answers into a `permit`, in
//! the caller's memory; `batch` does so for several at once. `limiter` and `config` are objects behind opaque pointers
//! (`handle`); `usage`, `stats` and `clients` fill structures that may grow (`sized`). `status` is what a call returns.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(unix))]
compile_error!("the C ABI takes `struct sockaddr` as Unix defines it");

mod acquire;
mod address;
mod batch;
mod clients;
mod config;
mod handle;
mod limiter;
mod permit;
mod sized;
mod stats;
mod status;
mod usage;
mod version;

pub use acquire::*;
pub use batch::*;
pub use clients::*;
pub use config::*;
pub use limiter::*;
pub use permit::{ConnlimitPermit, connlimit_move, connlimit_release};
pub use stats::*;
pub use status::{Status, connlimit_status_text};
pub use usage::*;
pub use version::connlimit_version;
