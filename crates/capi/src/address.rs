//! Who a connection is from, in the forms in which servers in C know it.

mod sockaddr;

pub(crate) use sockaddr::Sockaddr;

use crate::status::Status;
use connlimit::Client;
use core::ffi::c_void;
use core::marker::PhantomData;
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
pub(crate) struct Ip<'a> {
    bytes: *const c_void,
    len: usize,
    _read: PhantomData<&'a [u8]>,
}

impl Ip<'_> {
    /// # Safety
    ///
    /// `bytes` is null, or `len` bytes may be read from it as long as the value lives.
    #[inline(always)]
    pub(crate) const unsafe fn new(bytes: *const c_void, len: usize) -> Result<Self, Status> {
        if bytes.is_null() {
            return Err(Status::ConnlimitNullPointer);
        }
        Ok(Self { bytes, len, _read: PhantomData })
    }
}

impl Address for Ip<'_> {
    #[inline(always)]
    fn ipv4(&self) -> Option<Ipv4Addr> {
        if self.len != 4 {
            return None;
        }
        // SAFETY: so many bytes may be read by the duty of `new`.
        Some(Ipv4Addr::from(unsafe { self.bytes.cast::<[u8; 4]>().read_unaligned() }))
    }

    #[inline(always)]
    fn client(&self) -> Result<Client, Status> {
        match self.ipv4() {
            Some(v4) => Ok(v4.into()),
            None if self.len != 16 => Err(Status::ConnlimitBadLength),
            // SAFETY: so many bytes may be read by the duty of `new`.
            None => Ok(Ipv6Addr::from(unsafe { self.bytes.cast::<[u8; 16]>().read_unaligned() }).into()),
        }
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

    fn ip(bytes: &[u8]) -> Ip<'_> {
        // SAFETY: the slice has as many, and outlives the value.
        unsafe { Ip::new(bytes.as_ptr().cast(), bytes.len()) }.unwrap()
    }

    #[test]
    fn four_or_sixteen_bytes_are_an_address_and_nothing_else_is() {
        let bytes: [u8; 18] = core::array::from_fn(|n| u8::try_from(n).unwrap());
        for len in 0..bytes.len() {
            let ip = ip(&bytes[..len]);
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
        assert_eq!(ip(&mapped).client(), ip(&[192, 0, 2, 1]).client());
    }

    #[test]
    fn a_name_is_no_address() {
        assert_ne!(Name(&[192, 0, 2, 1]).client(), ip(&[192, 0, 2, 1]).client());
    }
}
