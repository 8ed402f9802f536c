//! Why there is no permit, and why a machine could not join.

use crate::engine::EngineError;
use crate::terms::TermsError;
use connlimit::Rejected;
use core::fmt;
use core::time::Duration;

/// Why the fleet gave no permit. The [`Display`](fmt::Display) text may be shown to the peer: it names no count and no
/// limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rejection {
    /// The limiter rejects for a reason of its own: a tier, the total, a rule, a full table.
    Limiter(Rejected),
    /// The client has what this machine may give it. More has been asked for, if there may be more.
    ShareUsed,
    /// This machine is [leaving](crate::Fleet::leave) the fleet.
    Left,
}

impl From<Rejected> for Rejection {
    fn from(rejected: Rejected) -> Self {
        match rejected {
            Rejected::ClientLimit => Self::ShareUsed,
            other => Self::Limiter(other),
        }
    }
}

/// For adapters that know the limiter's reasons.
impl From<Rejection> for Rejected {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::Limiter(rejected) => rejected,
            Rejection::ShareUsed | Rejection::Left => Self::ClientLimit,
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limiter(rejected) => rejected.fmt(f),
            Self::ShareUsed => f.write_str("client connection limit reached"),
            Self::Left => f.write_str("server is leaving"),
        }
    }
}

impl core::error::Error for Rejection {}

/// Why a machine could not join.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinError {
    /// The terms cannot stand.
    Terms(TermsError),
    /// The machines that are in the fleet have agreed on other terms.
    OtherTerms {
        /// Their seats.
        seats: u32,
        /// Their share.
        share: u32,
        /// Their time to live.
        ttl: Duration,
    },
    /// The engine gave no answer.
    Engine(EngineError),
    /// The system has no random number for the machine's name.
    Name(String),
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Terms(error) => error.fmt(f),
            Self::OtherTerms { seats, share, ttl } => {
                write!(f, "the fleet has agreed on {seats} seats, a share of {share} and a time to live of {ttl:?}")
            }
            Self::Engine(error) => error.fmt(f),
            Self::Name(error) => write!(f, "no random name: {error}"),
        }
    }
}

impl core::error::Error for JoinError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Terms(error) => Some(error),
            Self::Engine(error) => Some(error),
            Self::OtherTerms { .. } | Self::Name(_) => None,
        }
    }
}
