//! A connection and the permit it was admitted with, as one value that reads and writes as the stream does.
//!
//! [`connlimit::LimitedStream`] is the tie and its order of dropping; this is a type of our own because Tokio's traits can
//! be implemented for nothing else.

use connlimit::Permit;
use core::{
    pin::Pin,
    task::{Context, Poll},
};
use std::io::{self, IoSlice};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

#[cfg(unix)]
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
#[cfg(windows)]
use std::os::windows::io::{AsRawSocket, AsSocket, BorrowedSocket, RawSocket};

/// An asynchronous stream that owns the permit it was admitted with.
///
/// It reads and writes as the stream does. Dropping it closes the stream first and releases the permit second; this
/// holds during a panic as well. Move it into the task that serves the connection and the count is right on every way
/// out.
///
/// One stream may hold the permits of several limiters: `LimitedStream<LimitedStream<TcpStream>>`. The stream is closed first
/// there too.
///
/// `P` is the permit of the limiter that admitted it: [`Permit`], unless that is [another one](connlimit::Acquire).
///
/// # What is not promised
///
/// There is no conversion into a raw descriptor, because it would release the permit of a socket that stays open: take
/// it apart with [`into_parts`](Self::into_parts) and decide.
///
/// # Examples
///
/// ```
/// use connlimit::{Config, Limiter};
/// use connlimit_tokio::LimitedStream;
/// use tokio::net::{TcpListener, TcpStream};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let limiter = Limiter::new(Config::new(1));
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let client = TcpStream::connect(listener.local_addr()?).await?;
///
/// let (stream, peer) = listener.accept().await?;
/// let stream = LimitedStream::new(stream, limiter.try_acquire(peer)?);
/// assert_eq!(limiter.open_connections(peer), 1);
///
/// drop(stream);
/// assert_eq!(limiter.open_connections(peer), 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct LimitedStream<S, P = Permit>(connlimit::LimitedStream<S, P>);

impl<S, P> LimitedStream<S, P> {
    /// Ties `permit` to `stream`.
    pub const fn new(stream: S, permit: P) -> Self {
        Self(connlimit::LimitedStream::new(stream, permit))
    }

    /// The stream.
    pub const fn get_ref(&self) -> &S {
        self.0.get_ref()
    }

    /// The stream, mutably.
    pub const fn get_mut(&mut self) -> &mut S {
        self.0.get_mut()
    }

    /// The permit, which stays where it is.
    pub const fn permit(&self) -> &P {
        self.0.permit()
    }

    /// Goes on to another phase: from now on the connection is counted by `permit`. The old permit is released last,
    /// so the connection is counted at every moment, and for a moment by both.
    ///
    /// [`Handshakes::accept`](crate::Handshakes::accept) hands out streams that wait for this.
    #[must_use = "the connection is in what is returned"]
    pub fn exchange<Q>(self, permit: Q) -> LimitedStream<S, Q> {
        LimitedStream(self.0.exchange(permit))
    }

    /// The same connection with another stream in it, such as its TLS session.
    #[must_use = "the connection is in what is returned"]
    pub fn map<T>(self, wrap: impl FnOnce(S) -> T) -> LimitedStream<T, P> {
        let (stream, permit) = self.into_parts();
        LimitedStream::new(wrap(stream), permit)
    }

    /// Takes the two apart. Nothing is closed and nothing is released: the connection is counted until the permit
    /// that is handed back is dropped.
    pub fn into_parts(self) -> (S, P) {
        self.0.into_parts()
    }
}

/// The permit goes along.
impl<S, P> From<connlimit::LimitedStream<S, P>> for LimitedStream<S, P> {
    fn from(stream: connlimit::LimitedStream<S, P>) -> Self {
        Self(stream)
    }
}

/// The permit goes along.
impl<S, P> From<LimitedStream<S, P>> for connlimit::LimitedStream<S, P> {
    fn from(stream: LimitedStream<S, P>) -> Self {
        stream.0
    }
}

impl<S: AsyncRead + Unpin, P: Unpin> AsyncRead for LimitedStream<S, P> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().get_mut()).poll_read(cx, buf)
    }
}

/// Shutting down is half of a close: the permit stays until the stream is dropped.
impl<S: AsyncWrite + Unpin, P: Unpin> AsyncWrite for LimitedStream<S, P> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(self.get_mut().get_mut()).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.get_mut().get_mut()).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.get_ref().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().get_mut()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().get_mut()).poll_shutdown(cx)
    }
}

#[cfg(unix)]
impl<S: AsFd, P> AsFd for LimitedStream<S, P> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(unix)]
impl<S: AsRawFd, P> AsRawFd for LimitedStream<S, P> {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(windows)]
impl<S: AsSocket, P> AsSocket for LimitedStream<S, P> {
    fn as_socket(&self) -> BorrowedSocket<'_> {
        self.0.as_socket()
    }
}

#[cfg(windows)]
impl<S: AsRawSocket, P> AsRawSocket for LimitedStream<S, P> {
    fn as_raw_socket(&self) -> RawSocket {
        self.0.as_raw_socket()
    }
}
