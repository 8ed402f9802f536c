//! From `struct sockaddr` to a client. Nothing is read that the length does not cover or the family does not
//! need, and nothing is taken to be aligned.

use super::Address;
use crate::status::Status;
use connlimit::Client;
use core::ffi::c_int;
use core::mem::offset_of;
use core::net::{Ipv4Addr, Ipv6Addr};
use core::slice;
use libc::{sa_family_t, sockaddr, sockaddr_in, sockaddr_in6, sockaddr_un, socklen_t};

/// What `accept` and `getpeername` return.
pub(crate) struct Sockaddr {
    addr: *const sockaddr,
    len: usize,
}

impl Sockaddr {
    /// # Safety
    ///
    /// `addr` is null, or `len` bytes may be read from it, aligned or not, as long as the value lives.
    #[inline(always)]
    pub(crate) unsafe fn new(addr: *const sockaddr, len: socklen_t) -> Result<Self, Status> {
        if addr.is_null() {
            return Err(Status::ConnlimitNullPointer);
        }
        // It is signed on some platforms.
        let len = usize::try_from(len).map_err(|_| Status::ConnlimitBadLength)?;
        if len < offset_of!(sockaddr, sa_family) + size_of::<sa_family_t>() {
            return Err(Status::ConnlimitBadLength);
        }
        Ok(Self { addr, len })
    }

    #[inline(always)]
    fn family(&self) -> c_int {
        // SAFETY: within the first `len` bytes, by the check in `new`.
        let family = unsafe { self.addr.byte_add(offset_of!(sockaddr, sa_family)) };
        // SAFETY: within the first `len` bytes, by the check in `new`; any bytes are an integer.
        c_int::from(unsafe { family.cast::<sa_family_t>().read_unaligned() })
    }

    /// A structure of plain integers.
    ///
    /// # Safety
    ///
    /// Any bytes make a `T`.
    #[inline(always)]
    const unsafe fn read<T>(&self) -> Result<T, Status> {
        if self.len < size_of::<T>() {
            return Err(Status::ConnlimitBadLength);
        }
        // SAFETY: long enough by the check above, readable by the duty of `new`, and any bytes will do.
        Ok(unsafe { self.addr.cast::<T>().read_unaligned() })
    }

    fn path(&self) -> &[u8] {
        let path = self.len.min(size_of::<sockaddr_un>()).saturating_sub(offset_of!(sockaddr_un, sun_path));
        // SAFETY: the header before the path is as long as the family's, which `len` covers.
        let start = unsafe { self.addr.byte_add(offset_of!(sockaddr_un, sun_path)) };
        // SAFETY: `path` ends at `len` or before it; bytes need no alignment; nothing writes meanwhile.
        unsafe { slice::from_raw_parts(start.cast::<u8>(), path) }
    }
}

impl Address for Sockaddr {
    #[inline(always)]
    fn ipv4(&self) -> Option<Ipv4Addr> {
        if self.family() != libc::AF_INET {
            return None;
        }
        // SAFETY: the structure holds integers only.
        let v4: sockaddr_in = unsafe { self.read() }.ok()?;
        // In memory the address is in network order.
        Some(Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes()))
    }

    fn client(&self) -> Result<Client, Status> {
        match self.family() {
            libc::AF_INET => self.ipv4().map(Client::from).ok_or(Status::ConnlimitBadLength),
            libc::AF_INET6 => {
                // SAFETY: the structure holds integers only.
                let v6: sockaddr_in6 = unsafe { self.read() }?;
                Ok(Ipv6Addr::from(v6.sin6_addr.s6_addr).into())
            }
            libc::AF_UNIX => Ok(local(self.path())),
            _ => Err(Status::ConnlimitUnknownFamily),
        }
    }
}

