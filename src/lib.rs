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
//! [`net`] has a ready accept loop for blocking sockets; the features of the crate add the others. [`Config`] is all
//! that an operator may set. What is guaranteed between threads stands at [`Limiter`], and why it holds in [`design`].
//!
//! # For readers of the source
//!
//! The modules follow the data: an address becomes a `client`; `counts` knows its key in each table, `hash` its place
//! there. `table` finds or makes its counter (`bin`, `header` and `slots` are the place, `counter` the word, `clock` the
//! time after which a place may be used again; `segment`, `level` and `level_list` let the table grow and shrink). `limiter`
//! decides by the `config`, or `policy` does when that is more than one limit; `permit` gives the count back. `clients`
//! and `stats` tell what is there, by way of `table::walk`; `tally` counts what was decided, and `audit` knows where
//! permits were taken. Atomics come from `sync` and epochs from `epoch`, and from nowhere else.

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
mod clients;
pub mod stats;
mod tally;
#[cfg(feature = "audit")]
#[cfg_attr(docsrs, doc(cfg(feature = "audit")))]
pub mod audit;
mod epoch;
mod sync;
mod adapters;
pub mod design;
#[cfg(all(test, connlimit_shuttle))]
mod scenarios;

#[cfg(any(feature = "axum", feature = "tower"))]
pub use adapters::PeerAddr;
#[cfg(feature = "axum")]
pub use adapters::axum;
#[cfg(feature = "forwarded")]
pub use adapters::forwarded;
#[cfg(feature = "hyper")]
pub use adapters::hyper;
#[cfg(feature = "metrics")]
pub use adapters::metrics;
#[cfg(feature = "prometheus-client")]
pub use adapters::prometheus;
#[cfg(feature = "proxy-protocol")]
pub use adapters::proxy;
#[cfg(feature = "tokio")]
pub use adapters::tokio;
#[cfg(feature = "tonic")]
pub use adapters::tonic;
#[cfg(feature = "tower")]
pub use adapters::tower;
#[cfg(feature = "tracing")]
pub use adapters::tracing;
pub use adapters::{LimitedStream, net};
#[doc(inline)]
pub use client::Client;
#[doc(inline)]
pub use config::Config;
pub use limiter::{Admission, Batch, Limiter};
pub use permit::Permit;
pub use rejected::Rejected;

/// The code of the README is compiled and run with the other examples, where all of it can be.
#[doc = include_str!("../README.md")]
#[cfg(all(doctest, feature = "axum", feature = "proxy-protocol"))]
struct ReadmeDoctests;
