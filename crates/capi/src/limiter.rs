//! The limiter behind an opaque pointer.

use crate::permit::{ConnlimitPermit, put, vacant};
use crate::sockaddr::client;
use crate::status::{Status, guarded};
use connlimit::{Client, Config, Limiter, config::Limit};
use core::ffi::c_void;
use core::ptr;
use core::slice;
use libc::{sockaddr, socklen_t};

/// A handle of a limiter. All handles made by `connlimit_clone` share one limiter.
///
/// Any number of threads may use one handle at once, except that nobody may use it during and after its
/// `connlimit_destroy`.
#[derive(Debug)]
pub struct ConnlimitLimiter {
    _private: (),
}

/// What an operator may set. A member that is 0 has its default, so `{0}` is a valid configuration.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct ConnlimitConfig {
    /// Connections that one client may have open. The default is no limit: connections are only counted.
    pub max_per_client: u32,
    /// Leading bits of an IPv4 address that make a client, at most 32. The default is 32.
    pub ipv4_prefix: u32,
    /// Leading bits of an IPv6 address that make a client, at most 128. The default is 128; 64 is what most
    /// servers want.
    pub ipv6_prefix: u32,
    /// Upper bound on the memory of the tables, in bytes, at least 1 MiB. The default is 256 MiB.
    pub table_memory: usize,
}

/// What the pointer leads to.
#[repr(C)]
struct Handle {
    /// First, so that a check reads nothing but the first eight bytes.
    tag: u64,
    limiter: Limiter,
}

/// Any number that other memory is unlikely to begin with.
const TAG: u64 = 0xd1a5_4c0e_9b67_f23b;

/// Makes a limiter.
///
/// The handle goes to `*limiter` and ends with `connlimit_destroy`. On failure `*limiter` is null.
///
/// # Safety
///
/// `config` is null or points to a `connlimit_config`; `limiter` is null or points to a pointer that may be
/// written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_create(
    config: *const ConnlimitConfig,
    limiter: *mut *mut ConnlimitLimiter,
) -> Status {
    guarded(|| {
        // SAFETY: the duty is the caller's by this function's own.
        unsafe { write(limiter, ptr::null_mut()) }?;
        if config.is_null() {
            return Err(Status::ConnlimitNullPointer);
        }
        // SAFETY: not null, so it points to a configuration, whose members may have any value.
        let config = unsafe { config.read_unaligned() };
        let made = Limiter::new(build(config)?);
        // SAFETY: the duty is the caller's by this function's own.
        unsafe { write(limiter, handle(made)) }
    })
}

/// Makes another handle of the same limiter.
///
/// The handle goes to `*copy` and ends with a `connlimit_destroy` of its own. On failure `*copy` is null.
///
/// # Safety
///
/// 1. `limiter` is null, or at least eight bytes may be read from it, and it is no handle that was destroyed.
/// 2. `copy` is null or points to a pointer that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_clone(limiter: *const ConnlimitLimiter, copy: *mut *mut ConnlimitLimiter) -> Status {
    guarded(|| {
        // SAFETY: duty 2 is the caller's by this function's own.
        unsafe { write(copy, ptr::null_mut()) }?;
        // SAFETY: duty 1 is the caller's by this function's own.
        let limiter = unsafe { limiter_of(limiter) }?;
        // SAFETY: duty 2 is the caller's by this function's own.
        unsafe { write(copy, handle(limiter.clone())) }
    })
}

/// Ends a handle, and the limiter with its last handle. Sets `*limiter` to null.
///
/// Permits that are out stay valid and have to be released as before. Destroying a null handle does nothing but
/// return `CONNLIMIT_NULL_POINTER`.
///
/// # Safety
///
/// 1. `limiter` is null or points to a pointer that may be read and written, and no other thread uses the handle.
/// 2. `*limiter` is null, or at least eight bytes may be read from it, and it is no handle that was destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_destroy(limiter: *mut *mut ConnlimitLimiter) -> Status {
    guarded(|| {
        if limiter.is_null() {
            return Err(Status::ConnlimitNullPointer);
        }
        // SAFETY: not null, so it may be read by the caller's duty 1.
        let raw = unsafe { limiter.read() };
        // SAFETY: duty 2 is the caller's by this function's own.
        unsafe { limiter_of(raw) }?;
        // SAFETY: not null, so it may be written by the caller's duty 1.
        unsafe { limiter.write(ptr::null_mut()) };
        // SAFETY: the tag has shown that it comes from `handle`, which made it with `Box::into_raw`; by duty 2 it
        // was not destroyed before, and by duty 1 nobody uses it now.
        drop(unsafe { Box::from_raw(raw.cast::<Handle>()) });
        Ok(())
    })
}

