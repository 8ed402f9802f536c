//! The address of a peer, as a type that this crate may attach to requests.

use crate::Client;
use core::net::SocketAddr;

/// The address a connection was counted for; behind a trusted proxy, the address that the proxy named.
///
/// It is found in the extensions of a request: as `ConnectInfo<PeerAddr>` in axum, or as it is where a server put it
/// there for `tower::ConnectionInfoLayer`.
///
/// # Examples
///
/// ```
/// use connlimit::{Client, PeerAddr};
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

/// The peer that a server attached to a request, in any of the ways that this crate knows of.
#[cfg(feature = "tower")]
pub(crate) fn attached_peer(extensions: &http::Extensions) -> Option<SocketAddr> {
    if let Some(PeerAddr(addr)) = extensions.get() {
        return Some(*addr);
    }
    #[cfg(feature = "axum")]
    {
        use axum::extract::ConnectInfo;

        if let Some(ConnectInfo(PeerAddr(addr))) = extensions.get() {
            return Some(*addr);
        }
        if let Some(ConnectInfo(addr)) = extensions.get() {
            return Some(*addr);
        }
    }
    #[cfg(feature = "tonic")]
    {
        use tonic::transport::server::TcpConnectInfo;

        if let Some(info) = extensions.get::<TcpConnectInfo>() {
            return info.remote_addr();
        }
    }
    None
}
