//! What a failed `accept` says about: one peer, the machine, or the listening socket.
//!
//! An accept loop that ends at the first error can be ended by any peer that resets a connection while it waits in
//! the backlog, or by whoever uses up the file descriptors.

use std::io::{Error, ErrorKind};

/// What kind of error `accept` returned, for accept loops of your own.
///
/// # Examples
///
/// ```
/// use connlimit::net::AcceptError;
/// use std::io::{Error, ErrorKind};
///
/// let reset = Error::from(ErrorKind::ConnectionReset);
/// assert_eq!(AcceptError::of(&reset), AcceptError::Peer); // go on
/// let shut_down = Error::from(ErrorKind::InvalidInput);
/// assert_eq!(AcceptError::of(&shut_down), AcceptError::Listener); // give up
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptError {
    /// One connection died before it was accepted. The next one may be had at once.
    Peer,
    /// Out of descriptors or memory. The connection is still waiting; another attempt may succeed later.
    Exhausted,
    /// Anything else: a would-block, a socket that does not listen, a listener that was shut down.
    Listener,
}

impl AcceptError {
    /// The kind of `error`, which has to come from `accept` unchanged: its kind and number decide.
    #[must_use]
    pub fn of(error: &Error) -> Self {
        if is_about_one_peer(error) {
            Self::Peer
        } else if is_exhaustion(error) {
            Self::Exhausted
        } else {
            Self::Listener
        }
    }
}

/// Linux hands errors that are pending on the new socket to `accept`, "treat them like EAGAIN by retrying"
/// ([accept(2)](https://man7.org/linux/man-pages/man2/accept.2.html)).
fn is_about_one_peer(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionRefused
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::Interrupted
    ) || error.raw_os_error().is_some_and(|code| codes::PEER.contains(&code))
}

fn is_exhaustion(error: &Error) -> bool {
    error.kind() == ErrorKind::OutOfMemory || error.raw_os_error().is_some_and(|code| codes::EXHAUSTED.contains(&code))
}

/// Numbers of errors that `ErrorKind` has no name for.
mod codes {
    const LINUX: bool = cfg!(any(target_os = "linux", target_os = "android"));
    /// The Linux ports that kept the numbers of older systems.
    const OLD_NUMBERS: bool =
        cfg!(any(target_arch = "mips", target_arch = "mips64", target_arch = "sparc", target_arch = "sparc64"));

    /// EPROTO, ENOPROTOOPT, EHOSTDOWN and ENONET in Linux's `asm-generic/errno.h`.
    pub(super) const PEER: &[i32] = if LINUX && !OLD_NUMBERS { &[71, 92, 112, 64] } else { &[] };

    /// ENFILE, EMFILE and ENOBUFS; on Windows WSAEMFILE and WSAENOBUFS
    /// ([error codes](https://learn.microsoft.com/windows/win32/winsock/windows-sockets-error-codes-2)).
    pub(super) const EXHAUSTED: &[i32] = if cfg!(windows) {
        &[10024, 10055]
    } else if LINUX && !OLD_NUMBERS {
        &[23, 24, 105]
    } else if cfg!(unix) {
        &[23, 24, 55] // the numbers of the BSDs and macOS
    } else {
        &[]
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_in_the_backlog_is_about_one_peer() {
        for kind in [ErrorKind::ConnectionAborted, ErrorKind::ConnectionReset] {
            assert_eq!(AcceptError::of(&kind.into()), AcceptError::Peer);
        }
    }

    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    #[test]
    fn the_errors_that_accept_2_names_are_about_one_peer() {
        // ENETDOWN, EPROTO, ENOPROTOOPT, EHOSTDOWN, ENONET, EHOSTUNREACH, ENETUNREACH, ECONNABORTED, EINTR
        for code in [100, 71, 92, 112, 64, 113, 101, 103, 4] {
            let error = Error::from_raw_os_error(code);
            assert_eq!(AcceptError::of(&error), AcceptError::Peer, "{error}");
        }
    }

    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    #[test]
    fn running_out_of_descriptors_or_memory_is_exhaustion() {
        // ENOMEM, ENFILE, EMFILE, ENOBUFS
        for code in [12, 23, 24, 105] {
            let error = Error::from_raw_os_error(code);
            assert_eq!(AcceptError::of(&error), AcceptError::Exhausted, "{error}");
        }
    }

    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    #[test]
    fn a_listener_that_is_broken_or_would_block_is_reported() {
        // EAGAIN, EBADF, EINVAL (shut down), ENOTSOCK, EOPNOTSUPP, EPERM, EFAULT
        for code in [11, 9, 22, 88, 95, 1, 14] {
            let error = Error::from_raw_os_error(code);
            assert_eq!(AcceptError::of(&error), AcceptError::Listener, "{error}");
        }
    }
}