/// Counts one more connection of the peer at a socket address, as `accept` and `getpeername` return it.
///
/// `permit` has to be empty (zeroed or released) before, and stands for the connection until `connlimit_release`.
/// When the result is not `CONNLIMIT_OK` the permit is left as it was and nothing is counted.
///
/// An IPv4-mapped IPv6 address is the IPv4 client. Ports and scope identifiers do not matter. A peer on a Unix
/// socket is the client with the name `unix:` and its path. A path that begins with a zero byte is a name of
/// Linux's abstract kind, zero bytes included. Sockets that were not bound, which most clients' are, have no
/// path: they are one client, named `unix:`. A local peer chooses its own path; where that matters, name the
/// client by its credentials with `connlimit_try_acquire_named`.
///
/// `len` must not exceed the buffer. `accept` returns the full length of an address even when it had to truncate
/// it, so give it a `struct sockaddr_storage`.
///
/// # Safety
///
/// 1. `limiter` is null, or at least eight bytes may be read from it, and it is no handle that was destroyed.
/// 2. `addr` is null, or `len` bytes may be read from it, aligned or not.
/// 3. `permit` is null, or points to a `connlimit_permit` that may be read and written, has been zeroed at some
///    time before, and is not used by another thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_try_acquire(
    limiter: *const ConnlimitLimiter,
    addr: *const sockaddr,
    len: socklen_t,
    permit: *mut ConnlimitPermit,
) -> Status {
    guarded(|| {
        // SAFETY: duty 1 is the caller's by this function's own.
        let limiter = unsafe { limiter_of(limiter) }?;
        // SAFETY: duty 2 is the caller's by this function's own.
        let client = unsafe { client(addr, len) }?;
        // SAFETY: duty 3 is the caller's by this function's own.
        unsafe { acquire(limiter, client, permit) }
    })
}

/// Counts one more connection of the client with a name of `len` bytes: a tenant, a user, a vsock id.
///
/// Names are bytes and never collide with addresses. `permit` is treated as by `connlimit_try_acquire`.
///
/// # Safety
///
/// 1. `limiter` is null, or at least eight bytes may be read from it, and it is no handle that was destroyed.
/// 2. `name` is null, or `len` bytes may be read from it.
/// 3. `permit` is null, or points to a `connlimit_permit` that may be read and written, has been zeroed at some
///    time before, and is not used by another thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_try_acquire_named(
    limiter: *const ConnlimitLimiter,
    name: *const c_void,
    len: usize,
    permit: *mut ConnlimitPermit,
) -> Status {
    guarded(|| {
        // SAFETY: duty 1 is the caller's by this function's own.
        let limiter = unsafe { limiter_of(limiter) }?;
        // SAFETY: duty 2 is the caller's by this function's own.
        let client = unsafe { named(name, len) }?;
        // SAFETY: duty 3 is the caller's by this function's own.
        unsafe { acquire(limiter, client, permit) }
    })
}

/// Stores in `*num` how many connections the peer at a socket address has open.
///
/// Other threads may change the number before the caller reads it. When the result is not `CONNLIMIT_OK`, `*num`
/// is left as it was.
///
/// # Safety
///
/// 1. `limiter` is null, or at least eight bytes may be read from it, and it is no handle that was destroyed.
/// 2. `addr` is null, or `len` bytes may be read from it, aligned or not.
/// 3. `num` is null or points to a `uint32_t` that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_open_connections(
    limiter: *const ConnlimitLimiter,
    addr: *const sockaddr,
    len: socklen_t,
    num: *mut u32,
) -> Status {
    guarded(|| {
        // SAFETY: duty 1 is the caller's by this function's own.
        let limiter = unsafe { limiter_of(limiter) }?;
        // SAFETY: duty 2 is the caller's by this function's own.
        let client = unsafe { client(addr, len) }?;
        // SAFETY: duty 3 is the caller's by this function's own.
        unsafe { write(num, limiter.open_connections(client)) }
    })
}

/// Stores in `*num` how many connections the client with a name of `len` bytes has open.
///
/// # Safety
///
/// 1. `limiter` is null, or at least eight bytes may be read from it, and it is no handle that was destroyed.
/// 2. `name` is null, or `len` bytes may be read from it.
/// 3. `num` is null or points to a `uint32_t` that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_open_connections_named(
    limiter: *const ConnlimitLimiter,
    name: *const c_void,
    len: usize,
    num: *mut u32,
) -> Status {
    guarded(|| {
        // SAFETY: duty 1 is the caller's by this function's own.
        let limiter = unsafe { limiter_of(limiter) }?;
        // SAFETY: duty 2 is the caller's by this function's own.
        let client = unsafe { named(name, len) }?;
        // SAFETY: duty 3 is the caller's by this function's own.
        unsafe { write(num, limiter.open_connections(client)) }
    })
}

