//! Several admissions in one call.

use crate::address::{Address, Ip, Name, Sockaddr};
use crate::handle;
use crate::limiter::ConnlimitLimiter;
use crate::permit::{ConnlimitPermit, Vacant};
use crate::sized::{self, Grows};
use crate::status::{Status, guarded};
use connlimit::{Batch, Limiter};
use core::ffi::c_void;
use libc::{sockaddr, socklen_t};

/// One connection of a batch.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ConnlimitArrival {
    /// Whose it is, in the form that `kind` says.
    pub address: *const c_void,
    /// Bytes of `address`.
    pub len: usize,
    /// Gets the connection, as by `connlimit_try_acquire`.
    pub permit: *mut ConnlimitPermit,
    /// A `connlimit_address_kind`.
    pub kind: i32,
    /// What became of it.
    pub status: i32,
}

impl Grows for ConnlimitArrival {
    const FIRST: usize = size_of::<Self>();
}

/// What an address consists of.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressKind {
    /// A `struct sockaddr`, as for `connlimit_try_acquire`.
    ConnlimitSockaddr = 0,
    /// The 4 or 16 bytes of an IP address, as for `connlimit_try_acquire_ip`.
    ConnlimitIp = 1,
    /// A name, as for `connlimit_try_acquire_named`.
    ConnlimitName = 2,
}

/// Counts `n` connections, as so many calls of `connlimit_try_acquire` and its kin would, for the price of one entry
/// into the table: for an accept loop that has several in hand, and for languages in which each call of C is dear.
///
/// `arrivals` is an array of structures that are `size` bytes long: `sizeof(connlimit_arrival)`. Each one's `status`
/// says what became of it. The call itself returns `CONNLIMIT_OK` if all were looked at, admitted or not.
///
/// # Safety
///
/// 1. As for `connlimit_try_acquire`, duty 1.
/// 2. `arrivals` is null, or leads to `n` structures of `size` bytes that may be read and written, and each one's
///    address and permit are as `connlimit_try_acquire` and its kin want them.
#[must_use = "a connection that was rejected is not counted"]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_try_acquire_batch(
    limiter: *const ConnlimitLimiter,
    arrivals: *mut ConnlimitArrival,
    size: usize,
    n: usize,
) -> Status {
    guarded(|| {
        // SAFETY: duty 1 is the caller's by this function's own.
        let limiter = unsafe { handle::get::<Limiter>(limiter) }?;
        if arrivals.is_null() {
            return Err(Status::ConnlimitNullPointer);
        }
        sized::check::<ConnlimitArrival>(size)?;
        let mut batch = limiter.batch();
        for index in 0..n {
            // SAFETY: one of the `n` structures of duty 2.
            let place = unsafe { arrivals.byte_add(index * size) };
            // SAFETY: likewise, and any bytes are one.
            let arrival = unsafe { place.read_unaligned() };
            // SAFETY: duty 2 is the caller's by this function's own.
            let status = unsafe { acquire(&mut batch, &arrival) }.err().unwrap_or(Status::ConnlimitOk);
            // SAFETY: one of the `n` structures of duty 2.
            let answer = unsafe { &raw mut (*place).status };
            // SAFETY: one of the `n` structures of duty 2.
            unsafe { answer.write_unaligned(status as i32) };
        }
        Ok(())
    })
}

/// # Safety
///
/// Address and permit are as `connlimit_try_acquire` and its kin want them.
unsafe fn acquire(batch: &mut Batch<'_>, arrival: &ConnlimitArrival) -> Result<(), Status> {
    let &ConnlimitArrival { address, len, permit, kind, .. } = arrival;
    let client = match kind {
        // SAFETY: the duty is the caller's by this function's own.
        0 => unsafe {
            Sockaddr::new(address.cast::<sockaddr>(), socklen_t::try_from(len).map_err(|_| Status::ConnlimitBadLength)?)
        }?
        .client()?,
        // SAFETY: the duty is the caller's by this function's own.
        1 => unsafe { Ip::new(address, len) }?.client()?,
        // SAFETY: the duty is the caller's by this function's own.
        2 => unsafe { Name::new(address, len) }?.client()?,
        _ => return Err(Status::ConnlimitUnknownFamily),
    };
    // SAFETY: the duty is the caller's by this function's own.
    let vacant = unsafe { Vacant::new(permit) }?;
    vacant.put(batch.try_acquire(client)?);
    Ok(())
}
