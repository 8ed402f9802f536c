//! Two halves of one connection, which may end at different times and are one permit together.

use crate::LimitedStream;
use connlimit::Permit;
use core::{
    pin::Pin,
    task::{Context, Poll},
};
use std::io::{self, IoSlice};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, tcp};

/// One direction of a limited stream. The connection is counted until both halves are gone.
///
/// Made by [`LimitedStream::into_split`]. Only sockets have it; any other stream is split with `tokio::io::split`.
///
/// # Examples
///
/// ```
/// use connlimit_tokio::{LimitedHalf, LimitedStream};
/// use tokio::net::{TcpStream, tcp::OwnedReadHalf};
///
/// fn reader(stream: LimitedStream<TcpStream>) -> LimitedHalf<OwnedReadHalf> {
///     let (reader, writer) = stream.into_split();
///     drop(writer); // sends FIN; the client is still counted
///     reader
/// }
/// ```
#[derive(Debug)]
pub struct LimitedHalf<H, P = Permit> {
    // Dropped in this order: when the last half lets go of the permit, both have let go of the socket.
    half: H,
    permit: Arc<P>,
}

impl<H, P> LimitedHalf<H, P> {
    fn pair<R>(reader: R, writer: H, permit: P) -> (LimitedHalf<R, P>, Self) {
        let permit = Arc::new(permit);
        let reader = LimitedHalf { half: reader, permit: Arc::clone(&permit) };
        let writer = Self { half: writer, permit };
        (reader, writer)
    }

    /// The half in it.
    pub const fn get_ref(&self) -> &H {
        &self.half
    }

    /// The half in it, mutably.
    pub const fn get_mut(&mut self) -> &mut H {
        &mut self.half
    }

    /// The permit that both halves share, which stays where it is.
    pub fn permit(&self) -> &P {
        &self.permit
    }
}

impl<P> LimitedStream<TcpStream, P> {
    /// Splits into halves that can be moved to different tasks.
    ///
    /// As in Tokio, dropping the writing half shuts down that direction. The permit is released, and the socket
    /// closed, when both halves are dropped.
    #[must_use]
    pub fn into_split(self) -> (LimitedHalf<tcp::OwnedReadHalf, P>, LimitedHalf<tcp::OwnedWriteHalf, P>) {
        let (stream, permit) = self.into_parts();
        let (reader, writer) = stream.into_split();
        LimitedHalf::pair(reader, writer, permit)
    }
}

#[cfg(unix)]
mod unix {
    use super::{LimitedHalf, LimitedStream};
    use tokio::net::{UnixStream, unix};

    impl<P> LimitedStream<UnixStream, P> {
        /// Splits into halves that can be moved to different tasks.
        ///
        /// As in Tokio, dropping the writing half shuts down that direction. The permit is released, and the socket
        /// closed, when both halves are dropped.
        #[must_use]
        pub fn into_split(self) -> (LimitedHalf<unix::OwnedReadHalf, P>, LimitedHalf<unix::OwnedWriteHalf, P>) {
            let (stream, permit) = self.into_parts();
            let (reader, writer) = stream.into_split();
            LimitedHalf::pair(reader, writer, permit)
        }
    }
}

impl<H: AsyncRead + Unpin, P> AsyncRead for LimitedHalf<H, P> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().half).poll_read(cx, buf)
    }
}

impl<H: AsyncWrite + Unpin, P> AsyncWrite for LimitedHalf<H, P> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().half).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().half).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.half.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().half).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().half).poll_shutdown(cx)
    }
}
