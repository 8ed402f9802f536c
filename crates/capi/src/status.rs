//! What a call returns, and the fence that keeps panics on this side.

use connlimit::{Rejected, config::ConfigError};
use core::ffi::{CStr, c_char};
use core::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

/// What became of a call.
///
/// 0 is success. Above 0 the client was rejected, which is no fault; below 0 the call was wrong and did nothing.
/// Later versions may add values of either sign.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Done.
    ConnlimitOk = 0,
    /// Rejected: the client has as many open connections as it may have.
    ConnlimitClientLimit = 1,
    /// Rejected: the client is not tracked yet, and the table is at its memory bound or could not get memory.
    ConnlimitTableFull = 2,
    /// Rejected for a reason that this version of the header does not know.
    ConnlimitRejected = 3,
    /// Rejected: a network around the client has as many open connections as a tier allows.
    ConnlimitTierLimit = 4,
    /// Rejected: all clients together have as many open connections as they may have.
    ConnlimitTotalLimit = 5,
    /// Rejected: a rule denies the client.
    ConnlimitDenied = 6,
    /// Rejected: the peer is not known, and the configuration rejects such peers.
    ConnlimitUnknownPeer = 7,
    /// An argument that has to point to something is null.
    ConnlimitNullPointer = -1,
    /// The pointer does not lead to a limiter.
    ConnlimitNotALimiter = -2,
    /// The pointer does not lead to a permit, open or zeroed.
    ConnlimitNotAPermit = -3,
    /// The permit already stands for an open connection.
    ConnlimitPermitInUse = -4,
    /// The permit stands for no connection: it was released, moved, or never acquired.
    ConnlimitPermitEmpty = -5,
    /// An address is shorter than its family needs, bytes of an IP address are not 4 or 16, a name is longer than any
    /// object can be, or a buffer is too short for its text.
    ConnlimitBadLength = -6,
    /// A socket address of a family other than `AF_INET`, `AF_INET6` and `AF_UNIX`.
    ConnlimitUnknownFamily = -7,
    /// An IPv4 prefix length is above 32.
    ConnlimitBadIpv4Prefix = -8,
    /// An IPv6 prefix length is above 128.
    ConnlimitBadIpv6Prefix = -9,
    /// The table memory is below 1 MiB.
    ConnlimitBadTableMemory = -10,
    /// The library met a bug of its own. The limiter may still be used.
    ConnlimitInternal = -11,
    /// The pointer does not lead to a configuration.
    ConnlimitNotAConfig = -12,
    /// The first member of a structure, or the size of an element, is not one that this structure ever had.
    ConnlimitBadSize = -13,
    /// No such option.
    ConnlimitBadOption = -14,
    /// The option has no such value.
    ConnlimitBadValue = -15,
    /// A tier that is narrower than the one before, or the fifth.
    ConnlimitBadTier = -16,
    /// A rule that cannot stand.
    ConnlimitBadRule = -17,
    /// The text is not a configuration.
    ConnlimitBadText = -18,
    /// The configuration changes something that is fixed when a limiter is created.
    ConnlimitFixedAtCreation = -19,
    /// No memory for a new object.
    ConnlimitNoMemory = -20,
    /// The configuration is wrong in a way that this version of the header does not know.
    ConnlimitBadConfig = -21,
}

/// Says in English what a status means.
///
/// The text lives as long as the library, is never null, and the caller must not free it. The texts of rejections
/// may be shown to the peer: they name no count and no limit. An unknown status has a text too.
#[unsafe(no_mangle)]
pub const extern "C" fn connlimit_status_text(status: i32) -> *const c_char {
    text(status).as_ptr()
}

