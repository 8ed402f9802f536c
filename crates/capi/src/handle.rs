//! Objects behind opaque pointers. The first word tells what an object is, and is read before anything else is
//! believed.

use crate::status::Status;
use core::alloc::Layout;
use core::ptr::{self, NonNull};
use std::alloc::alloc;

/// What a pointer that a caller holds leads to.
#[repr(C)]
struct Object<T> {
    /// First, so that a check reads nothing but the first eight bytes.
    tag: u64,
    value: T,
}

/// What can be behind an opaque pointer.
pub(crate) trait Opaque: Sized {
    /// What a caller's pointer points to, as the header has it.
    type Handle;
    /// Any number that other memory is unlikely to begin with.
    const TAG: u64;
    /// The pointer leads to something else.
    const NOT_ONE: Status;
}

/// Puts a new object on the heap and its pointer into `*to`, which is null if that fails.
///
/// # Safety
///
/// `to` is null, or points to a pointer that may be written.
pub(crate) unsafe fn create<T: Opaque>(
    to: *mut *mut T::Handle,
    value: impl FnOnce() -> Result<T, Status>,
) -> Result<(), Status> {
    // SAFETY: the duty is the caller's by this function's own.
    unsafe { write(to, ptr::null_mut()) }?;
    let object = place(Object { tag: T::TAG, value: value()? })?;
    // SAFETY: the duty is the caller's by this function's own.
    unsafe { write(to, object.as_ptr().cast()) }
}

/// `Box::new` would end the process for want of memory.
fn place<T>(object: Object<T>) -> Result<NonNull<Object<T>>, Status> {
    // SAFETY: an object is at least as large as its tag.
    let memory = unsafe { alloc(Layout::new::<Object<T>>()) };
    let memory = NonNull::new(memory.cast::<Object<T>>()).ok_or(Status::ConnlimitNoMemory)?;
    // SAFETY: fresh, and laid out for it.
    unsafe { memory.write(object) };
    Ok(memory)
}

/// The object behind a pointer.
///
/// # Safety
///
/// `handle` is null, or at least eight bytes may be read from it, and if they are the tag it comes from [`create`], is
/// not destroyed during `'a`, and nobody changes it meanwhile through [`get_mut`].
#[inline(always)]
pub(crate) unsafe fn get<'a, T: Opaque>(handle: *const T::Handle) -> Result<&'a T, Status> {
    // SAFETY: the duty is the caller's by this function's own.
    unsafe { check::<T>(handle) }?;
    // SAFETY: the tag has shown that it comes from `create`; it is not destroyed by the caller's duty.
    Ok(unsafe { &(*handle.cast::<Object<T>>()).value })
}

/// The object behind a pointer, to be changed.
///
/// # Safety
///
/// As for [`get`], and nobody else uses it during `'a`.
pub(crate) unsafe fn get_mut<'a, T: Opaque>(handle: *mut T::Handle) -> Result<&'a mut T, Status> {
    // SAFETY: the duty is the caller's by this function's own.
    unsafe { check::<T>(handle) }?;
    // SAFETY: the tag has shown that it comes from `create`; nobody else uses it by the caller's duty.
    Ok(unsafe { &mut (*handle.cast::<Object<T>>()).value })
}

/// Ends the object behind `*handle`, and sets `*handle` to null.
///
/// # Safety
///
/// `handle` is null, or points to a pointer that may be read and written. That pointer is as for [`get`], and nobody
/// uses the object any more.
pub(crate) unsafe fn destroy<T: Opaque>(handle: *mut *mut T::Handle) -> Result<(), Status> {
    if handle.is_null() {
        return Err(Status::ConnlimitNullPointer);
    }
    // SAFETY: not null, so it may be read by the caller's duty.
    let object = unsafe { handle.read() };
    // SAFETY: the duty is the caller's by this function's own.
    unsafe { check::<T>(object) }?;
    // SAFETY: not null, so it may be written by the caller's duty.
    unsafe { handle.write(ptr::null_mut()) };
    // So that another use is told, as long as nothing else has taken the memory.
    // SAFETY: the tag has shown that it comes from `create`, and nobody uses it by the caller's duty.
    unsafe { object.cast::<u64>().write(!T::TAG) };
    // SAFETY: allocated in `place` with the layout that a box has, and not freed before by the caller's duty.
    drop(unsafe { Box::from_raw(object.cast::<Object<T>>()) });
    Ok(())
}

/// # Safety
///
/// `handle` is null, or at least eight bytes may be read from it.
#[inline(always)]
unsafe fn check<T: Opaque>(handle: *const T::Handle) -> Result<(), Status> {
    let object = handle.cast::<Object<T>>();
    if object.is_null() {
        return Err(Status::ConnlimitNullPointer);
    }
    // SAFETY: eight bytes may be read by the caller's duty, aligned or not; any bytes are an integer.
    if unsafe { object.cast::<u64>().read_unaligned() } != T::TAG {
        return Err(T::NOT_ONE);
    }
    Ok(())
}

/// Writes a result.
///
/// # Safety
///
/// `to` is null, or may be written.
pub(crate) const unsafe fn write<T: Copy>(to: *mut T, value: T) -> Result<(), Status> {
    if to.is_null() {
        return Err(Status::ConnlimitNullPointer);
    }
    // SAFETY: not null, so it may be written by the caller's duty.
    unsafe { to.write_unaligned(value) };
    Ok(())
}
