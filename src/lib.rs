//! Exact limits on how many connections each client IP may have open at once, without locks.
//!
//! A [`Limiter`] counts connections per [`Client`]. [`Limiter::try_acquire`] answers with a [`Permit`], which is the
//! count: keep it as long as the connection, and drop it with it. Or with a [`Rejected`], which costs the other
//! clients nothing.
//!
//! ```
//! use connlimit::{Config, Limiter};
//! use std::net::IpAddr;
//!
//! let limiter = Limiter::new(Config::new(2));
//! let client: IpAddr = "192.0.2.1".parse()?;
//!
//! let first = limiter.try_acquire(client)?;
//! let second = limiter.try_acquire(client)?;
//! assert!(limiter.try_acquire(client).is_err());
//!
//! drop(first);
//! assert!(limiter.try_acquire(client).is_ok());
//! # drop(second);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`net`] has a ready accept loop for blocking sockets; crates of their own, such as `connlimit-tokio` and
//! `connlimit-axum`, have the others. [`datagram`] is for protocols over UDP, where a first packet does not prove who sent
//! it. [`Config`] is all that an operator may set. What is guaranteed between threads stands at [`Limiter`], and why it
//! holds in [`design`].
//!
//! # For readers of the source
//!
//! The modules follow the data: an address becomes a `client`; `counts` knows its key in each table, `hash` its place
//! there. `table` finds or makes its counter (`bin`, `header` and `slots` are the place, `counter` the word, `clock` the
//! time after which a place may be used again; `segment`, `level` and `level_list` let the table grow and shrink). `limiter`
//! decides by the `config`, or `policy` does when that is more than one limit; `permit` gives the count back. `clients`
//! and `stats` tell what is there, by way of `table::walk`; `decisions` counts what was decided, and `audit` knows where
//! permits were taken. Atomics come from `sync` and epochs from `epoch`, and from nowhere else.

#![cfg_attr(docsrs, feature(doc_cfg))]

// In the order in which an address passes through them.
pub mod client;
pub mod config;
mod hash;
mod counts;
mod table;
mod limiter;
mod permit;
mod process;
mod rejected;
mod acquire;
mod limited_stream;
pub mod net;
pub mod datagram;
mod clients;
pub mod stats;
mod decisions;
#[cfg(feature = "audit")]
#[cfg_attr(docsrs, doc(cfg(feature = "audit")))]
pub mod audit;
mod epoch;
mod sync;
pub mod design;
#[cfg(all(test, connlimit_shuttle))]
mod scenarios;

pub use acquire::Acquire;
#[doc(inline)]
pub use client::Client;
#[doc(inline)]
pub use config::Config;
pub use limited_stream::LimitedStream;
pub use limiter::{Admission, Batch, Limiter};
pub use permit::Permit;
pub use rejected::Rejected;
