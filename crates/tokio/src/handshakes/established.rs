//! A connection that has come through its handshake and waits for its session.

use crate::Transport;
use connlimit::{Client, Permit};
use core::{
    pin::Pin,
    task::{Context, Poll},
};
use std::io::{self, IoSlice};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a handshake made of a connection, such as a TLS stream. It reads and writes as that does.
///
/// It has its place among the handshakes until it is admitted to a session. While a rejected one is told so, it still
/// has: answers inside TLS are bounded by that limit too. It has no reset: it is closed.
#[derive(Debug)]
pub struct Established<T> {
    // Dropped first: what is counted as a handshake is open.
    stream: T,
    handshake: Option<Permit>,
    client: Client,
}

impl<T> Established<T> {
    pub(super) const fn new(stream: T, client: Client, handshake: Permit) -> Self {
        Self { stream, handshake: Some(handshake), client }
    }

    pub(super) const fn client(&self) -> Client {
        self.client
    }

    pub(super) fn end_handshake(&mut self) {
        self.handshake = None;
    }

    /// What the handshake made.
    pub const fn get_ref(&self) -> &T {
        &self.stream
    }

    /// What the handshake made, mutably.
    pub const fn get_mut(&mut self) -> &mut T {
        &mut self.stream
    }

    /// What the handshake made. A place among the handshakes is given back.
    pub fn into_inner(self) -> T {
        self.stream
    }
}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Transport for Established<T> {}

impl<T: AsyncRead + Unpin> AsyncRead for Established<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Established<T> {
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
