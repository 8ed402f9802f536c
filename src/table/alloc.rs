//! Memory that may be denied. Every allocation of a table goes through here, and answers `None` where a box would abort
//! the process: an admission that finds no memory is rejected like one that finds no room.

use crate::sync::AtomicPtr;
#[cfg(not(connlimit_model))]
use core::ptr::NonNull;

/// A box with `value` in it.
#[cfg(not(connlimit_model))]
pub(super) fn boxed<T>(value: T) -> Option<Box<T>> {
    let memory = allocate(layout::<T>(), std::alloc::alloc)?.cast::<T>();
    // SAFETY: fresh memory of the right layout.
    unsafe { memory.write(value) };
    // SAFETY: allocated as a box would be, and initialised above.
    Some(unsafe { Box::from_raw(memory.as_ptr()) })
}

/// Memory for a `T`, as a box would have it, full of zeroes. Its provenance is exposed, for `Counter::orphan`.
#[cfg(not(connlimit_model))]
pub(super) fn zeroed<T>() -> Option<NonNull<T>> {
    let memory = allocate(layout::<T>(), std::alloc::alloc_zeroed)?;
    memory.as_ptr().expose_provenance();
    Some(memory.cast())
}

/// As many null pointers as `len` says.
#[cfg(not(connlimit_model))]
pub(super) fn null_pointers<T>(len: usize) -> Option<Box<[AtomicPtr<T>]>> {
    let layout = core::alloc::Layout::array::<AtomicPtr<T>>(len).ok().filter(|layout| layout.size() > 0)?;
    // The allocator has zeroed pages for a large array: nobody writes all of it at once.
    let memory = allocate(layout, std::alloc::alloc_zeroed)?.cast::<AtomicPtr<T>>();
    let array = core::ptr::slice_from_raw_parts_mut(memory.as_ptr(), len);
    // SAFETY: allocated as a box of such an array would be; a null pointer is zeroes.
    Some(unsafe { Box::from_raw(array) })
}

/// Whether the allocator would give so many bytes at once. Nothing is touched: a system that promises more memory than
/// it has still says no to what is out of all proportion, before page after page has brought it down.
#[cfg(not(connlimit_model))]
pub(super) fn is_to_be_had(bytes: usize) -> bool {
    let Some(layout) = core::alloc::Layout::from_size_align(bytes.max(1), 1).ok() else {
        return false;
    };
    let Some(memory) = allocate(layout, std::alloc::alloc) else {
        return false;
    };
    // SAFETY: allocated above, with this layout.
    unsafe { std::alloc::dealloc(core::hint::black_box(memory.as_ptr()), layout) };
    true
}

#[cfg(not(connlimit_model))]
const fn layout<T>() -> core::alloc::Layout {
    const { assert!(size_of::<T>() > 0) };
    core::alloc::Layout::new::<T>()
}

#[cfg(not(connlimit_model))]
fn allocate(layout: core::alloc::Layout, by: unsafe fn(core::alloc::Layout) -> *mut u8) -> Option<NonNull<u8>> {
    debug_assert!(layout.size() > 0);
    // SAFETY: the layout is of some size; both of the allocator's functions ask for no more.
    NonNull::new(unsafe { by(layout) })
}

/// A model's memory is a box, which loom tracks.
#[cfg(connlimit_model)]
#[expect(clippy::unnecessary_wraps, reason = "as in normal builds")]
pub(super) fn boxed<T>(value: T) -> Option<Box<T>> {
    Some(Box::new(value))
}

#[cfg(connlimit_model)]
#[expect(clippy::unnecessary_wraps, reason = "as in normal builds")]
pub(super) fn null_pointers<T>(len: usize) -> Option<Box<[AtomicPtr<T>]>> {
    Some((0..len).map(|_| AtomicPtr::new(core::ptr::null_mut())).collect())
}

#[cfg(connlimit_model)]
pub(super) const fn is_to_be_had(_: usize) -> bool {
    true
}
