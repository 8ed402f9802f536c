//! A client as the table knows it: 128 bits that mean the same in every process.
//!
//! IPv4 clients are their IPv4-mapped addresses, as in RFC 4291, section 2.5.5.2. Named clients are digests of 120 bits
//! below `ff00::/8`: multicast addresses are no peers' addresses (RFC 4291, section 2.7).

use connlimit::Client;
use core::net::{IpAddr, Ipv6Addr};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key(u128);

/// Clients that have a limit of their own kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Ipv4,
    Ipv6,
    Named,
}

const MAPPED: u128 = 0xffff << 32;
const NAMED: u128 = 0xff << 120;

impl Key {
    #[inline(always)]
    pub(crate) const fn ipv4(addr: u32) -> Self {
        Self(MAPPED | addr as u128)
    }

    pub(crate) const fn ipv6(addr: u128) -> Self {
        Self(addr)
    }

    pub(crate) const fn named(digest: u128) -> Self {
        Self(NAMED | digest)
    }

    /// The key of a client that is counted as itself. `None` for a name whose digest means something to this process
    /// alone.
    pub(crate) fn of(client: Client) -> Option<Self> {
        match client.ip() {
            Some(IpAddr::V4(addr)) => Some(Self::ipv4(addr.to_bits())),
            Some(IpAddr::V6(addr)) => Some(Self::ipv6(addr.to_bits())),
            None => client.digest().map(Self::named),
        }
    }

    #[inline(always)]
    pub(crate) const fn bits(self) -> u128 {
        self.0
    }

    pub(crate) const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    #[inline(always)]
    pub(crate) const fn family(self) -> Family {
        if self.0 >> 32 == MAPPED >> 32 {
            Family::Ipv4
        } else if self.0 >> 120 == NAMED >> 120 {
            Family::Named
        } else {
            Family::Ipv6
        }
    }

    /// The client, as [`top`](crate::SharedLimiter::top) reports it.
    pub(crate) fn client(self) -> Client {
        match self.family() {
            // The conversion makes mapped addresses IPv4 clients.
            Family::Ipv4 | Family::Ipv6 => Ipv6Addr::from_bits(self.0).into(),
            Family::Named => Client::from_digest(self.0),
        }
    }
}

#[cfg(all(test, not(connlimit_shared_loom), not(connlimit_shared_shuttle)))]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;

    #[test]
    fn a_key_leads_back_to_its_client() {
        let clients = [
            Client::from(Ipv4Addr::new(192, 0, 2, 1)),
            Client::from("2001:db8::1".parse::<Ipv6Addr>().unwrap()),
            Client::from(Ipv6Addr::UNSPECIFIED),
        ];
        for client in clients {
            assert_eq!(Key::of(client).unwrap().client(), client);
        }
        let named = Key::of(Client::from_digest(u128::MAX)).unwrap();
        assert_eq!(named.family(), Family::Named);
        assert_eq!(Key::of(named.client()), Some(named));
        assert_eq!(Key::of(Client::named("of this process alone")), None);
    }
}
