//! Who is alive: each process holds a lock on a byte of its own.
//!
//! *Open file description* locks ([fcntl(2)]): the kernel drops one when the last descriptor of that description is
//! closed, which it does itself when a process ends, in whatever way, after the last of its threads is gone. From then
//! on no instruction of the process can run. There are no process numbers in this, so none that is used again, and no
//! namespaces. The classic `fcntl` locks would not do: any `close` of the same file in the process drops them.
//!
//! [fcntl(2)]: https://man7.org/linux/man-pages/man2/fcntl.2.html

use core::mem::ManuallyDrop;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Beyond all data: locks need no bytes to be there.
const FIRST: i64 = 1 << 40;

/// What a lock stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Byte {
    /// Whoever holds it sweeps.
    Sweeper,
    /// The process with this number is alive, or somebody sweeps after it.
    Process(u8),
}

/// A lock that is given back when this is dropped.
#[derive(Debug)]
pub(crate) struct ByteLock<'a> {
    file: BorrowedFd<'a>,
    byte: Byte,
}

impl<'a> ByteLock<'a> {
    /// `None` if another open file description has it. One's own would not stand in the way.
    pub(crate) fn try_new(file: BorrowedFd<'a>, byte: Byte) -> io::Result<Option<Self>> {
        match set(file, byte, libc::F_WRLCK) {
            Ok(()) => Ok(Some(Self { file, byte })),
            Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keeps the lock for as long as the file is open.
    pub(crate) fn keep(self) {
        let _until_the_file_is_closed = ManuallyDrop::new(self);
    }
}

impl Drop for ByteLock<'_> {
    fn drop(&mut self) {
        // It cannot fail for a lock that is held; and when it does, the lock goes with the file.
        drop(set(self.file, self.byte, libc::F_UNLCK));
    }
}

fn set(file: BorrowedFd<'_>, byte: Byte, kind: libc::c_int) -> io::Result<()> {
    let offset = match byte {
        Byte::Sweeper => 0,
        Byte::Process(number) => 1 + i64::from(number),
    };
    #[expect(clippy::cast_possible_truncation, reason = "the constants are small, and the fields are short")]
    let lock = libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: FIRST + offset,
        l_len: 1,
        l_pid: 0,
    };
    // SAFETY: the descriptor is open, for it is borrowed, and this command reads a `flock`, which `lock` is.
    let done = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) };
    if done == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
