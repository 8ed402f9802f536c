//! Exact limits on how many connections each client IP may have open at once, for Tokio: the listeners and streams of
//! [`connlimit`].
//!
//! The permit is claimed when a connection is accepted, before a task is spawned and before TLS is spoken, and it
//! lives in the stream: whatever ends the connection releases it. A dropped future, an aborted task, a panic and the
//! end of the runtime all drop the stream, so none of them leaks a slot.
//!
//! A connection over the limit is [rejected](Reject) and the listener goes on accepting.
//!
//! # Examples
//!
//! An echo server, protected in three lines:
//!
//! ```
//! use connlimit::{Config, Limiter};
//! use connlimit_tokio::LimitedListener;
//! use tokio::net::TcpListener;
//!
//! # async fn serve(socket: TcpListener) -> std::io::Result<()> {
//! let limiter = Limiter::new(Config::new(16));
//! let mut listener = LimitedListener::new(socket, limiter);
//! loop {
//!     let (stream, _peer) = listener.accept().await?;
//!     tokio::spawn(async move {
//!         let (mut reader, mut writer) = tokio::io::split(stream);
//!         tokio::io::copy(&mut reader, &mut writer).await
//!     });
//! }
//! # }
//! ```
//!
//! TLS goes around the stream, so the limit comes before the handshake: `acceptor.accept(stream).await` inside the
//! task, and the permit is released with the TLS stream. [`Handshakes`] gives handshakes and logins a limit and a
//! deadline of their own.
//!
//! Behind a TCP proxy, the feature `proxy-protocol` adds the module `proxy`; the feature `hyper` adds a server loop.
//! Features only add.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod backoff;
mod handshakes;
#[cfg(feature = "hyper")]
pub mod hyper;
mod limited_stream;
mod listen;
mod listener;
#[cfg(feature = "proxy-protocol")]
pub mod proxy;
mod reject;
mod split;
mod survivor;

pub use connlimit;
pub use handshakes::{Established, HandshakeError, Handshakes};
pub use limited_stream::LimitedStream;
pub use listen::{Listen, Transport};
pub use listener::{Accepted, LimitedListener};
pub use reject::{AnswerBudget, Handler, Reject, RejectCounts, Rejecter, Rejection};
pub use split::LimitedHalf;
pub use tokio;

/// The code of this crate's README is compiled with the other examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
