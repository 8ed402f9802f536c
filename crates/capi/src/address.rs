//! Who a connection is from, in the forms in which servers in C know it.

mod sockaddr;

pub(crate) use sockaddr::Sockaddr;

use crate::status::Status;
use connlimit::Client;
use core::ffi::c_void;
use core::net::{Ipv4Addr, Ipv6Addr};
use core::slice;

/// What makes a client.
pub(crate) trait Address {
    /// The short way of most: an IPv4 address, if that is what it is.
    fn ipv4(&self) -> Option<Ipv4Addr>;

    /// The client, whatever it is.
    fn client(&self) -> Result<Client, Status>;
}

/// The bytes of an IP address, in network order.
pub(crate) struct Ip<'a>(&'a [u8]);

impl Ip<'_> {
    /// # Safety
    ///
    /// `bytes` is null, or `len` bytes may be read from it as long as the value lives.
    #[inline(always)]
    pub(crate) unsafe fn new(bytes: *const c_void, len: usize) -> Result<Self, Status> {
        // SAFETY: the duty is the caller's by this function's own.
        unsafe { read(bytes, len) }.map(Self)
    }
}

impl Address for Ip<'_> {
    #[inline(always)]
    fn ipv4(&self) -> Option<Ipv4Addr> {
        <[u8; 4]>::try_from(self.0).ok().map(Ipv4Addr::from)
    }

    fn client(&self) -> Result<Client, Status> {
        if let Some(v4) = self.ipv4() {
            return Ok(v4.into());
        }
        let v6 = <[u8; 16]>::try_from(self.0).map_err(|_| Status::ConnlimitBadLength)?;
        Ok(Ipv6Addr::from(v6).into())
    }
}

/// A name.
pub(crate) struct Name<'a>(&'a [u8]);

impl Name<'_> {
    /// # Safety
    ///
    /// `name` is null, or `len` bytes may be read from it as long as the value lives.
    pub(crate) unsafe fn new(name: *const c_void, len: usize) -> Result<Self, Status> {
        // SAFETY: the duty is the caller's by this function's own.
        unsafe { read(name, len) }.map(Self)
    }
}

impl Address for Name<'_> {
    #[inline(always)]
    fn ipv4(&self) -> Option<Ipv4Addr> {
        None
    }

    fn client(&self) -> Result<Client, Status> {
        Ok(Client::named(self.0))
    }
}

/// Bytes of a caller's.
///
/// # Safety
///
/// `bytes` is null, or `len` bytes may be read from it during `'a`, and nobody writes there.
#[inline(always)]
pub(crate) unsafe fn read<'a>(bytes: *const c_void, len: usize) -> Result<&'a [u8], Status> {
    if bytes.is_null() {
        return Err(Status::ConnlimitNullPointer);
    }
    if isize::try_from(len).is_err() {
        return Err(Status::ConnlimitBadLength);
    }
    // SAFETY: not null, not longer than an object can be, and readable by the caller's duty.
    Ok(unsafe { slice::from_raw_parts(bytes.cast::<u8>(), len) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_or_sixteen_bytes_are_an_address_and_nothing_else_is() {
        let bytes: [u8; 18] = core::array::from_fn(|n| u8::try_from(n).unwrap());
        for len in 0..bytes.len() {
            // SAFETY: the array has as many.
            let ip = unsafe { Ip::new(bytes.as_ptr().cast(), len) }.unwrap();
            let expected = match len {
                4 => Ok(Ipv4Addr::new(0, 1, 2, 3).into()),
                16 => Ok(Ipv6Addr::from(<[u8; 16]>::try_from(&bytes[..16]).unwrap()).into()),
                _ => Err(Status::ConnlimitBadLength),
            };
            assert_eq!(ip.client(), expected, "{len}");
            assert_eq!(ip.ipv4().is_some(), len == 4);
        }
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_client() {
        let mapped = Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped().octets();
        assert_eq!(Ip(&mapped).client(), Ip(&[192, 0, 2, 1]).client());
    }

    #[test]
    fn a_name_is_no_address() {
        assert_ne!(Name(&[192, 0, 2, 1]).client(), Ip(&[192, 0, 2, 1]).client());
    }
}