const fn text(status: i32) -> &'static CStr {
    match status {
        0 => c"no error",
        1 => c"client connection limit reached",
        2 => c"connection table full",
        3 => c"connection rejected",
        4 => c"network connection limit reached",
        5 => c"server connection limit reached",
        6 => c"client not allowed",
        7 => c"client not known",
        -1 => c"null pointer",
        -2 => c"not a limiter",
        -3 => c"not a permit",
        -4 => c"permit is in use",
        -5 => c"permit is empty",
        -6 => c"length does not fit",
        -7 => c"unknown address family",
        -8 => c"IPv4 prefix length is above 32",
        -9 => c"IPv6 prefix length is above 128",
        -10 => c"table memory is below 1 MiB",
        -11 => c"internal error",
        -12 => c"not a configuration",
        -13 => c"size of a structure does not fit",
        -14 => c"no such option",
        -15 => c"no such value of the option",
        -16 => c"tier is narrower than the one before, or the fifth",
        -17 => c"rule cannot stand",
        -18 => c"text is not a configuration",
        -19 => c"fixed when the limiter is created",
        -20 => c"out of memory",
        -21 => c"wrong configuration",
        _ => c"unknown status",
    }
}

/// Runs the body of an exported function. A panic ends here.
#[inline(always)]
pub(crate) fn guarded(body: impl FnOnce() -> Result<(), Status>) -> Status {
    // A body that panics leaves nothing half done behind it: what it changes are whole words of permits and
    // limiters, and those keep their own order.
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => Status::ConnlimitOk,
        Ok(Err(status)) => status,
        Err(_panic) => Status::ConnlimitInternal,
    }
}

impl From<Rejected> for Status {
    #[inline]
    fn from(rejected: Rejected) -> Self {
        match rejected {
            Rejected::ClientLimit => Self::ConnlimitClientLimit,
            Rejected::TableFull => Self::ConnlimitTableFull,
            Rejected::TierLimit => Self::ConnlimitTierLimit,
            Rejected::TotalLimit => Self::ConnlimitTotalLimit,
            Rejected::Denied => Self::ConnlimitDenied,
            Rejected::UnknownPeer => Self::ConnlimitUnknownPeer,
            _ => Self::ConnlimitRejected,
        }
    }
}

impl From<&ConfigError> for Status {
    fn from(error: &ConfigError) -> Self {
        match error {
            ConfigError::Ipv4Prefix(_) => Self::ConnlimitBadIpv4Prefix,
            ConfigError::Ipv6Prefix(_) => Self::ConnlimitBadIpv6Prefix,
            ConfigError::TableMemory(_) => Self::ConnlimitBadTableMemory,
            ConfigError::SoftPercent(_) => Self::ConnlimitBadValue,
            ConfigError::Tier { .. } => Self::ConnlimitBadTier,
            ConfigError::Rule { .. } => Self::ConnlimitBadRule,
            ConfigError::NoMemory { .. } => Self::ConnlimitNoMemory,
            ConfigError::FixedAtBuild(_) => Self::ConnlimitFixedAtCreation,
            _ => Self::ConnlimitBadConfig,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_panic_becomes_a_status() {
        assert_eq!(guarded(|| panic!("planted")), Status::ConnlimitInternal);
    }

    #[test]
    fn a_body_decides_its_status() {
        assert_eq!(guarded(|| Ok(())), Status::ConnlimitOk);
        assert_eq!(guarded(|| Err(Status::ConnlimitBadLength)), Status::ConnlimitBadLength);
    }

    #[test]
    fn each_status_has_a_text_of_its_own() {
        let texts: HashSet<_> = (-21..=7).map(text).collect();
        assert_eq!(texts.len(), 29);
        assert!(!texts.contains(text(8)));
        assert_eq!(text(8), text(i32::MIN));
    }

    #[test]
    fn a_rejection_reads_as_it_does_in_rust() {
        for rejected in [
            Rejected::ClientLimit,
            Rejected::TableFull,
            Rejected::TierLimit,
            Rejected::TotalLimit,
            Rejected::Denied,
            Rejected::UnknownPeer,
        ] {
            let status = Status::from(rejected);
            assert_eq!(text(status as i32).to_str(), Ok(rejected.to_string().as_str()));
        }
    }
}