/// `unix:` and the path; an abstract name keeps its leading zero byte; a socket that was not bound has no path.
fn local(path: &[u8]) -> Client {
    const SCHEME: &[u8] = b"unix:";
    let is_abstract = cfg!(any(target_os = "linux", target_os = "android")) && path.first() == Some(&0);
    let path = if is_abstract { path } else { path.split(|&byte| byte == 0).next().unwrap_or_default() };
    let mut name = [0; SCHEME.len() + size_of::<sockaddr_un>()];
    let end = SCHEME.len() + path.len();
    name[..SCHEME.len()].copy_from_slice(SCHEME);
    name[SCHEME.len()..end].copy_from_slice(path);
    Client::named(&name[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::IpAddr;

    /// A `sockaddr` as bytes, at an odd address.
    struct Raw {
        bytes: Vec<u8>,
    }

    impl Raw {
        fn new<T>(value: &T) -> Self {
            // SAFETY: the structures here are zeroed before they are filled, padding included.
            let bytes = unsafe { slice::from_raw_parts(core::ptr::from_ref(value).cast(), size_of::<T>()) };
            let mut odd = vec![0];
            odd.extend_from_slice(bytes);
            Self { bytes: odd }
        }

        fn client(&self, len: usize) -> Result<Client, Status> {
            assert!(len < self.bytes.len());
            // Of exactly `len` bytes, so that a tool which watches memory sees a read beyond them.
            let exact = self.bytes[..=len].to_vec().into_boxed_slice();
            let len = socklen_t::try_from(len).map_err(|_| Status::ConnlimitBadLength)?;
            // SAFETY: `len` bytes follow the first.
            unsafe { Sockaddr::new(exact.as_ptr().wrapping_add(1).cast(), len) }?.client()
        }

        fn whole(&self) -> Result<Client, Status> {
            self.client(self.bytes.len() - 1)
        }
    }

    fn v4(addr: [u8; 4]) -> Raw {
        // SAFETY: integers may be zero.
        let mut raw: sockaddr_in = unsafe { core::mem::zeroed() };
        raw.sin_family = sa_family_t::try_from(libc::AF_INET).unwrap();
        raw.sin_port = 443_u16.to_be();
        raw.sin_addr.s_addr = u32::from_ne_bytes(addr);
        Raw::new(&raw)
    }

    fn v6(addr: Ipv6Addr) -> Raw {
        // SAFETY: integers may be zero.
        let mut raw: sockaddr_in6 = unsafe { core::mem::zeroed() };
        raw.sin6_family = sa_family_t::try_from(libc::AF_INET6).unwrap();
        raw.sin6_scope_id = 3;
        raw.sin6_addr.s6_addr = addr.octets();
        Raw::new(&raw)
    }

    fn unix(path: &[u8]) -> (Raw, usize) {
        // SAFETY: integers may be zero.
        let mut raw: sockaddr_un = unsafe { core::mem::zeroed() };
        raw.sun_family = sa_family_t::try_from(libc::AF_UNIX).unwrap();
        for (to, from) in raw.sun_path.iter_mut().zip(path) {
            *to = libc::c_char::from_ne_bytes([*from]);
        }
        (Raw::new(&raw), offset_of!(sockaddr_un, sun_path) + path.len())
    }

    #[test]
    fn an_unaligned_ipv4_address_is_its_client() {
        let expected: IpAddr = [192, 0, 2, 1].into();
        assert_eq!(v4([192, 0, 2, 1]).whole(), Ok(expected.into()));
    }

    #[test]
    fn an_unaligned_ipv6_address_is_its_client() -> Result<(), core::net::AddrParseError> {
        let addr: Ipv6Addr = "2001:db8::7".parse()?;
        assert_eq!(v6(addr).whole(), Ok(addr.into()));
        Ok(())
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_client() {
        let mapped = Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped();
        assert_eq!(v6(mapped).whole(), v4([192, 0, 2, 1]).whole());
    }

    #[test]
    fn an_address_of_any_shorter_length_is_rejected() {
        for raw in [v4([127, 0, 0, 1]), v6(Ipv6Addr::LOCALHOST)] {
            for len in 0..raw.bytes.len() - 1 {
                assert_eq!(raw.client(len), Err(Status::ConnlimitBadLength), "{len}");
            }
        }
    }

    #[test]
    fn an_unknown_family_is_rejected() {
        // SAFETY: integers may be zero.
        let mut raw: sockaddr = unsafe { core::mem::zeroed() };
        assert_eq!(Raw::new(&raw).whole(), Err(Status::ConnlimitUnknownFamily));
        raw.sa_family = sa_family_t::MAX;
        assert_eq!(Raw::new(&raw).whole(), Err(Status::ConnlimitUnknownFamily));
    }

    #[test]
    fn a_path_ends_at_its_zero_byte_or_with_the_length() {
        let expected = Ok(Client::named("unix:/run/a"));
        let (raw, len) = unix(b"/run/a");
        assert_eq!(raw.client(len), expected);
        assert_eq!(raw.client(len + 1), expected);
        assert_eq!(raw.whole(), expected);
        assert_ne!(raw.client(len - 1), expected);
    }

    #[test]
    fn a_path_that_fills_its_field_is_read_whole() {
        let path = vec![b'x'; size_of::<sockaddr_un>() - offset_of!(sockaddr_un, sun_path)];
        let (mut raw, len) = unix(&path);
        let name = ["unix:", core::str::from_utf8(&path).unwrap()].concat();
        assert_eq!(raw.client(len), Ok(Client::named(&name)));
        // Linux counts a zero byte behind the structure in such a path's length.
        raw.bytes.push(b'y');
        assert_eq!(raw.client(len + 1), Ok(Client::named(&name)));
    }

    #[test]
    fn sockets_that_were_not_bound_are_one_client() {
        let (raw, len) = unix(b"");
        assert_eq!(raw.client(len), Ok(Client::named("unix:")));
    }

    #[test]
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn an_abstract_name_is_no_path() {
        let (raw, len) = unix(b"\0a\0b");
        assert_eq!(raw.client(len), Ok(Client::named("unix:\0a\0b")));
    }
}
