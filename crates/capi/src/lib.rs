//! The C ABI of `connlimit`, for servers in C and whatever can call C. Unix only.
//!
//! Each function returns a [`Status`]; no panic leaves one. The header is `include/connlimit.h`, the
//! ownership rules are in this package's README.
//!
//! # What is detected, and what is not
//!
//! A null pointer, a pointer to something else than what a function takes, an address that is too short, a permit
//! that is released twice or would be overwritten: each of them gets a status and changes nothing. "Something else"
//! is known by the first word, so at least that word must be readable.
//!
//! Three faults cannot be detected, and are undefined behaviour as they are with `free`: a limiter's handle used
//! after `connlimit_destroy` through another variable than the one that was set to null; the release of two copies
//! of one permit; memory that is not there.

#[cfg(not(unix))]
compile_error!("the C ABI takes `struct sockaddr` as Unix defines it");

mod limiter;
mod permit;
mod sockaddr;
mod status;

pub use limiter::{
    ConnlimitConfig, ConnlimitLimiter, connlimit_clone, connlimit_create, connlimit_destroy,
    connlimit_open_connections, connlimit_open_connections_named, connlimit_set_limit, connlimit_try_acquire,
    connlimit_try_acquire_named,
};
pub use permit::{ConnlimitPermit, connlimit_move, connlimit_release};
pub use status::{Status, connlimit_status_text};
