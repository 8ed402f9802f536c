//! Admissions: one more connection of a client, or none.

use crate::address::{Address, Ip, Name, Sockaddr};
use crate::handle;
use crate::limiter::ConnlimitLimiter;
use crate::permit::{ConnlimitPermit, Vacant};
use crate::status::{Status, guarded};
use connlimit::Limiter;
use core::ffi::c_void;
use core::net::{IpAddr, Ipv4Addr};
use libc::{sockaddr, socklen_t};

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
///    time before, and is not filled by another thread.
#[must_use = "a connection that was rejected is not counted"]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_try_acquire(
    limiter: *const ConnlimitLimiter,
    addr: *const sockaddr,
    len: socklen_t,
    permit: *mut ConnlimitPermit,
) -> Status {
    guarded(|| {
        // SAFETY: duty 1 is the caller's by this function's own.
        let limiter = unsafe { handle::get::<Limiter>(limiter) }?;
        // SAFETY: duty 2 is the caller's by this function's own.
        let addr = unsafe { Sockaddr::new(addr, len) }?;
        // SAFETY: duty 3 is the caller's by this function's own.
        let vacant = unsafe { Vacant::new(permit) }?;
        acquire(limiter, &addr, vacant)
    })
}

/// Counts one more connection of the client at an IP address: 4 or 16 bytes in network order, as in `struct in_addr`,
/// `struct in6_addr`, and what a trusted proxy says of a client.
///
/// For the rest it is as `connlimit_try_acquire`.
///
/// # Safety
///
/// 1. As for `connlimit_try_acquire`, duties 1 and 3.
/// 2. `bytes` is null, or `len` bytes may be read from it.
#[must_use = "a connection that was rejected is not counted"]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_try_acquire_ip(
    limiter: *const ConnlimitLimiter,
    bytes: *const c_void,
    len: usize,
    permit: *mut ConnlimitPermit,
) -> Status {
    guarded(|| {
        // SAFETY: duty 1 is the caller's by this function's own.
        let limiter = unsafe { handle::get::<Limiter>(limiter) }?;
        // SAFETY: duty 2 is the caller's by this function's own.
        let ip = unsafe { Ip::new(bytes, len) }?;
        // SAFETY: duty 1 is the caller's by this function's own.
        let vacant = unsafe { Vacant::new(permit) }?;
        acquire(limiter, &ip, vacant)
    })
}

/// Counts one more connection of the client with a name of `len` bytes: a tenant, a user, a vsock id.
///
/// Names are bytes and never collide with addresses. For the rest it is as `connlimit_try_acquire`.
///
/// # Safety
///
/// 1. As for `connlimit_try_acquire`, duties 1 and 3.
/// 2. `name` is null, or `len` bytes may be read from it.
#[must_use = "a connection that was rejected is not counted"]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_try_acquire_named(
    limiter: *const ConnlimitLimiter,
    name: *const c_void,
    len: usize,
    permit: *mut ConnlimitPermit,
) -> Status {
    guarded(|| {
        // SAFETY: duty 1 is the caller's by this function's own.
        let limiter = unsafe { handle::get::<Limiter>(limiter) }?;
        // SAFETY: duty 2 is the caller's by this function's own.
        let name = unsafe { Name::new(name, len) }?;
        // SAFETY: duty 1 is the caller's by this function's own.
        let vacant = unsafe { Vacant::new(permit) }?;
        acquire(limiter, &name, vacant)
    })
}

/// Admits or rejects a connection of which the server cannot tell whose it is: `getpeername` has failed, or a proxy says
/// `UNKNOWN`. `CONNLIMIT_UNKNOWN_PEERS` decides.
///
/// # Safety
///
/// As for `connlimit_try_acquire`, duties 1 and 3.
#[must_use = "a connection that was rejected is not counted"]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_try_acquire_unknown(
    limiter: *const ConnlimitLimiter,
    permit: *mut ConnlimitPermit,
) -> Status {
    guarded(|| {
        // SAFETY: the duty is the caller's by this function's own.
        let limiter = unsafe { handle::get::<Limiter>(limiter) }?;
        // SAFETY: the duty is the caller's by this function's own.
        let vacant = unsafe { Vacant::new(permit) }?;
        vacant.put(limiter.try_acquire_peer(None::<IpAddr>)?);
        Ok(())
    })
}

