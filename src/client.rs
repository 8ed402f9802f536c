//! Who is counted: one canonical identity per peer.
//!
//! Every address becomes a [`Client`] first, and only a `Client` can reach the table, so the IPv4 client
//! `192.0.2.1` and the same client seen through a dual-stack socket as `::ffff:192.0.2.1` cannot be told apart
//! by accident. The un-mapping happens here, before any prefix is applied: masking first would fold all of
//! IPv4 into one client.

pub(crate) mod canonical;
mod names;
mod show;

use crate::hash;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
pub use names::keep_names;

/// One peer whose connections are counted together.
///
/// Build it from an address with `into()`, or with [`Client::named`] for peers that have none.
/// [`Limiter::try_acquire`](crate::Limiter::try_acquire) takes anything that converts into it.
///
/// An IPv4-mapped IPv6 address ([RFC 4291, section 2.5.5.2]) is the IPv4 client, and an
/// [`EmbeddedPolicy`](crate::config::EmbeddedPolicy) decides about NAT64. Ports, flow labels and zone
/// identifiers are not part of the identity.
///
/// [RFC 4291, section 2.5.5.2]: https://www.rfc-editor.org/rfc/rfc4291#section-2.5.5.2
///
/// # Examples
///
/// ```
/// use connlimit::Client;
/// use std::net::{IpAddr, SocketAddr};
///
/// let plain: IpAddr = "192.0.2.1".parse()?;
/// let mapped: SocketAddr = "[::ffff:192.0.2.1]:50000".parse()?;
/// assert_eq!(Client::from(plain), Client::from(mapped));
///
/// assert_ne!(Client::named("192.0.2.1"), Client::from(plain));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Client(Identity);

/// What the three tables are keyed by, before the prefix is applied.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Identity {
    V4(Ipv4Addr),
    V6(Ipv6Addr),
    /// A 128-bit keyed digest of a name. It lives in a table of its own, so it never meets an address.
    Named(u128),
}

/// The bit of a digest that says who made it: the caller, or [`Client::named`].
const FROM_DIGEST: u128 = 1;

impl Client {
    /// A peer without an IP address: a Unix socket's path, a vsock id, a tenant.
    ///
    /// Shown as `named:` and a digest, unless names are [kept](keep_names). A name never collides with an address. Two
    /// different names are told apart by a 128-bit digest keyed afresh in each process, so a peer that chooses names
    /// cannot aim at another's.
    ///
    /// # Examples
    ///
    /// ```
    /// use connlimit::{Client, Config, Limiter};
    ///
    /// let limiter = Limiter::new(Config::new(1));
    /// let _permit = limiter.try_acquire(Client::named("unix:/run/app.sock"))?;
    /// assert!(limiter.try_acquire(Client::named("unix:/run/app.sock")).is_err());
    /// # Ok::<(), connlimit::Rejected>(())
    /// ```
    #[must_use]
    pub fn named(name: impl AsRef<[u8]>) -> Self {
        let name = name.as_ref();
        let digest = hash::digest(name) & !FROM_DIGEST;
        names::note(digest, name);
        Self(Identity::Named(digest))
    }

    /// A peer without an IP address, known by a digest of its name that the caller made.
    ///
    /// The digests of [`named`](Self::named) differ from one process to the next. Where several processes or machines
    /// count the same peers, they digest names under a key they share, and count these clients. The lowest bit of
    /// `digest` does not count: it tells these clients from named ones.
    ///
    /// # Examples
    ///
    /// ```
    /// use connlimit::Client;
    ///
    /// let tenant = Client::from_digest(0x77d8_a4f2_1c6e_9b03_5e1f_0a8d_42c7_66b8);
    /// assert!(tenant.digest().is_some());
    /// assert!(Client::named("tenant").digest().is_none());
    /// ```
    #[must_use]
    pub const fn from_digest(digest: u128) -> Self {
        Self(Identity::Named(digest | FROM_DIGEST))
    }

    /// The digest of a client that was made [from one](Self::from_digest), its lowest bit set; `None` for all others.
    #[must_use]
    pub const fn digest(&self) -> Option<u128> {
        match self.0 {
            Identity::Named(digest) if digest & FROM_DIGEST != 0 => Some(digest),
            _ => None,
        }
    }

    pub(crate) const fn identity(self) -> Identity {
        self.0
    }
}

impl From<Ipv4Addr> for Client {
    #[inline]
    fn from(addr: Ipv4Addr) -> Self {
        Self(Identity::V4(addr))
    }
}

impl From<Ipv6Addr> for Client {
    /// Out of line: in line, the wide load of an IPv6 address would come before the branch that says it is none.
    #[inline(never)]
    fn from(addr: Ipv6Addr) -> Self {
        match addr.to_ipv4_mapped() {
            Some(v4) => Self(Identity::V4(v4)),
            None => Self(Identity::V6(addr)),
        }
    }
}

impl From<IpAddr> for Client {
    #[inline]
    fn from(addr: IpAddr) -> Self {
        match addr {
            IpAddr::V4(v4) => v4.into(),
            IpAddr::V6(v6) => v6.into(),
        }
    }
}

impl From<SocketAddr> for Client {
    #[inline]
    fn from(addr: SocketAddr) -> Self {
        addr.ip().into()
    }
}

impl From<SocketAddrV4> for Client {
    #[inline]
    fn from(addr: SocketAddrV4) -> Self {
        (*addr.ip()).into()
    }
}

impl From<SocketAddrV6> for Client {
    #[inline]
    fn from(addr: SocketAddrV6) -> Self {
        (*addr.ip()).into()
    }
}
