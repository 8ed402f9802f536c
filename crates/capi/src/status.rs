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
    /// Rejected: the table is at its memory bound, and the client is not tracked yet.
    ConnlimitTableFull = 2,
    /// Rejected for another reason.
    ConnlimitRejected = 3,
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
    /// A socket address is shorter than its family needs, or a name is longer than any object can be.
    ConnlimitBadLength = -6,
    /// A socket address of a family other than `AF_INET`, `AF_INET6` and `AF_UNIX`.
    ConnlimitUnknownFamily = -7,
    /// The IPv4 prefix length is above 32.
    ConnlimitBadIpv4Prefix = -8,
    /// The IPv6 prefix length is above 128.
    ConnlimitBadIpv6Prefix = -9,
    /// The table memory is below 1 MiB.
    ConnlimitBadTableMemory = -10,
    /// The library met a bug of its own. The limiter may still be used.
    ConnlimitInternal = -11,
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
        _ => c"unknown status",
    }
}

/// Runs the body of an exported function. A panic ends here.
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
    fn from(rejected: Rejected) -> Self {
        match rejected {
            Rejected::ClientLimit => Self::ConnlimitClientLimit,
            Rejected::TableFull => Self::ConnlimitTableFull,
            _ => Self::ConnlimitRejected,
        }
    }
}

impl From<ConfigError> for Status {
    fn from(error: ConfigError) -> Self {
        match error {
            ConfigError::Ipv4Prefix(_) => Self::ConnlimitBadIpv4Prefix,
            ConfigError::Ipv6Prefix(_) => Self::ConnlimitBadIpv6Prefix,
            ConfigError::TableMemory(_) => Self::ConnlimitBadTableMemory,
            // The calls here set nothing else.
            _ => Self::ConnlimitInternal,
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
        let texts: HashSet<_> = (-11..=3).map(text).collect();
        assert_eq!(texts.len(), 15);
        assert!(!texts.contains(text(4)));
        assert_eq!(text(4), text(i32::MIN));
    }

    #[test]
    fn a_rejection_reads_as_it_does_in_rust() {
        for rejected in [Rejected::ClientLimit, Rejected::TableFull] {
            let status = Status::from(rejected);
            assert_eq!(text(status as i32).to_str(), Ok(rejected.to_string().as_str()));
        }
    }
}
