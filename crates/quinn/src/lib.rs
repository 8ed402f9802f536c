//! Exact limits on how many QUIC connections each client IP may have open at once, for
//! [quinn](https://docs.rs/quinn), that nobody can turn against a client by writing its address into packets.
//!
//! A [`LimitedEndpoint`] stands before quinn's [`Endpoint`](quinn::Endpoint). It answers first packets by Retry until
//! their address is [validated](connlimit::datagram), counts after that and before any TLS, and hands out connections
//! that are counted until they are closed.
//!
//! ```
//! use connlimit::{Config, Limiter};
//! use connlimit_quinn::{LimitedConnection, LimitedEndpoint};
//!
//! async fn serve(endpoint: quinn::Endpoint) -> std::io::Result<()> {
//!     let endpoint = LimitedEndpoint::new(endpoint, Limiter::new(Config::new(16)))?
//!         .on_rejected(|rejection| eprintln!("{:?}: {}", rejection.client, rejection.reason));
//!     while let Some(connecting) = endpoint.accept().await {
//!         tokio::spawn(async move {
//!             if let Ok(connection) = connecting.await {
//!                 echo(connection).await;
//!             }
//!         });
//!     }
//!     Ok(())
//! }
//!
//! /// The connection is counted until this returns, and closed then.
//! async fn echo(connection: LimitedConnection) {
//!     while let Ok((mut send, mut recv)) = connection.accept_bi().await {
//!         if let Ok(request) = recv.read_to_end(1024).await {
//!             let _ = send.write_all(&request).await;
//!         }
//!     }
//! }
//! ```
//!
//! # What a connection costs
//!
//! The limit is on connections. A client may have as many streams at once as its connections times
//! `max_concurrent_bidi_streams` of the [`TransportConfig`](quinn::TransportConfig), 100 unless set: limit both. With
//! HTTP/3 each of those is a request.
//!
//! # The extra round trip
//!
//! A Retry costs a client one round trip on its first contact. Clients that keep the tokens which quinn sends to them
//! (its feature `bloom`, on by default) do not pay it again. A server that would rather not charge it while it is calm
//! sets aside some [places](LimitedEndpoint::with_unvalidated_handshakes).
#![cfg_attr(docsrs, feature(doc_cfg))]

mod connecting;
mod connection;
mod counts;
mod endpoint;

pub use connecting::{HandshakeError, LimitedConnecting};
pub use connection::LimitedConnection;
pub use counts::Counts;
pub use endpoint::{LimitedEndpoint, Reject, Rejection};

/// The crate whose types are in this one's interface, in the version that it takes.
pub use quinn;

/// The code of the README is compiled with the other examples.
#[doc = include_str!("../README.md")]
#[cfg(doctest)]
struct ReadmeDoctests;
