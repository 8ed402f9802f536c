//! Exact limits on how many connections each client IP may have open at once, for axum: [`connlimit`] under
//! [`axum::serve()`].
//!
//! The permit lives in the connection, so it covers all its requests, streaming bodies, and the WebSocket it may be
//! upgraded to. [`Incoming`] is the [`Listener`]; errors of `accept` that would end other loops are
//! [told](LimitedListener::on_error) and followed by a pause, because `axum::serve` has nobody to report them to.
//!
//! # Examples
//!
//! An axum server, protected in three lines, whose handlers know their peer:
//!
//! ```
//! use axum::{Router, extract::ConnectInfo, routing::get};
//! use connlimit::{Config, Limiter};
//! use connlimit_axum::{Incoming, PeerAddr};
//! use connlimit_tokio::LimitedListener;
//! use tokio::net::TcpListener;
//!
//! # async fn serve(socket: TcpListener) -> std::io::Result<()> {
//! let limiter = Limiter::new(Config::new(16));
//! let incoming = Incoming::new(LimitedListener::new(socket, limiter));
//! let app = Router::new().route(
//!     "/",
//!     get(|ConnectInfo(PeerAddr(peer)): ConnectInfo<PeerAddr>| async move { format!("hello {peer}") }),
//! );
//! axum::serve(incoming, app.into_make_service_with_connect_info::<PeerAddr>()).await
//! # }
//! ```
//!
//! `ConnectInfo<SocketAddr>` is axum's own and is to be had with
//! [`incoming.tap_io(|_| {})`](axum::serve::ListenerExt::tap_io), which is also the place for `set_nodelay`.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod peer;

pub use axum;
pub use connlimit;
pub use connlimit_http;
pub use connlimit_tokio;
pub use peer::{PeerAddr, attached_peer, connection_info, limit_requests};

use axum::serve::Listener;
use connlimit::{Acquire, Limiter};
use connlimit_tokio::{Accepted, LimitedListener, LimitedStream, Listen};
use core::future::poll_fn;
use std::io;

/// Admitted connections as the listener that [`axum::serve()`] takes.
#[derive(Debug)]
pub struct Incoming<L: Listen, A: Acquire = Limiter>(LimitedListener<L, A>);

impl<L: Listen, A: Acquire> Incoming<L, A> {
    /// Admits what `listener` admits.
    #[must_use]
    pub const fn new(listener: LimitedListener<L, A>) -> Self {
        Self(listener)
    }

    /// The limited listener.
    pub const fn get_ref(&self) -> &LimitedListener<L, A> {
        &self.0
    }
}

impl<L: Listen, A: Acquire + Send + 'static> Listener for Incoming<L, A> {
    type Io = LimitedStream<L::Stream, A::Permit>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> Accepted<L, A> {
        poll_fn(|cx| self.0.poll_accept_always(cx)).await
    }

    fn local_addr(&self) -> io::Result<L::Addr> {
        self.0.get_ref().local_addr()
    }
}

/// The code of the repository's README is compiled and run here, where all that it names can be had, and that of this
/// crate's.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
