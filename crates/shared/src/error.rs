//! Why a region could not be had.

use core::fmt;
use std::io;

/// Why a [`SharedLimiter`](crate::SharedLimiter) could not be created or opened. Nothing was changed.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The operating system said no; the text says to what.
    Io(&'static str, io::Error),
    /// The file is not a region of this crate: of another kind, empty, or another program's.
    NotARegion(&'static str),
    /// The region was made by another version of this crate, with another layout: the number is that of the layout.
    /// Make a new region under another name. Counts are apart until the processes that have the old one are gone.
    Layout(u64),
    /// The file has another size than its head says, in bytes: it was cut short, or is something else.
    Size {
        /// What the head says.
        expected: u64,
        /// What there is.
        found: u64,
    },
    /// The head of the region says something impossible; the text names it.
    Corrupt(&'static str),
    /// The configuration tells clients apart differently than the region does, so the counts would mean nothing; the
    /// text names the difference.
    Mismatch(&'static str),
    /// Somebody other than this user and root can write to the file.
    Insecure(&'static str),
    /// As many processes as the region has room for are alive.
    TooManyProcesses(u8),
    /// More processes than a region can have room for.
    Processes(u8),
    /// More clients than fit into the memory there can be.
    Clients(usize),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(what, error) => write!(f, "cannot {what}: {error}"),
            Self::NotARegion(why) => write!(f, "not a region of connlimit-shared: {why}"),
            Self::Layout(found) => write!(f, "the region has layout {found}, this program knows {}", crate::LAYOUT),
            Self::Size { expected, found } => write!(f, "the region is {found} bytes long instead of {expected}"),
            Self::Corrupt(what) => write!(f, "the region's head is corrupt: {what}"),
            Self::Mismatch(what) => write!(f, "the region was made with another setting: {what}"),
            Self::Insecure(why) => write!(f, "the region is not safe to use: {why}"),
            Self::TooManyProcesses(most) => write!(f, "the region has room for {most} processes, and all are alive"),
            Self::Processes(wanted) => write!(f, "{wanted} processes are not between 1 and 52"),
            Self::Clients(wanted) => write!(f, "{wanted} clients do not fit into memory"),
        }
    }
}

impl core::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Io(_, error) => Some(error),
            _ => None,
        }
    }
}

/// For `map_err`: names what was attempted.
pub(crate) fn io(what: &'static str) -> impl Fn(rustix::io::Errno) -> OpenError {
    move |error| OpenError::Io(what, error.into())
}
