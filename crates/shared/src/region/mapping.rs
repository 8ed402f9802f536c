//! A file in the address space, for as long as the process lives.
//!
//! Permits refer to the memory and know nothing of the region, so its addresses are never given back: a region that
//! nobody uses any more is replaced in place by memory that takes no room. That holds whatever other programs do.

use super::{HEAD, Head};
use crate::OpenError;
use crate::error::io;
use crate::table::Group;
use core::ptr::{self, NonNull};
use core::slice;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, mmap_anonymous};
use std::os::fd::BorrowedFd;

#[derive(Debug)]
pub(super) struct Mapping {
    /// Page-aligned. From here on, `len` bytes are mapped until the process ends.
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: all access to the memory is by atomic words.
unsafe impl Send for Mapping {}
// SAFETY: likewise.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `len` bytes of `file`, which has them.
    pub(super) fn new(file: BorrowedFd<'_>, len: usize) -> Result<Self, OpenError> {
        assert!(len >= HEAD, "a region has a head");
        let flags = MapFlags::SHARED | MapFlags::POPULATE;
        // SAFETY: the kernel chooses an address where nothing is.
        let base = unsafe { mmap(ptr::null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, flags, file, 0) };
        let base = NonNull::new(base.map_err(io("map the region"))?.cast()).expect("the kernel maps nothing at zero");
        let mapping = Self { base, len };
        // A child that is forked must not release what its parent holds: it does not have the memory.
        mapping.advise(Advice::LinuxDontFork).map_err(io("keep the region from children that are forked"))?;
        // Where the system is set to it (`shmem_enabled`), fewer pages are looked up. Elsewhere it fails.
        let _elsewhere = mapping.advise(Advice::LinuxHugepage).is_err();
        Ok(mapping)
    }

    fn advise(&self, advice: Advice) -> rustix::io::Result<()> {
        // SAFETY: neither kind of advice changes what the memory of this process contains.
        unsafe { madvise(self.base.as_ptr().cast(), self.len, advice) }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn head(&self) -> &'static Head {
        // SAFETY: page-aligned, at least `HEAD` bytes (checked in `new`), and mapped until the process ends; every
        // content of the words is valid, and they are accessed atomically only, by other processes as well.
        unsafe { self.base.cast().as_ref() }
    }

    pub(super) fn groups<const WORDS: usize>(&self, count: usize) -> &'static [Group<WORDS>] {
        let fits = count.checked_mul(size_of::<Group<WORDS>>()).is_some_and(|bytes| bytes <= self.len - HEAD);
        assert!(fits, "the groups lie in the region");
        // SAFETY: `HEAD` is at most `len` (checked in `new`), so this stays inside.
        let first = unsafe { self.base.add(HEAD) };
        // SAFETY: aligned, for `HEAD` is a multiple of 64 after a page's start; `count` groups lie in what is mapped
        // until the process ends, as just asserted; and as for the head.
        unsafe { slice::from_raw_parts(first.cast().as_ptr(), count) }
    }
}

/// Replaces the memory by private zeroes, which take no room until they are written to. References remain good.
impl Drop for Mapping {
    fn drop(&mut self) {
        let flags = MapFlags::PRIVATE | MapFlags::FIXED | MapFlags::NORESERVE;
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: it replaces this mapping and nothing else, in one step, by memory of the same size and access.
        let replaced = unsafe { mmap_anonymous(self.base.as_ptr().cast(), self.len, access, flags) };
        // When it fails, the old memory stays: nothing is lost but room.
        let _stays = replaced.is_err();
    }
}
