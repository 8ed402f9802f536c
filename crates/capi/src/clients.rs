//! Who has connections open.

use crate::handle::{self, write};
use crate::limiter::ConnlimitLimiter;
use crate::sized::{self, Grows};
use crate::status::{Status, guarded};
use connlimit::{Limiter, stats::ClientCount};
use core::ffi::{c_char, c_void};
use core::net::IpAddr;
use std::io::Write;

/// A client and its open connections.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ConnlimitClientCount {
    /// Its open connections, at least one.
    pub open_connections: u32,
    /// Bytes of `ip`: 4, 16, or 0 for a named client.
    pub ip_len: u32,
    /// The address in network order; under a prefix, the first one of the network that is counted together.
    pub ip: [u8; 16],
    /// The address as text; or `named:` and the name if names are kept (`connlimit_keep_names`), else a digest of it. Ends
    /// with a zero byte; a name that is longer is cut off.
    pub text: [c_char; 144],
}

impl Grows for ConnlimitClientCount {
    const FIRST: usize = size_of::<Self>();
}

/// Called by `connlimit_walk` for each client, with its argument `arg`. Not 0 ends the walk. `client` is valid until it
/// returns. It may call this library, but not destroy the handle; it must return, and not throw or jump.
#[expect(non_camel_case_types, reason = "this is how C will know it")]
pub type connlimit_visit = Option<unsafe extern "C" fn(client: *const ConnlimitClientCount, arg: *mut c_void) -> i32>;

/// Stores in `clients` the `n` clients with the most open connections, those with the most first, and in `*found` how
/// many there were.
///
/// `clients` is an array of structures that are `size` bytes long: `sizeof(connlimit_client_count)`. The work is that of
/// `connlimit_walk`, and what is said there of changes meanwhile holds here.
///
/// # Safety
///
/// 1. `limiter` is null, or at least eight bytes may be read from it, and it is no handle that was destroyed.
/// 2. `clients` is null, or leads to `n` structures of `size` bytes that may be written.
/// 3. `found` is null or points to a `size_t` that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_top(
    limiter: *const ConnlimitLimiter,
    clients: *mut ConnlimitClientCount,
    size: usize,
    n: usize,
    found: *mut usize,
) -> Status {
    guarded(|| {
        // SAFETY: duty 1 is the caller's by this function's own.
        let limiter = unsafe { handle::get::<Limiter>(limiter) }?;
        // SAFETY: duty 3 is the caller's by this function's own.
        unsafe { write(found, 0) }?;
        if clients.is_null() {
            return Err(Status::ConnlimitNullPointer);
        }
        sized::check::<ConnlimitClientCount>(size)?;
        let top = limiter.top(n);
        for (index, client) in top.iter().enumerate() {
            // SAFETY: one of the `n` structures of duty 2, of which `top` is no longer.
            let place = unsafe { clients.byte_add(index * size) };
            // SAFETY: so many bytes may be written by duty 2, and `size` has passed the check.
            unsafe { sized::fill(place, &client.into(), 0, size) };
        }
        // SAFETY: duty 3 is the caller's by this function's own.
        unsafe { write(found, top.len()) }
    })
}

/// Calls `visit` for each client that has connections open, in no particular order, while admissions go on.
///
/// A client that has connections all the while is seen once, with a count that it had at one moment. One whose
/// connections all end meanwhile, or whose first one begins, may be missed; and if both happens, be seen twice. Nothing
/// is held up while `visit` runs.
///
/// # Safety
///
/// 1. `limiter` is null, or at least eight bytes may be read from it, and it is no handle that was destroyed.
/// 2. `visit` is null, or keeps to what `connlimit_visit` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_walk(
    limiter: *const ConnlimitLimiter,
    visit: connlimit_visit,
    arg: *mut c_void,
) -> Status {
    guarded(|| {
        // SAFETY: duty 1 is the caller's by this function's own.
        let limiter = unsafe { handle::get::<Limiter>(limiter) }?;
        let visit = visit.ok_or(Status::ConnlimitNullPointer)?;
        for client in limiter.clients() {
            // SAFETY: duty 2 is the caller's by this function's own.
            if unsafe { visit(&(&client).into(), arg) } != 0 {
                break;
            }
        }
        Ok(())
    })
}

impl From<&ClientCount> for ConnlimitClientCount {
    fn from(seen: &ClientCount) -> Self {
        let mut ip = [0; 16];
        let ip_len = match seen.client.ip() {
            Some(IpAddr::V4(addr)) => {
                ip[..4].copy_from_slice(&addr.octets());
                4
            }
            Some(IpAddr::V6(addr)) => {
                ip = addr.octets();
                16
            }
            None => 0,
        };
        let mut bytes = [0; 144];
        let _cut_off = write!(&mut bytes[..143], "{}", seen.client);
        let text = bytes.map(|byte| c_char::from_ne_bytes([byte]));
        Self { open_connections: seen.open_connections, ip_len, ip, text }
    }
}

/// Keeps the names of named clients from now on, to show them instead of a digest: at most `at_most`, those that were used
/// last, each of up to 128 bytes, with everything but printable ASCII escaped.
///
/// It holds for the whole process, and the first call decides. It costs each call that takes a name a look-up under a lock,
/// which is never waited for.
#[unsafe(no_mangle)]
pub extern "C" fn connlimit_keep_names(at_most: usize) -> Status {
    guarded(|| {
        connlimit::client::keep_names(at_most);
        Ok(())
    })
}
