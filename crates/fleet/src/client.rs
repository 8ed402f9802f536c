//! Who is counted in the whole fleet.

use crate::protocol::wire::Key;
use connlimit::{Client, Config};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use sha2::{Digest, Sha256};

/// A client that all machines of a fleet call the same: an address, or a name.
///
/// [`Client`] itself cannot serve for names: it tells them apart by a digest that differs from one process to the next.
///
/// # Examples
///
/// ```
/// use connlimit_fleet::FleetClient;
/// use std::net::Ipv4Addr;
///
/// let address = FleetClient::from(Ipv4Addr::new(192, 0, 2, 1));
/// let tenant = FleetClient::named("tenant-17");
/// # let _ = (address, tenant);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct FleetClient<'a> {
    pub(crate) local: Client,
    name: Option<&'a [u8]>,
}

/// Longer names are told apart by their SHA-256.
const LONGEST_NAME: usize = 64;

impl<'a> FleetClient<'a> {
    /// A client without an address: a tenant, a user.
    #[must_use]
    pub fn named(name: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        Self { local: Client::named(name), name: Some(name.as_ref()) }
    }

    /// As the engine knows it, by the prefixes that `config` has.
    pub(crate) fn key(&self, config: &Config) -> Key {
        let text = match self.name {
            Some(name) if name.len() <= LONGEST_NAME => [b"name:", name].concat(),
            Some(name) => {
                let digest = Sha256::digest(name);
                let hex = digest.iter().map(|byte| format!("{byte:02x}"));
                hex.fold("sha256:".to_owned(), |text, byte| text + &byte).into_bytes()
            }
            None => config.counted_as(self.local).to_string().into_bytes(),
        };
        Key::new(&text)
    }
}

macro_rules! from_addresses {
    ($($address:ty),*) => {$(
        impl From<$address> for FleetClient<'_> {
            #[inline(always)]
            fn from(address: $address) -> Self {
                Self { local: address.into(), name: None }
            }
        }
    )*};
}
from_addresses!(IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_machines_call_a_client_the_same() {
        let [one, other] = [(); 2].map(|()| Config::new(1).with_ipv6_prefix(64).unwrap());
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        for client in [
            FleetClient::from(address("192.0.2.1")),
            address("2001:db8::17").into(),
            FleetClient::named("tenant"),
            FleetClient::named(&[7; 1000]),
        ] {
            assert_eq!(client.key(&one), client.key(&other));
        }
        let key = |text: &str| FleetClient::from(address(text)).key(&one);
        assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"));
        assert_eq!(key("2001:db8::17"), key("2001:db8::18"));
        assert_ne!(key("192.0.2.1"), FleetClient::named("192.0.2.1").key(&one));
        let hashed = FleetClient::named(&[b'a'; 65]).key(&one);
        assert_ne!(hashed, FleetClient::named(&String::from_utf8_lossy(hashed.as_bytes()).into_owned()).key(&one));
    }
}
