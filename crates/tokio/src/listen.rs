//! What an accept loop needs from a listening socket and from the connections it yields.

use connlimit::Client;
use core::{
    net::SocketAddr,
    task::{Context, Poll},
};
use std::io;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::{TcpListener, TcpStream};

/// A listening socket that [`LimitedListener`](super::LimitedListener) can guard.
///
/// Implement it for sockets that Tokio does not have, such as vsock.
pub trait Listen: Send + 'static {
    /// An accepted connection.
    type Stream: Transport;
    /// The address of its peer.
    type Addr: Send + Sync + 'static;

    /// Accepts the next connection, as [`TcpListener::poll_accept`] does.
    ///
    /// # Errors
    ///
    /// Those of the operating system, unchanged: their kind and number decide whether the accept loop goes on.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Self::Stream, Self::Addr)>>;

    /// Who the connection is counted for.
    fn client(&self, stream: &Self::Stream, addr: &Self::Addr) -> Client;

    /// Is told that `stream` has been counted for its client. A listener that held something for it until now, such as
    /// the permit of an earlier phase, gives it back here. Does nothing by default.
    fn admitted(&self, stream: &mut Self::Stream) {
        let _ = stream;
    }

    /// The address the socket is bound to.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    fn local_addr(&self) -> io::Result<Self::Addr>;
}

/// A connection that can be rejected.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// Arranges that dropping the connection resets it instead of closing it. Does nothing by default.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    fn reset_on_drop(&self) -> io::Result<()> {
        Ok(())
    }
}

/// A connection is counted for the IP address of its peer.
impl Listen for TcpListener {
    type Stream = TcpStream;
    type Addr = SocketAddr;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        Self::poll_accept(self, cx)
    }

    fn client(&self, _stream: &TcpStream, addr: &SocketAddr) -> Client {
        (*addr).into()
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Self::local_addr(self)
    }
}

/// `SO_LINGER` with a time of zero.
impl Transport for TcpStream {
    fn reset_on_drop(&self) -> io::Result<()> {
        self.set_zero_linger()
    }
}

/// A pipe in memory has no reset: it is closed.
impl Transport for DuplexStream {}

#[cfg(unix)]
mod unix {
    use super::{Client, Context, Listen, Poll, Transport, io};
    use std::os::unix::ffi::OsStrExt;
    use tokio::net::{UnixListener, UnixStream, unix::SocketAddr};

    /// The peers of a Unix socket are mostly unnamed, so all connections of one listener are counted as one client:
    /// `unix:` and the path the socket is bound to, as in `Client::named("unix:/run/app.sock")`.
    ///
    /// Listeners that are not bound to a path (abstract names on Linux) are all counted as `unix:`; tell them apart
    /// with [`LimitedListener::count_as`](crate::LimitedListener::count_as). The same method can count for
    /// each user, from the socket's peer credentials.
    impl Listen for UnixListener {
        type Stream = UnixStream;
        type Addr = SocketAddr;

        fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(UnixStream, SocketAddr)>> {
            Self::poll_accept(self, cx)
        }

        fn client(&self, _stream: &UnixStream, _addr: &SocketAddr) -> Client {
            let addr = self.local_addr();
            let path = addr.as_ref().ok().and_then(SocketAddr::as_pathname);
            let path = path.map_or(&[][..], |path| path.as_os_str().as_bytes());
            Client::named([b"unix:", path].concat())
        }

        fn local_addr(&self) -> io::Result<SocketAddr> {
            Self::local_addr(self)
        }
    }

    /// A Unix socket has no reset: it is closed.
    impl Transport for UnixStream {}
}
