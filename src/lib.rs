//! Lock-free, exact limits on concurrent connections per client IP.

mod adapters;
mod client;
mod config;
mod counts;
mod epoch;
mod hash;
mod limiter;
mod permit;
mod policy;
mod rejected;
mod session;
mod sync;
mod table;
mod tally;

#[cfg(any(feature = "axum", feature = "tower"))]
pub use adapters::PeerAddr;
#[cfg(feature = "axum")]
pub use adapters::axum;
#[cfg(feature = "forwarded")]
pub use adapters::forwarded;
#[cfg(feature = "hyper")]
pub use adapters::hyper;
#[cfg(feature = "proxy-protocol")]
pub use adapters::proxy;
#[cfg(feature = "tokio")]
pub use adapters::tokio;
#[cfg(feature = "tonic")]
pub use adapters::tonic;
#[cfg(feature = "tower")]
pub use adapters::tower;
pub use adapters::{Limited, net};
pub use client::Client;
pub use client::embedded::{Embedded, EmbeddedPolicy};
pub use config::{Config, ConfigError, Family, Tier, UnknownPeer, WhenFull};
pub use limiter::Limiter;
pub use permit::Permit;
pub use policy::{Admission, Zone};
pub use rejected::Rejected;
pub use session::Session;

/// The code of the README is compiled and run with the other examples.
#[doc = include_str!("../README.md")]
#[cfg(doctest)]
struct ReadmeDoctests;
