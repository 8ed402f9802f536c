//! A client as people see it.

use super::{Client, Identity, names};
use core::fmt;
use core::net::IpAddr;

impl Client {
    /// The address, in its canonical form; `None` for a [named](Self::named) client.
    ///
    /// For a client that a limiter reports, this is the first address of the network that is counted together.
    ///
    /// # Examples
    ///
    /// ```
    /// use connlimit::Client;
    /// use std::net::{IpAddr, Ipv4Addr};
    ///
    /// let mapped: IpAddr = "::ffff:192.0.2.1".parse()?;
    /// assert_eq!(Client::from(mapped).ip(), Some(Ipv4Addr::new(192, 0, 2, 1).into()));
    /// assert_eq!(Client::named("unix:/run/app.sock").ip(), None);
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    #[must_use]
    pub const fn ip(&self) -> Option<IpAddr> {
        match self.0 {
            Identity::V4(addr) => Some(IpAddr::V4(addr)),
            Identity::V6(addr) => Some(IpAddr::V6(addr)),
            Identity::Named(_) => None,
        }
    }

    pub(crate) const fn of(identity: Identity) -> Self {
        Self(identity)
    }
}

/// The address; or `named:` and the name if names are [kept](super::keep_names), else its digest in hexadecimal, which
/// differs from one process to the next.
impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Identity::V4(addr) => addr.fmt(f),
            Identity::V6(addr) => addr.fmt(f),
            Identity::Named(digest) => match names::find(digest) {
                Some(name) => write!(f, "named:{name}"),
                None => write!(f, "named:{digest:032x}"),
            },
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({self})")
    }
}
