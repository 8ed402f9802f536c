//! The clients of a run, and which of them are counted together.

use connlimit::Client;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Somebody who connects.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Peer {
    Address(IpAddr),
    Named(u16),
}

/// What a peer is counted as: two peers share a count exactly when these are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Counted {
    V4(u32),
    V6(u128),
    Named(u16),
}

impl Peer {
    /// One of a few: operations on the same client should meet often.
    pub(crate) fn from_small_pool(choice: u8) -> Self {
        let low = choice >> 4 & 3;
        match choice & 7 {
            0 | 1 => Self::Address(Ipv4Addr::new(192, 0, 2, low).into()),
            2 => Self::Address(Ipv4Addr::new(192, 0, 2, low).to_ipv6_mapped().into()),
            3 => Self::Address(Ipv4Addr::new(192 >> low, 0, 2, 1).into()),
            4 => Self::Address(v6(0x2001_0db8, 0, u64::from(low))),
            5 => Self::Address(v6(0x2001_0db8, u32::from(low), 1)),
            6 => Self::Address(v6(0, 0, 0xffff_c000_0200 >> low)),
            _ => Self::Named(u16::from(low)),
        }
    }

    /// One of many: the newcomer number `number` of the crowd `crowd`.
    pub(crate) fn from_crowd(crowd: u8, number: u16) -> Self {
        let [high, low] = number.to_be_bytes();
        let v4 = Ipv4Addr::new(10, crowd, high, low);
        match crowd % 5 {
            0 | 1 => Self::Address(v4.into()),
            2 => Self::Address(v4.to_ipv6_mapped().into()),
            3 => Self::Address(v6(u32::from(crowd), u32::from(number), 1)),
            _ => Self::Named(u16::from_be_bytes([crowd, low])),
        }
    }

    /// The peer as its server would present it: a bare address, a socket address, a name.
    pub(crate) fn client(self) -> Client {
        match self {
            Self::Address(IpAddr::V4(v4)) if v4.octets()[3] & 1 == 0 => v4.into(),
            Self::Address(IpAddr::V6(v6)) if v6.octets()[15] & 1 == 0 => v6.into(),
            Self::Address(addr) => SocketAddr::new(addr, 40_000).into(),
            Self::Named(number) => Client::named(format!("unix:/run/{number}.sock")),
        }
    }

    /// The rule, written apart from the crate: first un-map, then drop the bits behind the prefix.
    pub(crate) fn counted_as(self, v4_prefix: u8, v6_prefix: u8) -> Counted {
        let v4_network = |v4: Ipv4Addr| Counted::V4(v4.to_bits().checked_shr(32 - u32::from(v4_prefix)).unwrap_or(0));
        match self {
            Self::Named(number) => Counted::Named(number),
            Self::Address(IpAddr::V4(v4)) => v4_network(v4),
            Self::Address(IpAddr::V6(v6)) => match v6.octets() {
                [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d] => v4_network(Ipv4Addr::new(a, b, c, d)),
                _ => Counted::V6(v6.to_bits().checked_shr(128 - u32::from(v6_prefix)).unwrap_or(0)),
            },
        }
    }
}

fn v6(network: u32, subnet: u32, host: u64) -> IpAddr {
    Ipv6Addr::from_bits(u128::from(network) << 96 | u128::from(subnet) << 64 | u128::from(host)).into()
}