/// Changes how many connections one client may have open; 0 means no limit.
///
/// Calls of `connlimit_try_acquire` that begin afterwards obey it. Open connections stay open: a client may have
/// more than a lowered limit until enough of them are released.
///
/// # Safety
///
/// `limiter` is null, or at least eight bytes may be read from it, and it is no handle that was destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_set_limit(limiter: *const ConnlimitLimiter, max_per_client: u32) -> Status {
    guarded(|| {
        // SAFETY: the duty is the caller's by this function's own.
        let limiter = unsafe { limiter_of(limiter) }?;
        limiter.update_config(|config| config.with_max_per_client(limit(max_per_client)))?;
        Ok(())
    })
}

fn build(raw: ConnlimitConfig) -> Result<Config, Status> {
    // No `u8` is above its family's limit and wraps to a valid one.
    let bits = |prefix: u32| u8::try_from(prefix).unwrap_or(u8::MAX);
    let mut config = Config::new(limit(raw.max_per_client));
    if raw.ipv4_prefix != 0 {
        config = config.with_ipv4_prefix(bits(raw.ipv4_prefix))?;
    }
    if raw.ipv6_prefix != 0 {
        config = config.with_ipv6_prefix(bits(raw.ipv6_prefix))?;
    }
    if raw.table_memory != 0 {
        config = config.with_table_memory(raw.table_memory);
    }
    Ok(config)
}

fn handle(limiter: Limiter) -> *mut ConnlimitLimiter {
    Box::into_raw(Box::new(Handle { tag: TAG, limiter })).cast()
}

/// The limiter behind a handle.
///
/// # Safety
///
/// `raw` is null, or at least eight bytes may be read from it, and if they are the tag it comes from [`handle`] and
/// is not destroyed during `'a`.
unsafe fn limiter_of<'a>(raw: *const ConnlimitLimiter) -> Result<&'a Limiter, Status> {
    let handle = raw.cast::<Handle>();
    if handle.is_null() {
        return Err(Status::ConnlimitNullPointer);
    }
    if !handle.is_aligned() {
        return Err(Status::ConnlimitNotALimiter);
    }
    // SAFETY: eight bytes may be read by the caller's duty; they are aligned; any bytes are an integer.
    if unsafe { handle.cast::<u64>().read() } != TAG {
        return Err(Status::ConnlimitNotALimiter);
    }
    // SAFETY: the tag has shown that it comes from `handle`; it is not destroyed by the caller's duty.
    Ok(unsafe { &(*handle).limiter })
}

/// The client with a name.
///
/// # Safety
///
/// `name` is null, or `len` bytes may be read from it.
unsafe fn named(name: *const c_void, len: usize) -> Result<Client, Status> {
    if name.is_null() {
        return Err(Status::ConnlimitNullPointer);
    }
    if isize::try_from(len).is_err() {
        return Err(Status::ConnlimitBadLength);
    }
    // SAFETY: not null, not longer than an object can be, and readable by the caller's duty.
    Ok(Client::named(unsafe { slice::from_raw_parts(name.cast::<u8>(), len) }))
}

/// Admits a client into a permit.
///
/// # Safety
///
/// `permit` is null, or points to a permit that may be read and written.
unsafe fn acquire(limiter: &Limiter, client: Client, permit: *mut ConnlimitPermit) -> Result<(), Status> {
    // SAFETY: the duty is the caller's by this function's own.
    unsafe { vacant(permit) }?;
    let open = limiter.try_acquire(client)?;
    // SAFETY: the duty is the caller's by this function's own.
    unsafe { put(permit, open) }
}

/// Writes a result.
///
/// # Safety
///
/// `to` is null, or may be written.
const unsafe fn write<T: Copy>(to: *mut T, value: T) -> Result<(), Status> {
    if to.is_null() {
        return Err(Status::ConnlimitNullPointer);
    }
    // SAFETY: not null, so it may be written by the caller's duty.
    unsafe { to.write_unaligned(value) };
    Ok(())
}

/// In C, 0 is no limit.
const fn limit(max_per_client: u32) -> Limit {
    if max_per_client == 0 { Limit::Unlimited } else { Limit::AtMost(max_per_client) }
}
