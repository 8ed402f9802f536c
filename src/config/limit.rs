//! A number of connections, or none.

use crate::table::MAX_COUNT;
use core::fmt;

/// How many connections there may be: at most a number, or any number.
///
/// Every method that takes a limit takes a `u32` as well. Zero is a limit like any other: it admits nothing. Lifting a
/// limit has to be said: [`Limit::Unlimited`].
///
/// # Examples
///
/// ```
/// use connlimit::{Config, Limiter, Rejected, config::Limit};
/// use std::net::Ipv4Addr;
///
/// assert_eq!(Config::new(16).max_per_client(), Limit::AtMost(16));
///
/// let closed = Limiter::new(Config::new(0));
/// assert_eq!(closed.try_acquire(Ipv4Addr::LOCALHOST).unwrap_err(), Rejected::ClientLimit);
///
/// let counted_only = Limiter::new(Config::new(Limit::Unlimited));
/// assert!(counted_only.try_acquire(Ipv4Addr::LOCALHOST).is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// No more than this many connections. A count never exceeds [`Limit::MAX`]; a larger number acts like that one.
    AtMost(u32),
    /// Any number of connections. They are still counted.
    Unlimited,
}

impl Limit {
    /// Connections that one counter can count.
    pub const MAX: u32 = MAX_COUNT;

    /// The number, or `None` for any number.
    #[must_use]
    pub const fn at_most(self) -> Option<u32> {
        match self {
            Self::AtMost(limit) => Some(limit),
            Self::Unlimited => None,
        }
    }

    /// The limit as the tables want it: without one, the most that can be counted.
    pub(crate) const fn count(self) -> u32 {
        match self {
            Self::AtMost(limit) if limit < MAX_COUNT => limit,
            Self::AtMost(_) | Self::Unlimited => MAX_COUNT,
        }
    }
}

impl From<u32> for Limit {
    fn from(limit: u32) -> Self {
        Self::AtMost(limit)
    }
}

impl PartialEq<u32> for Limit {
    fn eq(&self, limit: &u32) -> bool {
        *self == Self::AtMost(*limit)
    }
}

/// The number, or `unlimited`.
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(limit) => limit.fmt(f),
            Self::Unlimited => f.pad("unlimited"),
        }
    }
}
