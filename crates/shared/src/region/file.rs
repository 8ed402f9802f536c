//! Files that hold regions: in a file system, or in memory only.

use super::{FIXED, HEAD, Mapping, Region, Shape};
use crate::OpenError;
use crate::config::SharedConfig;
use crate::error::io;
use rustix::fs::{
    AtFlags, CWD, FallocateFlags, FileType, MemfdFlags, Mode, OFlags, SealFlags, Stat, fallocate, fcntl_add_seals,
    fstat, linkat, memfd_create, open,
};
use rustix::io::Errno;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// The owner may read and write.
const MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// A new region under `path`. It gets its name when it is complete, so nobody sees half of one, whenever this dies.
pub(crate) fn create_at(path: &Path, config: &SharedConfig) -> Result<Region, OpenError> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    let file = open(directory, flags, MODE).map_err(io("create a file without a name in that directory"))?;
    let region = create_in(file, config)?;
    linkat(CWD, by_number(region.file.as_fd()), CWD, path, AtFlags::SYMLINK_FOLLOW)
        .map_err(io("give the region its name"))?;
    Ok(region)
}

/// A new region without a name, which no program can cut short.
pub(crate) fn create_unnamed(config: &SharedConfig) -> Result<Region, OpenError> {
    let file = memfd_create("connlimit", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)
        .map_err(io("create a file in memory"))?;
    let region = create_in(file, config)?;
    fcntl_add_seals(&region.file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)
        .map_err(io("seal the region's size"))?;
    Ok(region)
}

fn create_in(file: OwnedFd, config: &SharedConfig) -> Result<Region, OpenError> {
    let shape = Shape::new(config)?;
    let size = config.memory()?;
    allocate(file.as_fd(), size)?;
    let mapping = Mapping::new(file.as_fd(), size)?;
    let region = Region { file, shape, mapping };
    region.initialise(config.limits);
    Ok(region)
}

/// The region under `path`, if it can be trusted to be one.
pub(crate) fn open_at(path: &Path, config: &SharedConfig) -> Result<Region, OpenError> {
    // Without `NONBLOCK`, a pipe of that name would make this wait for ever. `NOFOLLOW`: others may put links into
    // directories that all may write to.
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = open(path, flags, Mode::empty()).map_err(io("open the region"))?;
    let stat = status(file.as_fd())?;
    let me = rustix::process::geteuid().as_raw();
    if stat.st_uid != me && stat.st_uid != 0 {
        return Err(OpenError::Insecure("the file belongs to another user"));
    }
    if Mode::from_raw_mode(stat.st_mode).contains(Mode::WOTH) {
        return Err(OpenError::Insecure("all users may write to the file"));
    }
    open_in(file, &stat, config)
}

/// The region that a descriptor, of this process or handed on by another one, refers to.
pub(crate) fn open_descriptor(descriptor: BorrowedFd<'_>, config: &SharedConfig) -> Result<Region, OpenError> {
    status(descriptor)?;
    let file = reopen(descriptor)?;
    let stat = status(file.as_fd())?;
    open_in(file, &stat, config)
}

/// Another open file description of the same file: locks belong to the description, and duplicates share it.
pub(crate) fn reopen(descriptor: BorrowedFd<'_>) -> Result<OwnedFd, OpenError> {
    open(by_number(descriptor), OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty())
        .map_err(io("open the region once more, by /proc/self/fd"))
}

fn by_number(descriptor: BorrowedFd<'_>) -> PathBuf {
    format!("/proc/self/fd/{}", descriptor.as_raw_fd()).into()
}

fn status(file: BorrowedFd<'_>) -> Result<Stat, OpenError> {
    let stat = fstat(file).map_err(io("look at the file"))?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
        Ok(stat)
    } else {
        Err(OpenError::NotARegion("it is no regular file"))
    }
}

fn open_in(file: OwnedFd, stat: &Stat, config: &SharedConfig) -> Result<Region, OpenError> {
    let found = u64::try_from(stat.st_size).unwrap_or(0);
    let shape = Shape::read(first_words(file.as_fd())?, config)?;
    let size = shape.size().ok_or(OpenError::Corrupt("the number of groups"))?;
    if found != size as u64 {
        return Err(OpenError::Size { expected: size as u64, found });
    }
    allocate(file.as_fd(), size)?;
    let mapping = Mapping::new(file.as_fd(), size)?;
    Ok(Region { file, shape, mapping })
}

/// All of the file now, without holes: a page that cannot be had later is a `SIGBUS` in whoever touches it.
fn allocate(file: BorrowedFd<'_>, size: usize) -> Result<(), OpenError> {
    fallocate(file, FallocateFlags::empty(), 0, size as u64).map_err(io("allocate the region"))
}

/// Read, not mapped: a file that is cut short meanwhile gives an error here, and a signal there.
fn first_words(file: BorrowedFd<'_>) -> Result<[u64; FIXED], OpenError> {
    let mut page = [0; HEAD];
    let mut read = 0;
    while read < HEAD {
        match rustix::io::pread(file, &mut page[read..], read as u64) {
            Ok(0) => return Err(OpenError::NotARegion("it is too short")),
            Ok(more) => read += more,
            Err(Errno::INTR) => {}
            Err(error) => return Err(io("read the region's head")(error)),
        }
    }
    let mut words = page.chunks_exact(8).filter_map(|word| Some(u64::from_ne_bytes(word.try_into().ok()?)));
    Ok(core::array::from_fn(|_| words.next().unwrap_or(0)))
}
