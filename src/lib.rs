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
//! What is guaranteed between threads stands at [`Limiter`], and why it holds in [`design`]. Count IPv6 clients by
//! network: [`with_ipv6_prefix(64)`](Config::with_ipv6_prefix).
//!
//! # With your server
//!
//! | server | crate | |
//! |---|---|---|
//! | blocking sockets of std | this one | [`net::LimitedListener`] |
//! | Tokio | [`connlimit-tokio`](https://docs.rs/connlimit-tokio) | listeners, TLS, answers to the rejected; [an example](https://docs.rs/connlimit-tokio/latest/connlimit_tokio/) |
//! | axum, over TLS too | [`connlimit-axum`](https://docs.rs/connlimit-axum) | `axum::serve` over a limited listener, with a 429 |
//! | hyper | `connlimit-tokio`, feature `hyper` | HTTP/1, HTTP/2, upgrades, a graceful end |
//! | tonic | [`connlimit-tonic`](https://docs.rs/connlimit-tonic) | `serve_with_incoming` |
//! | QUIC | [`connlimit-quinn`](https://docs.rs/connlimit-quinn) | or [`datagram`] for any other stack over UDP |
//! | behind a TCP proxy | `connlimit-tokio`, feature `proxy-protocol` | the client is the one that the proxy names |
//! | behind an HTTP proxy | [`connlimit-http`](https://docs.rs/connlimit-http) | requests in flight, for the client in `X-Forwarded-For` |
//! | any other | this one | [`try_acquire`](Limiter::try_acquire) after accepting, before a handshake or a task; a [`LimitedStream`] ties the permit to the stream |
//!
//! # How to …
//!
//! **Change one limit** of a running server, and leave the others as they are:
//!
//! ```
//! # use connlimit::{Config, Limiter};
//! # let limiter = Limiter::new(Config::new(16).with_max_total(10_000));
//! limiter.update_config(|config| config.with_max_per_client(32))?;
//! # assert_eq!(limiter.config().max_total(), Some(10_000.into()));
//! # Ok::<(), connlimit::config::ConfigError>(())
//! ```
//!
//! **Log rejections**, at a rate that a flood cannot drive up:
//!
//! ```
//! use connlimit::{Config, Limiter, net::LimitedListener};
//! use std::{net::TcpListener, time::{Duration, Instant}};
//!
//! let limiter = Limiter::new(Config::new(16));
//! let (mut rejected, mut told) = (0, None::<Instant>);
//! let listener = LimitedListener::new(TcpListener::bind("127.0.0.1:0")?, limiter)
//!     .on_rejected(move |_stream, peer, reason| {
//!         rejected += 1;
//!         if told.is_none_or(|told| told.elapsed() > Duration::from_secs(10)) {
//!             eprintln!("{rejected} rejected so far, the last one {peer}: {reason}");
//!             told = Some(Instant::now());
//!         }
//!     });
//! # drop(listener);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! The listeners of `connlimit-tokio`, and so all that stand on them, have `on_rejected` as well. `RejectLog` of
//! [`connlimit-metrics`](https://docs.rs/connlimit-metrics) does it for `tracing`, and there are collectors for `metrics` and `prometheus-client`. Without hooks, [`Config::with_counting`] counts rejections by reason for
//! [`Limiter::stats`].
//!
//! **Limit networks and everybody together**: [`Config::with_tier`], [`Config::with_max_total`]. **Try a limit out**:
//! [`Config::with_shadow`], [`Config::with_dry_run`]. **See who is there**: [`Limiter::top`].
//!
//! **Accept many connections in a row**: [`Limiter::batch`] makes a [`Batch`], a handle that enters the table once for
//! up to 64 admissions instead of once for each. Drop it before waiting for the next event.
//!
//! # What it costs
//!
//! An admission and a release take some 30 ns ([`docs::performance`] has all numbers, and the rows where others are faster),
//! a client 34 to 40 bytes, a permit one word. The tables stay within [`Config::with_table_memory`], 256 MiB unless set
//! otherwise, which is room for 2.8 million IPv4 clients at once; the tables of an empty limiter take 20 KiB.
//!
//! Counts are per process. [`docs::operating`] says which limit to choose and how to find it, and what to do with several
//! processes or machines; [`docs::from_go`] is for those who come from go-connlimit, [`docs::walkthrough`] for readers of
//! the source.
//!
//! # Features
//!
//! All are off unless asked for, and only add.
//!
//! | feature | adds |
//! |---|---|
//! | `audit` | `Config::with_audit`: where and when each permit that is out was taken. For finding leaks, not for production: it locks |
//! | `rules` | limits by network, `Config::with_rule`: a number, unlimited or deny; the longest prefix counts |
//! | `serde` | `Serialize` and `Deserialize` for [`Config`]; what was read has been validated |
//!
//! Without features this crate depends on `arc-swap`, `crossbeam-epoch` and `crossbeam-utils` alone.

#![cfg_attr(docsrs, feature(doc_cfg))]

// In the order in which an address passes through them.
pub mod client;
pub mod config;
mod hash;
mod counts;
mod table;
mod limiter;
mod permit;
#[cfg(feature = "audit")]
mod registry;
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
pub mod docs;
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
