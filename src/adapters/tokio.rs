//! LimitedStream listeners and streams for Tokio.
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
//! use connlimit::{Config, Limiter, tokio::LimitedListener};
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
//! task, and the permit is released with the TLS stream.

mod backoff;
mod io;
mod listen;
mod listener;
mod split;

pub use super::reject::{AnswerBudget, Handler, Reject, RejectCounts, Rejecter, Rejection};
pub use listen::{Listen, Transport};
pub use listener::{Accepted, LimitedListener};
pub use split::LimitedHalf;
