//! The PROXY protocol: behind a TCP proxy, the client is the one that the proxy names.
//!
//! [`Proxied`] goes between the socket and the [`LimitedListener`](crate::LimitedListener), so everything that
//! takes such a listener works behind a proxy as well. Headers of versions 1 and 2 are read, from trusted networks
//! only, and exactly to their last byte: the stream that comes out is the plain stream, with nothing lost or buffered.
//!
//! Headers are read in tasks of their own, so a slow one keeps nobody waiting. Meanwhile a connection has no client,
//! and counts towards a bound for its proxy and a bound for all. It claims its client's permit when the header is
//! read, and is rejected like any other when there is none.
//!
//! # Examples
//!
//! ```
//! use connlimit::{Config, Limiter};
//! use connlimit_tokio::{LimitedListener, proxy::Proxied};
//! use ipnet::IpNet;
//! use tokio::net::TcpListener;
//!
//! fn behind_proxies(socket: TcpListener) -> Result<LimitedListener<Proxied<TcpListener>>, ipnet::AddrParseError> {
//!     let trusted: IpNet = "10.1.2.0/24".parse()?;
//!     let proxied = Proxied::new(socket, [trusted]);
//!     Ok(LimitedListener::new(proxied, Limiter::new(Config::new(16))))
//! }
//! ```
//!
//! # What is not promised
//!
//! The trusted networks are believed in everything: whoever may connect from them may name any client. The extras of
//! version 2 (TLVs) are skipped, their checksum too. Unix addresses in a header are skipped: the connection is then
//! the proxy's own.
//!
//! Source: [the PROXY protocol](https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt).

mod error_counts;
mod header;
mod listener;

pub use error_counts::{ProxyErrorCounts, ProxyErrors};
pub use header::{MAX_HEADER, Origin, ProxyError, read_header};
/// Its [`IpNet`](ipnet::IpNet) says which networks are trusted.
pub use ipnet;
pub use listener::{Proxied, Untrusted};
