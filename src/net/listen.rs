//! What an accept loop needs from a listening socket.

use crate::Client;
use core::net::SocketAddr;
use std::io;
use std::net::{TcpListener, TcpStream};

/// A listening socket that [`LimitedListener`](super::LimitedListener) can guard.
///
/// Implement it for sockets the standard library does not have, such as vsock, or to decide otherwise who a peer is.
pub trait Listen {
    /// An accepted connection.
    type Stream;
    /// The address of its peer.
    type Addr;

    /// Waits for the next connection.
    ///
    /// # Errors
    ///
    /// Those of the operating system, unchanged: their kind and number decide whether the accept loop goes on.
    fn accept(&self) -> io::Result<(Self::Stream, Self::Addr)>;

    /// Who the connection is counted for.
    fn client(&self, stream: &Self::Stream, addr: &Self::Addr) -> Client;
}

/// A connection is counted for the IP address of its peer.
impl Listen for TcpListener {
    type Stream = TcpStream;
    type Addr = SocketAddr;

    fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        Self::accept(self)
    }

    fn client(&self, _stream: &TcpStream, addr: &SocketAddr) -> Client {
        (*addr).into()
    }
}

#[cfg(unix)]
mod unix {
    use super::{Client, Listen, io};
    use std::os::unix::{
        ffi::OsStrExt,
        net::{SocketAddr, UnixListener, UnixStream},
    };
    use std::path::Path;

    /// The client of a socket that is bound to `path`.
    fn client_of(path: Option<&Path>) -> Client {
        let path = path.map_or(&[][..], |path| path.as_os_str().as_bytes());
        Client::named([b"unix:", path].concat())
    }

    /// The peers of a Unix socket are mostly unnamed, so all connections of one listener are counted as one client:
    /// `unix:` and the path the socket is bound to, as in `Client::named("unix:/run/app.sock")`.
    ///
    /// Listeners that are not bound to a path (abstract names on Linux) are all counted as `unix:`; tell them apart
    /// with [`LimitedListener::count_as`](crate::net::LimitedListener::count_as). The same method can count for each
    /// user, from the socket's peer credentials.
    impl Listen for UnixListener {
        type Stream = UnixStream;
        type Addr = SocketAddr;

        fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
            Self::accept(self)
        }

        fn client(&self, _stream: &UnixStream, _addr: &SocketAddr) -> Client {
            let addr = self.local_addr();
            client_of(addr.as_ref().ok().and_then(SocketAddr::as_pathname))
        }
    }
}
