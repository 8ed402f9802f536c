//! How many connections a client has, and how near to its limit that is.

use crate::address::{Address, Ip, Name, Sockaddr};
use crate::config::number_of;
use crate::handle::{self, write};
use crate::limiter::ConnlimitLimiter;
use crate::permit::{ConnlimitPermit, Vacant};
use crate::sized::{self, Grows, SaysSize};
use crate::status::{Status, guarded};
use connlimit::{
    Limiter,
    stats::{Usage, Zone},
};
use core::ffi::c_void;
use core::mem::offset_of;
use libc::{sockaddr, socklen_t};

/// What a client has of what it may have. Zero it, and set `size` to `sizeof(connlimit_client_usage)`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ConnlimitClientUsage {
    /// Bytes of this structure, as the caller knows it.
    pub size: usize,
    /// Connections that the client has open; 0 when it is not tracked.
    pub open_connections: u32,
    /// Connections that it may have open, by the rule for it or the limit for everybody; `CONNLIMIT_NO_LIMIT` is any
    /// number.
    pub limit: u32,
    /// A `connlimit_zone`.
    pub zone: i32,
    /// Room. 0.
    pub reserved: u32,
}

impl Grows for ConnlimitClientUsage {
    const FIRST: usize = offset_of!(Self, reserved) + size_of::<u32>();
}

impl SaysSize for ConnlimitClientUsage {}

/// How near to its limit a client is.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageZone {
    /// No limit is above its soft share, or there is no share or no limit.
    ConnlimitNormal = 0,
    /// Above `CONNLIMIT_SOFT_PERCENT` of its own limit, a tier's or the total's: a server may give it less, shorter
    /// time-outs for instance.
    ConnlimitSoft = 1,
}

impl ConnlimitClientUsage {
    const fn new(usage: Usage) -> Self {
        let zone = match usage.zone {
            Zone::Soft => UsageZone::ConnlimitSoft,
            _ => UsageZone::ConnlimitNormal,
        };
        Self {
            size: size_of::<Self>(),
            open_connections: usage.open_connections,
            limit: number_of(usage.limit),
            zone: zone as i32,
            reserved: 0,
        }
    }
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
        let limiter = unsafe { handle::get::<Limiter>(limiter) }?;
        // SAFETY: duty 2 is the caller's by this function's own.
        let address = unsafe { Sockaddr::new(addr, len) }?;
        // SAFETY: duty 3 is the caller's by this function's own.
        unsafe { write(num, open_connections(limiter, &address)?) }
    })
}

/// Stores in `*num` how many connections the client at an IP address of 4 or 16 bytes has open.
///
/// # Safety
///
/// 1. `limiter` is null, or at least eight bytes may be read from it, and it is no handle that was destroyed.
/// 2. `bytes` is null, or `len` bytes may be read from it, aligned or not.
/// 3. `num` is null or points to a `uint32_t` that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_open_connections_ip(
    limiter: *const ConnlimitLimiter,
    bytes: *const c_void,
    len: usize,
    num: *mut u32,
) -> Status {
    guarded(|| {
        // SAFETY: duty 1 is the caller's by this function's own.
        let limiter = unsafe { handle::get::<Limiter>(limiter) }?;
        // SAFETY: duty 2 is the caller's by this function's own.
        let address = unsafe { Ip::new(bytes, len) }?;
        // SAFETY: duty 3 is the caller's by this function's own.
        unsafe { write(num, open_connections(limiter, &address)?) }
    })
}

/// Stores in `*num` how many connections the client with a name of `len` bytes has open.
///
/// # Safety
///
/// 1. `limiter` is null, or at least eight bytes may be read from it, and it is no handle that was destroyed.
/// 2. `name` is null, or `len` bytes may be read from it, aligned or not.
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
        let limiter = unsafe { handle::get::<Limiter>(limiter) }?;
        // SAFETY: duty 2 is the caller's by this function's own.
        let address = unsafe { Name::new(name, len) }?;
        // SAFETY: duty 3 is the caller's by this function's own.
        unsafe { write(num, open_connections(limiter, &address)?) }
    })
}

/// Fills `*usage` with what the peer at a socket address has now of what it may have.
///
/// # Safety
///
/// 1. `limiter` is null, or at least eight bytes may be read from it, and it is no handle that was destroyed.
/// 2. `addr` is null, or `len` bytes may be read from it, aligned or not.
/// 3. `usage` is null, or as many bytes may be read and written as its `size` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_usage(
    limiter: *const ConnlimitLimiter,
    addr: *const sockaddr,
    len: socklen_t,
    usage: *mut ConnlimitClientUsage,
) -> Status {
    guarded(|| {
        // SAFETY: duty 1 is the caller's by this function's own.
        let limiter = unsafe { handle::get::<Limiter>(limiter) }?;
        // SAFETY: duty 2 is the caller's by this function's own.
        let address = unsafe { Sockaddr::new(addr, len) }?;
        // SAFETY: duty 3 is the caller's by this function's own.
        unsafe { sized::answer(usage, || usage_of(limiter, &address)) }
    })
}

/// Fills `*usage` with what the client at an IP address of 4 or 16 bytes has now of what it may have.
///
/// # Safety
///
/// 1. `limiter` is null, or at least eight bytes may be read from it, and it is no handle that was destroyed.
/// 2. `bytes` is null, or `len` bytes may be read from it, aligned or not.
/// 3. `usage` is null, or as many bytes may be read and written as its `size` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_usage_ip(
    limiter: *const ConnlimitLimiter,
    bytes: *const c_void,
    len: usize,
    usage: *mut ConnlimitClientUsage,
) -> Status {
    guarded(|| {
        // SAFETY: duty 1 is the caller's by this function's own.
        let limiter = unsafe { handle::get::<Limiter>(limiter) }?;
        // SAFETY: duty 2 is the caller's by this function's own.
        let address = unsafe { Ip::new(bytes, len) }?;
        // SAFETY: duty 3 is the caller's by this function's own.
        unsafe { sized::answer(usage, || usage_of(limiter, &address)) }
    })
}

