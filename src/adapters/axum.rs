//! A limited listener for [`axum::serve()`].
//!
//! The permit lives in the connection, so it covers all its requests, streaming bodies, and the WebSocket it may be
//! upgraded to. [`LimitedListener`] implements [`Listener`]; errors of `accept` that would end other loops are
//! [told](LimitedListener::on_error) and followed by a pause, because `axum::serve` has nobody to report them to.
//!
//! # Examples
//!
//! An axum server, protected in three lines, whose handlers know their peer:
//!
//! ```
//! use axum::{Router, extract::ConnectInfo, routing::get};
//! use connlimit::{Config, Limiter, PeerAddr, tokio::LimitedListener};
//! use tokio::net::TcpListener;
//!
//! # async fn serve(socket: TcpListener) -> std::io::Result<()> {
//! let limiter = Limiter::new(Config::new(16));
//! let listener = LimitedListener::new(socket, limiter);
//! let app = Router::new().route(
//!     "/",
//!     get(|ConnectInfo(PeerAddr(peer)): ConnectInfo<PeerAddr>| async move { format!("hello {peer}") }),
//! );
//! axum::serve(listener, app.into_make_service_with_connect_info::<PeerAddr>()).await
//! # }
//! ```
//!
//! `ConnectInfo<SocketAddr>` is axum's own and is to be had with
//! [`listener.tap_io(|_| {})`](axum::serve::ListenerExt::tap_io), which is also the place for `set_nodelay`.

use super::PeerAddr;
use super::tokio::{Accepted, LimitedListener, Listen};
use crate::LimitedStream;
use axum::{
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use core::{future::poll_fn, net::SocketAddr};
use std::io;

impl<L: Listen> Listener for LimitedListener<L> {
    type Io = LimitedStream<L::Stream>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> Accepted<L> {
        poll_fn(|cx| self.poll_accept_always(cx)).await
    }

    fn local_addr(&self) -> io::Result<L::Addr> {
        self.get_ref().local_addr()
    }
}

impl<L: Listen<Addr = SocketAddr>> Connected<IncomingStream<'_, LimitedListener<L>>> for PeerAddr {
    fn connect_info(stream: IncomingStream<'_, LimitedListener<L>>) -> Self {
        Self(*stream.remote_addr())
    }
}