/// Counts one more connection like `connlimit_try_acquire`, with a limit of the caller's in place of the configuration's.
///
/// After an admission the client has at most `limit` connections open, whichever limits other calls named; 0 rejects. It
/// takes the place of `CONNLIMIT_MAX_PER_CLIENT` and of the limit that a rule names. A tenant's plan, for instance.
///
/// # Safety
///
/// As for `connlimit_try_acquire`.
#[must_use = "a connection that was rejected is not counted"]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_try_acquire_within(
    limiter: *const ConnlimitLimiter,
    addr: *const sockaddr,
    len: socklen_t,
    limit: u32,
    permit: *mut ConnlimitPermit,
) -> Status {
    guarded(|| {
        // SAFETY: the duty is the caller's by this function's own.
        let limiter = unsafe { handle::get::<Limiter>(limiter) }?;
        // SAFETY: the duty is the caller's by this function's own.
        let address = unsafe { Sockaddr::new(addr, len) }?;
        // SAFETY: the duty is the caller's by this function's own.
        let vacant = unsafe { Vacant::new(permit) }?;
        vacant.put(limiter.try_acquire_within(address.client()?, limit)?);
        Ok(())
    })
}

/// Counts one more connection like `connlimit_try_acquire_ip`, with a limit of the caller's in place of the configuration's.
///
/// # Safety
///
/// As for `connlimit_try_acquire_ip`.
#[must_use = "a connection that was rejected is not counted"]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_try_acquire_within_ip(
    limiter: *const ConnlimitLimiter,
    bytes: *const c_void,
    len: usize,
    limit: u32,
    permit: *mut ConnlimitPermit,
) -> Status {
    guarded(|| {
        // SAFETY: the duty is the caller's by this function's own.
        let limiter = unsafe { handle::get::<Limiter>(limiter) }?;
        // SAFETY: the duty is the caller's by this function's own.
        let address = unsafe { Ip::new(bytes, len) }?;
        // SAFETY: the duty is the caller's by this function's own.
        let vacant = unsafe { Vacant::new(permit) }?;
        vacant.put(limiter.try_acquire_within(address.client()?, limit)?);
        Ok(())
    })
}

/// Counts one more connection like `connlimit_try_acquire_named`, with a limit of the caller's in place of the configuration's.
///
/// # Safety
///
/// As for `connlimit_try_acquire_named`.
#[must_use = "a connection that was rejected is not counted"]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_try_acquire_within_named(
    limiter: *const ConnlimitLimiter,
    name: *const c_void,
    len: usize,
    limit: u32,
    permit: *mut ConnlimitPermit,
) -> Status {
    guarded(|| {
        // SAFETY: the duty is the caller's by this function's own.
        let limiter = unsafe { handle::get::<Limiter>(limiter) }?;
        // SAFETY: the duty is the caller's by this function's own.
        let address = unsafe { Name::new(name, len) }?;
        // SAFETY: the duty is the caller's by this function's own.
        let vacant = unsafe { Vacant::new(permit) }?;
        vacant.put(limiter.try_acquire_within(address.client()?, limit)?);
        Ok(())
    })
}

#[inline(always)]
fn acquire(limiter: &Limiter, address: &impl Address, vacant: Vacant<'_>) -> Result<(), Status> {
    // The way of most, from end to end in registers.
    if let Some(v4) = address.ipv4() {
        return acquire_ipv4(limiter, v4, vacant);
    }
    acquire_other(limiter, address, vacant)
}

#[inline(never)]
fn acquire_other(limiter: &Limiter, address: &impl Address, vacant: Vacant<'_>) -> Result<(), Status> {
    vacant.put(limiter.try_acquire(address.client()?)?);
    Ok(())
}

#[inline(never)]
fn acquire_ipv4(limiter: &Limiter, addr: Ipv4Addr, vacant: Vacant<'_>) -> Result<(), Status> {
    vacant.put(limiter.try_acquire(addr)?);
    Ok(())
}
