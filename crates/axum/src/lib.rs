//! Exact limits on how many connections each client IP may have open at once, for axum: [`connlimit`] under
//! [`axum::serve()`].
//!
//! The permit lives in the connection, so it covers all its requests, streaming bodies, and the WebSocket it may be
//! upgraded to. [`Incoming`] is the [`Listener`]; errors of `accept` that would end other loops are
//! [told](LimitedListener::on_error) and followed by a pause, because `axum::serve` has nobody to report them to.
//!
//! # Examples
//!
//! An axum server, protected in three lines, whose handlers know their peer as in any axum server:
//!
//! ```
//! use axum::{Router, extract::ConnectInfo, routing::get};
//! use connlimit::{Config, Limiter};
//! use connlimit_tokio::LimitedListener;
//! use std::net::SocketAddr;
//! use tokio::net::TcpListener;
//!
//! # async fn serve(socket: TcpListener) -> std::io::Result<()> {
//! let listener = LimitedListener::new(socket, Limiter::new(Config::new(16)));
//! let app = Router::new().route(
//!     "/",
//!     get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { format!("hello {peer}") }),
//! );
//! connlimit_axum::serve(listener, app).await
//! # }
//! ```
//!
//! [`serve()`] always attaches the peer. With axum's own function it is
//! `axum::serve(Incoming::new(listener), app.into_make_service_with_connect_info::<SocketAddr>())`, and leaving out the
//! latter is a mistake that axum can only report when a request comes.
//!
//! TLS is in the example `axum_tls` of the repository.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod peer;

pub use axum;
pub use connlimit;
pub use connlimit_http;
pub use connlimit_tokio;
pub use peer::{attached_peer, connection_info, limit_requests};

use axum::{
    Router,
    extract::{ConnectInfo, connect_info::IntoMakeServiceWithConnectInfo},
    middleware::AddExtension,
    serve::{Listener, ListenerExt, Serve, TapIo},
};
use connlimit::{Acquire, Limiter};
use connlimit_tokio::{Accepted, LimitedListener, LimitedStream, Listen};
use core::{future::poll_fn, net::SocketAddr};
use std::io;

/// Admitted connections as the listener that [`axum::serve()`] takes.
#[derive(Debug)]
pub struct Incoming<L: Listen, A: Acquire = Limiter>(LimitedListener<L, A>);

/// [`Incoming`] in the form in which axum attaches the address of the peer to a request; see [`Incoming::new`].
pub type WithPeer<L, A = Limiter> =
    TapIo<Incoming<L, A>, fn(&mut LimitedStream<<L as Listen>::Stream, <A as Acquire>::Permit>)>;

impl<L: Listen, A: Acquire + Send + 'static> Incoming<L, A> {
    /// Admits what `listener` admits.
    ///
    /// axum attaches a `ConnectInfo<SocketAddr>` to the requests of two kinds of listener: its own, and any whose
    /// connections are [tapped](ListenerExt::tap_io). So this is one whose tap does nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use axum::{Router, serve::ListenerExt};
    /// use connlimit_axum::Incoming;
    /// use connlimit_tokio::LimitedListener;
    /// use std::net::SocketAddr;
    /// use tokio::net::TcpListener;
    ///
    /// async fn serve(listener: LimitedListener<TcpListener>, app: Router) -> std::io::Result<()> {
    ///     let incoming = Incoming::new(listener).tap_io(|stream| _ = stream.get_ref().set_nodelay(true));
    ///     axum::serve(incoming, app.into_make_service_with_connect_info::<SocketAddr>()).await
    /// }
    /// ```
    #[must_use]
    pub fn new(listener: LimitedListener<L, A>) -> WithPeer<L, A> {
        let leave_it: fn(&mut LimitedStream<L::Stream, A::Permit>) = |_stream| {};
        Self(listener).tap_io(leave_it)
    }
}

/// What [`serve()`] returns: a server that runs when it is awaited, and may be told [when to
/// end](Serve::with_graceful_shutdown).
pub type Server<L, A = Limiter> = Serve<
    WithPeer<L, A>,
    IntoMakeServiceWithConnectInfo<Router, SocketAddr>,
    AddExtension<Router, ConnectInfo<SocketAddr>>,
>;

/// [`axum::serve()`] over a limited listener. Handlers have the peer's address as `ConnectInfo<SocketAddr>`: the address
/// a connection was counted for; behind a trusted proxy, the one that the proxy named.
///
/// # Examples
///
/// With an end:
///
/// ```
/// use axum::Router;
/// use connlimit_tokio::LimitedListener;
/// use tokio::net::TcpListener;
///
/// async fn serve(listener: LimitedListener<TcpListener>, app: Router) -> std::io::Result<()> {
///     let ctrl_c = async { drop(tokio::signal::ctrl_c().await) };
///     connlimit_axum::serve(listener, app).with_graceful_shutdown(ctrl_c).await
/// }
/// ```
pub fn serve<L, A>(listener: LimitedListener<L, A>, app: Router) -> Server<L, A>
where
    L: Listen<Addr = SocketAddr>,
    A: Acquire + Send + 'static,
{
    axum::serve(Incoming::new(listener), app.into_make_service_with_connect_info::<SocketAddr>())
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
