//! Exact limits on how many connections each client IP may have open at once, for tonic: admitted connections of
//! [`connlimit`] as the stream that `serve_with_incoming` takes.
//!
//! One permit is one connection, however many calls and streams it carries.
//!
//! # Examples
//!
//! A gRPC server, protected in three lines:
//!
//! ```
//! use connlimit::{Config, Limiter};
//! use connlimit_tokio::LimitedListener;
//! use connlimit_tonic::Incoming;
//! use tokio::net::TcpListener;
//! use tonic::transport::Server;
//!
//! # async fn serve(socket: TcpListener) -> Result<(), tonic::transport::Error> {
//! let limiter = Limiter::new(Config::new(16));
//! let incoming = Incoming::new(LimitedListener::new(socket, limiter));
//!
//! let (_reporter, health) = tonic_health::server::health_reporter();
//! Server::builder()
//!     .add_service(health)
//!     .serve_with_incoming(incoming)
//!     .await
//! # }
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

pub use connlimit;
pub use connlimit_http;
pub use connlimit_tokio;
pub use futures_core;
pub use http;
pub use tonic;

use connlimit::{Acquire, Limiter, Permit};
use connlimit_http::ConnectionInfoLayer;
use connlimit_tokio::{LimitedListener, LimitedStream, Listen};
use core::{
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};
use futures_core::Stream;
use http::Extensions;
use std::io::{self, IoSlice};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::{Connected, TcpConnectInfo};

/// A stream of admitted connections. It does not end.
///
/// It yields an error only where [`LimitedListener::accept`] does.
#[derive(Debug)]
pub struct Incoming<L: Listen, A: Acquire = Limiter>(LimitedListener<L, A>);

impl<L: Listen<Addr = SocketAddr>, A: Acquire> Incoming<L, A> {
    /// Admits what `listener` admits.
    pub const fn new(listener: LimitedListener<L, A>) -> Self {
        Self(listener)
    }
}

impl<L: Listen<Addr = SocketAddr>, A: Acquire> Stream for Incoming<L, A> {
    type Item = io::Result<Connection<L::Stream, A::Permit>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let accepted = self.get_mut().0.poll_accept(cx);
        accepted.map_ok(|(stream, peer)| Connection { stream, peer }).map(Some)
    }
}

// Polling goes through `&mut LimitedListener`; nothing in it is pinned in place.
impl<L: Listen, A: Acquire> Unpin for Incoming<L, A> {}

/// An admitted connection that knows its peer: `Request::remote_addr` is the address it was counted for, behind a
/// trusted proxy too.
#[derive(Debug)]
pub struct Connection<S, P = Permit> {
    stream: LimitedStream<S, P>,
    peer: SocketAddr,
}

impl<S, P> Connection<S, P> {
    /// The limited stream.
    pub const fn get_ref(&self) -> &LimitedStream<S, P> {
        &self.stream
    }
}

impl<S: Connected<ConnectInfo = TcpConnectInfo>, P> Connected for Connection<S, P> {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        TcpConnectInfo { remote_addr: Some(self.peer), ..self.stream.get_ref().connect_info() }
    }
}

impl<S: AsyncRead + Unpin, P: Unpin> AsyncRead for Connection<S, P> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin, P: Unpin> AsyncWrite for Connection<S, P> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// The peer that tonic attached to a request.
#[must_use]
pub fn attached_peer(extensions: &Extensions) -> Option<SocketAddr> {
    extensions.get().and_then(TcpConnectInfo::remote_addr)
}

/// A layer that adds a [`ConnectionInfo`](connlimit_http::ConnectionInfo) to each request: who the client is, how many
/// connections it has open with `limiter`, and whether those are many.
///
/// # Examples
///
/// ```
/// use connlimit::{Config, Limiter};
/// use connlimit_tonic::connection_info;
/// use tonic::transport::Server;
///
/// let limiter = Limiter::new(Config::new(16));
/// let server = Server::builder().layer(connection_info(limiter.clone()));
/// # let _ = server;
/// ```
#[must_use]
pub fn connection_info(limiter: Limiter) -> ConnectionInfoLayer {
    ConnectionInfoLayer::new(limiter).peer_from(attached_peer)
}

/// The code of this crate's README is compiled with the other examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
