//! Why a rule cannot stand.

use core::fmt;

/// Why a rule cannot stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RuleErrorKind {
    /// The text is not a network, like `192.0.2.0/24` or `2001:db8::/32`.
    NotANetwork,
    /// The address has bits beyond the prefix: `10.0.0.1/8` may be meant as `10.0.0.0/8` or as `10.0.0.1/32`.
    HostBits,
    /// A limit of 0, which could mean "none" and "no limit".
    ZeroLimit,
    /// The same network was there before, with another action.
    Conflict,
}

impl fmt::Display for RuleErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotANetwork => "not a network in the form address/prefix length",
            Self::HostBits => "the address has bits beyond the prefix",
            Self::ZeroLimit => "a limit of 0 is ambiguous: say deny or unlimited",
            Self::Conflict => "the same network has another action already",
        })
    }
}
