//! The address of a peer, as a type that this crate may attach to requests.

use connlimit::Client;
use core::net::SocketAddr;
use http::Extensions;

/// The address a connection was counted for; behind a trusted proxy, the address that the proxy named.
///
/// A server puts it into the extensions of each request, where the layers of this crate find it.
///
/// # Examples
///
/// ```
/// use connlimit::Client;
/// use connlimit_http::PeerAddr;
///
/// let peer = PeerAddr("192.0.2.1:50000".parse()?);
/// assert_eq!(Client::from(peer), Client::from(peer.0.ip()));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerAddr(pub SocketAddr);

impl From<PeerAddr> for Client {
    fn from(PeerAddr(addr): PeerAddr) -> Self {
        addr.into()
    }
}

/// Finds the peer of a request in what the server attached to it.
pub(crate) type PeerFrom = dyn Fn(&Extensions) -> Option<SocketAddr> + Send + Sync;

/// The peer that a server attached as a [`PeerAddr`].
pub(crate) fn attached(extensions: &Extensions) -> Option<SocketAddr> {
    extensions.get().map(|PeerAddr(addr)| *addr)
}
