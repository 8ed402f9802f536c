//! A connection and the permit it was admitted with, as one value.
//!
//! Fields are dropped in the order they are declared, so the stream is closed before its permit is released: a
//! client never has more sockets open than it has permits.

use crate::Permit;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};

#[cfg(unix)]
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
#[cfg(windows)]
use std::os::windows::io::{AsRawSocket, AsSocket, BorrowedSocket, RawSocket};

/// A stream that owns the permit it was admitted with.
///
/// It reads and writes as the stream does. Dropping it closes the stream first and releases the permit second; this
/// holds during a panic as well. Move it into the thread or task that serves the connection and the count is right
/// on every way out.
///
/// One stream may hold the permits of several limiters: `LimitedStream<LimitedStream<TcpStream>>`. The stream is closed first
/// there too.
///
/// `P` is the permit of the limiter that admitted it: [`Permit`], unless that is [another one](crate::Acquire).
///
/// # What is not promised
///
/// A socket that was duplicated (`TcpStream::try_clone`) stays open for as long as the duplicate lives, and the
/// permit does not know about it. There is no conversion into a raw descriptor, because it would release the permit
/// of a socket that stays open: take it apart with [`into_parts`](Self::into_parts) and decide.
///
/// # Examples
///
/// ```
/// use connlimit::{Config, LimitedStream, Limiter};
/// use std::net::{TcpListener, TcpStream};
///
/// let limiter = Limiter::new(Config::new(1));
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let client = TcpStream::connect(listener.local_addr()?)?;
///
/// let (stream, peer) = listener.accept()?;
/// let stream = LimitedStream::new(stream, limiter.try_acquire(peer)?);
/// assert_eq!(limiter.open_connections(peer), 1);
///
/// drop(stream);
/// assert_eq!(limiter.open_connections(peer), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct LimitedStream<S, P = Permit> {
    stream: S,
    permit: P,
}

impl<S, P> LimitedStream<S, P> {
    /// Ties `permit` to `stream`.
    pub const fn new(stream: S, permit: P) -> Self {
        Self { stream, permit }
    }

    /// The stream.
    pub const fn get_ref(&self) -> &S {
        &self.stream
    }

    /// The stream, mutably.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// The permit, which stays where it is.
    pub const fn permit(&self) -> &P {
        &self.permit
    }

    /// Goes on to another phase: from now on the connection is counted by `permit`, which another limiter may have
    /// given, or the same for another client. The old permit is released last, so the connection is counted at every
    /// moment, and for a moment by both.
    ///
    /// # Examples
    ///
    /// From the few that may be logging in to the many that may have a session:
    ///
    /// ```
    /// use connlimit::{Client, Config, LimitedStream, Limiter};
    /// use std::net::Ipv4Addr;
    ///
    /// let (logins, sessions) = (Limiter::new(Config::new(2)), Limiter::new(Config::new(100)));
    /// let (peer, user) = (Ipv4Addr::new(192, 0, 2, 1), Client::named("alice"));
    ///
    /// let stream = LimitedStream::new("a socket", logins.try_acquire(peer)?);
    /// // ... alice says who she is ...
    /// let stream = stream.exchange(sessions.try_acquire(user)?);
    /// assert_eq!((logins.open_connections(peer), sessions.open_connections(user)), (0, 1));
    /// # drop(stream);
    /// # Ok::<(), connlimit::Rejected>(())
    /// ```
    #[must_use = "the connection is in what is returned"]
    pub fn exchange<Q>(self, permit: Q) -> LimitedStream<S, Q> {
        let (stream, old) = self.into_parts();
        let next = LimitedStream::new(stream, permit);
        drop(old);
        next
    }

    /// Takes the two apart. Nothing is closed and nothing is released: the connection is counted until the permit
    /// that is handed back is dropped.
    ///
    /// This is the way to put another layer around the stream, such as TLS, and to tie the permit to that:
    /// `let (stream, permit) = limited.into_parts(); LimitedStream::new(wrap(stream), permit)`.
    pub fn into_parts(self) -> (S, P) {
        (self.stream, self.permit)
    }
}

impl<S: Read, P> Read for LimitedStream<S, P> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buf)
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.stream.read_vectored(bufs)
    }
}

impl<S: Write, P> Write for LimitedStream<S, P> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.stream.write(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.stream.write_vectored(bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// As for `&TcpStream`: one thread may read while another writes.
impl<'a, S, P> Read for &'a LimitedStream<S, P>
where
    &'a S: Read,
{
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&self.stream).read(buf)
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&self.stream).read_vectored(bufs)
    }
}

/// As for `&TcpStream`: one thread may write while another reads.
impl<'a, S, P> Write for &'a LimitedStream<S, P>
where
    &'a S: Write,
{
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&self.stream).write(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        (&self.stream).write_vectored(bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&self.stream).flush()
    }
}

#[cfg(unix)]
impl<S: AsFd, P> AsFd for LimitedStream<S, P> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(unix)]
impl<S: AsRawFd, P> AsRawFd for LimitedStream<S, P> {
    fn as_raw_fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }
}

#[cfg(windows)]
impl<S: AsSocket, P> AsSocket for LimitedStream<S, P> {
    fn as_socket(&self) -> BorrowedSocket<'_> {
        self.stream.as_socket()
    }
}

#[cfg(windows)]
impl<S: AsRawSocket, P> AsRawSocket for LimitedStream<S, P> {
    fn as_raw_socket(&self) -> RawSocket {
        self.stream.as_raw_socket()
    }
}
