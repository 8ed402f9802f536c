//! Structures that may grow: the caller says how long its own is.
//!
//! A program that was built with an older header has a shorter structure, and gets the members that it knows. One that
//! was built with a newer header has a longer one, and finds zeros in the members that this library does not know.

use crate::status::Status;
use core::ptr;

/// No structure of the header will ever be as long as this: a size that was never set is most often told.
const LONGEST: usize = 4096;

/// A structure of the header.
pub(crate) trait Grows: Copy {
    /// How long it was when it first came with a header.
    const FIRST: usize;
}

/// A structure whose first member is its `size_t size`, which the caller has set.
pub(crate) trait SaysSize: Grows {}

/// How long the structure at `to` is, as it says itself.
///
/// # Safety
///
/// `to` is null, or a `size_t` may be read from it.
pub(crate) unsafe fn size_of_caller<T: SaysSize>(to: *const T) -> Result<usize, Status> {
    if to.is_null() {
        return Err(Status::ConnlimitNullPointer);
    }
    // SAFETY: not null, so its first member may be read by the caller's duty.
    let size = unsafe { to.cast::<usize>().read_unaligned() };
    check::<T>(size).map(|()| size)
}

/// Whether a caller's structure may be `size` bytes long.
pub(crate) const fn check<T: Grows>(size: usize) -> Result<(), Status> {
    if size < T::FIRST || size > LONGEST { Err(Status::ConnlimitBadSize) } else { Ok(()) }
}

/// Fills a structure of `size` bytes from the member at `from` on.
///
/// # Safety
///
/// 1. `size` bytes may be written at `to`, aligned or not.
/// 2. [`check`] has let `size` pass, and `from` is not above it.
pub(crate) const unsafe fn fill<T: Grows>(to: *mut T, value: &T, from: usize, size: usize) {
    let known = if size < size_of::<T>() { size } else { size_of::<T>() };
    let (target, source) = (to.cast::<u8>(), ptr::from_ref(value).cast::<u8>());
    let (start, source) = (target.wrapping_add(from), source.wrapping_add(from));
    // SAFETY: within the caller's structure and ours, by `known`; they do not overlap, for one is ours; a copy of
    // bytes may take padding along.
    unsafe { ptr::copy_nonoverlapping(source, start, known - from) };
    // SAFETY: within the caller's structure, by duty 1.
    unsafe { ptr::write_bytes(target.wrapping_add(known), 0, size - known) };
}

/// Fills a structure that says its own size, all but that.
///
/// # Safety
///
/// `to` is null, or `to->size` may be read, and so many bytes may be written.
pub(crate) unsafe fn answer<T: SaysSize>(to: *mut T, value: impl FnOnce() -> Result<T, Status>) -> Result<(), Status> {
    // SAFETY: the duty is the caller's by this function's own.
    let size = unsafe { size_of_caller(to) }?;
    let value = value()?;
    // SAFETY: so many bytes may be written by the caller's duty, and the size has passed the check.
    unsafe { fill(to, &value, size_of::<usize>(), size) };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C)]
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Now {
        size: usize,
        first: u64,
        later: u64,
    }

    impl Grows for Now {
        const FIRST: usize = 16;
    }
    impl SaysSize for Now {}

    fn filled(size: usize) -> ([u64; 6], Result<(), Status>) {
        let mut memory = [u64::MAX; 6];
        memory[0] = size as u64;
        // SAFETY: no test says a size that is longer than the array and passes the check.
        let status = unsafe { answer(memory.as_mut_ptr().cast(), || Ok(Now { size: 0, first: 1, later: 2 })) };
        (memory, status)
    }

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn a_structure_gets_as_much_as_it_has_room_for() {
        const OTHER: u64 = u64::MAX;
        assert_eq!(filled(16), ([16, 1, OTHER, OTHER, OTHER, OTHER], Ok(())));
        assert_eq!(filled(24), ([24, 1, 2, OTHER, OTHER, OTHER], Ok(())));
        assert_eq!(filled(40), ([40, 1, 2, 0, 0, OTHER], Ok(())));
    }

    #[test]
    fn a_size_that_no_header_had_is_told() {
        for size in [0, 15, LONGEST + 1, usize::MAX] {
            assert_eq!(filled(size).1, Err(Status::ConnlimitBadSize), "{size}");
        }
    }
}
