//! Why an admission was rejected.

use core::fmt;

/// The reason [`try_acquire`](crate::Limiter::try_acquire) gave no permit.
///
/// Nothing was counted and nothing has to be undone. The [`Display`](fmt::Display) text may be shown to the
/// peer: it names no count and no limit.
///
/// # Examples
///
/// ```
/// use connlimit::{Config, Limiter, Rejected};
/// use std::net::Ipv4Addr;
///
/// let limiter = Limiter::new(Config::new(1));
/// let _permit = limiter.try_acquire(Ipv4Addr::LOCALHOST)?;
///
/// let rejection = limiter.try_acquire(Ipv4Addr::LOCALHOST).unwrap_err();
/// assert_eq!(rejection, Rejected::ClientLimit);
/// assert_eq!(rejection.to_string(), "client connection limit reached");
/// # Ok::<(), Rejected>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rejected {
    /// The client has as many open connections as it may have.
    ClientLimit,
    /// A client that is not tracked yet arrived while the table was at its
    /// [memory bound](crate::Config::table_memory). Clients that are tracked are not affected.
    TableFull,
    /// All clients of one of the client's networks together have as many open connections as they may have.
    /// See [`Config::with_tier`](crate::Config::with_tier).
    TierLimit,
    /// All clients together have as many open connections as they may have.
    TotalLimit,
    /// A rule denies this client.
    Denied,
    /// The server could not tell who the peer is, and rejects such peers.
    UnknownPeer,
}

impl Rejected {
    /// The HTTP status code that says the same: 429 where the client has too much
    /// ([RFC 6585, section 4](https://www.rfc-editor.org/rfc/rfc6585#section-4)), 503 where the server is full for
    /// everybody, and 403 where the fault lies in who the client is
    /// ([RFC 9110, section 15](https://www.rfc-editor.org/rfc/rfc9110#section-15)).
    ///
    /// # Examples
    ///
    /// ```
    /// use connlimit::Rejected;
    ///
    /// assert_eq!(Rejected::ClientLimit.http_status(), 429);
    /// assert_eq!(Rejected::TotalLimit.http_status(), 503);
    /// assert_eq!(Rejected::Denied.http_status(), 403);
    /// ```
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self {
            Self::ClientLimit | Self::TierLimit => 429,
            Self::TableFull | Self::TotalLimit => 503,
            Self::Denied | Self::UnknownPeer => 403,
        }
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClientLimit => "client connection limit reached",
            Self::TableFull => "connection table full",
            Self::TierLimit => "network connection limit reached",
            Self::TotalLimit => "server connection limit reached",
            Self::Denied => "client not allowed",
            Self::UnknownPeer => "client not known",
        })
    }
}

impl core::error::Error for Rejected {}