/// Fills `*usage` with what the client with a name of `len` bytes has now of what it may have.
///
/// # Safety
///
/// 1. `limiter` is null, or at least eight bytes may be read from it, and it is no handle that was destroyed.
/// 2. `name` is null, or `len` bytes may be read from it, aligned or not.
/// 3. `usage` is null, or as many bytes may be read and written as its `size` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_usage_named(
    limiter: *const ConnlimitLimiter,
    name: *const c_void,
    len: usize,
    usage: *mut ConnlimitClientUsage,
) -> Status {
    guarded(|| {
        // SAFETY: duty 1 is the caller's by this function's own.
        let limiter = unsafe { handle::get::<Limiter>(limiter) }?;
        // SAFETY: duty 2 is the caller's by this function's own.
        let address = unsafe { Name::new(name, len) }?;
        // SAFETY: duty 3 is the caller's by this function's own.
        unsafe { sized::answer(usage, || usage_of(limiter, &address)) }
    })
}

/// Counts one more connection like `connlimit_try_acquire`, and fills `*usage` with how near to its limit the client has come.
///
/// When the result is not `CONNLIMIT_OK`, `*usage` is left as it was.
///
/// # Safety
///
/// As for `connlimit_try_acquire`; and `usage` is null, or as many bytes may be read and written as its `size` says.
#[must_use = "a connection that was rejected is not counted"]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_try_acquire_with_usage(
    limiter: *const ConnlimitLimiter,
    addr: *const sockaddr,
    len: socklen_t,
    permit: *mut ConnlimitPermit,
    usage: *mut ConnlimitClientUsage,
) -> Status {
    guarded(|| {
        // SAFETY: the duty is the caller's by this function's own.
        let limiter = unsafe { handle::get::<Limiter>(limiter) }?;
        // SAFETY: the duty is the caller's by this function's own.
        let address = unsafe { Sockaddr::new(addr, len) }?;
        // SAFETY: the duty is the caller's by this function's own.
        let vacant = unsafe { Vacant::new(permit) }?;
        // SAFETY: the duty is the caller's by this function's own.
        unsafe { sized::answer(usage, || acquire(limiter, &address, vacant)) }
    })
}

/// Counts one more connection like `connlimit_try_acquire_ip`, and fills `*usage` with how near to its limit the client has come.
///
/// When the result is not `CONNLIMIT_OK`, `*usage` is left as it was.
///
/// # Safety
///
/// As for `connlimit_try_acquire_ip`; and `usage` is null, or as many bytes may be read and written as its `size` says.
#[must_use = "a connection that was rejected is not counted"]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_try_acquire_with_usage_ip(
    limiter: *const ConnlimitLimiter,
    bytes: *const c_void,
    len: usize,
    permit: *mut ConnlimitPermit,
    usage: *mut ConnlimitClientUsage,
) -> Status {
    guarded(|| {
        // SAFETY: the duty is the caller's by this function's own.
        let limiter = unsafe { handle::get::<Limiter>(limiter) }?;
        // SAFETY: the duty is the caller's by this function's own.
        let address = unsafe { Ip::new(bytes, len) }?;
        // SAFETY: the duty is the caller's by this function's own.
        let vacant = unsafe { Vacant::new(permit) }?;
        // SAFETY: the duty is the caller's by this function's own.
        unsafe { sized::answer(usage, || acquire(limiter, &address, vacant)) }
    })
}

/// Counts one more connection like `connlimit_try_acquire_named`, and fills `*usage` with how near to its limit the client has come.
///
/// When the result is not `CONNLIMIT_OK`, `*usage` is left as it was.
///
/// # Safety
///
/// As for `connlimit_try_acquire_named`; and `usage` is null, or as many bytes may be read and written as its `size` says.
#[must_use = "a connection that was rejected is not counted"]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_try_acquire_with_usage_named(
    limiter: *const ConnlimitLimiter,
    name: *const c_void,
    len: usize,
    permit: *mut ConnlimitPermit,
    usage: *mut ConnlimitClientUsage,
) -> Status {
    guarded(|| {
        // SAFETY: the duty is the caller's by this function's own.
        let limiter = unsafe { handle::get::<Limiter>(limiter) }?;
        // SAFETY: the duty is the caller's by this function's own.
        let address = unsafe { Name::new(name, len) }?;
        // SAFETY: the duty is the caller's by this function's own.
        let vacant = unsafe { Vacant::new(permit) }?;
        // SAFETY: the duty is the caller's by this function's own.
        unsafe { sized::answer(usage, || acquire(limiter, &address, vacant)) }
    })
}

#[inline(always)]
fn open_connections(limiter: &Limiter, address: &impl Address) -> Result<u32, Status> {
    Ok(match address.ipv4() {
        Some(v4) => limiter.open_connections(v4),
        None => limiter.open_connections(address.client()?),
    })
}

fn usage_of(limiter: &Limiter, address: &impl Address) -> Result<ConnlimitClientUsage, Status> {
    Ok(ConnlimitClientUsage::new(limiter.usage(address.client()?)))
}

fn acquire(limiter: &Limiter, address: &impl Address, vacant: Vacant<'_>) -> Result<ConnlimitClientUsage, Status> {
    let admission = limiter.try_acquire_with_usage(address.client()?)?;
    let usage = ConnlimitClientUsage::new(admission.usage);
    vacant.put(admission.permit);
    Ok(usage)
}
