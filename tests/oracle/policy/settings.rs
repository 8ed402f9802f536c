//! What a run is built with and changed to, and the configuration that says so.

use super::super::limit;
use super::plain::Allow;
use connlimit::{
    Client, Config,
    config::{ConfigError, UnknownPeer},
};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The tiers a run may have, narrow before wide: the prefixes of IPv4 and IPv6.
pub(crate) const LADDER: [(u8, u8); 4] = [(30, 64), (24, 56), (16, 56), (0, 32)];

/// The networks that there may be a rule for: around all of the peers, around some, and around one. The mapped one is
/// 10.0.0.0/16.
pub(crate) const NETWORKS: [(IpAddr, u8); 9] = [
    (IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
    (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), 8),
    (IpAddr::V6(Ipv4Addr::new(10, 0, 0, 0).to_ipv6_mapped()), 112),
    (IpAddr::V4(Ipv4Addr::new(10, 0, 1, 0)), 24),
    (IpAddr::V4(Ipv4Addr::new(10, 0, 1, 2)), 32),
    (IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0),
    (IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0)), 32),
    (IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 0)), 64),
    (IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 3)), 128),
];

/// For each of the [`NETWORKS`], its rule if there is one.
pub(crate) type Rules = [Option<Allow>; NETWORKS.len()];

/// Somebody who connects. Few networks, so that peers meet in them.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Peer {
    Addr(IpAddr),
    Named(u8),
}

impl Peer {
    pub(crate) fn choose(kind: u8, network: u8, host: u8) -> Self {
        let (network, host) = (network % 4, host % 6);
        let v4 = Ipv4Addr::new(10, network / 2, network, host);
        let subnet = [0x0000_0000, 0x0000_0001, 0x0000_0100, 0x0001_0000][usize::from(network)];
        let v6 = (0x2001_0db8_u128 << 96) | (subnet << 64) | u128::from(host);
        match kind % 5 {
            0 | 1 => Self::Addr(v4.into()),
            2 => Self::Addr(v4.to_ipv6_mapped().into()),
            3 => Self::Addr(Ipv6Addr::from_bits(v6).into()),
            _ => Self::Named(host % 2),
        }
    }

    pub(crate) fn client(self) -> Client {
        match self {
            Self::Addr(addr) => addr.into(),
            Self::Named(name) => Client::named([name]),
        }
    }
}

/// What cannot change in a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) client: (u8, u8),
    /// Which of the [`LADDER`] there are.
    pub(crate) tiers: [bool; 4],
    pub(crate) total: bool,
}

/// The limits of one configuration; 0 is no limit, `None` leaves a tier or the total out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) client: u32,
    pub(crate) tiers: [Option<u32>; 4],
    pub(crate) total: Option<u32>,
}

impl Limits {
    fn config(&self, rules: &Rules) -> Result<Config, ConfigError> {
        let mut config = Config::new(limit(self.client));
        for (number, (ipv4, ipv6)) in self.tiers.iter().zip(LADDER) {
            if let Some(number) = number {
                config = config.with_tier(ipv4, ipv6, limit(*number))?;
            }
        }
        if let Some(total) = self.total {
            config = config.with_max_total(limit(total));
        }
        Ok(with_rules(config, rules))
    }

    /// Only what `shape` has.
    pub(crate) fn within(mut self, shape: Shape) -> Self {
        for (limit, there) in self.tiers.iter_mut().zip(shape.tiers) {
            *limit = limit.filter(|_| there);
        }
        self.total = self.total.filter(|_| shape.total);
        self
    }

    /// Whether a limiter of `shape` can have these.
    pub(crate) fn fit(&self, shape: Shape) -> bool {
        self.tiers.iter().zip(shape.tiers).all(|(limit, there)| limit.is_none() || there)
            && (self.total.is_none() || shape.total)
    }
}

#[cfg(feature = "rules")]
fn with_rules(config: Config, rules: &Rules) -> Config {
    use connlimit::config::Action;
    let given = NETWORKS.into_iter().zip(rules).filter_map(|((addr, bits), rule)| {
        let allowance = match (*rule)? {
            Allow::Limit(limit) => Action::Limit(limit),
            Allow::Unlimited => Action::Unlimited,
            Allow::Deny => Action::Deny,
        };
        Some((ipnet::IpNet::new(addr, bits).expect("a network"), allowance))
    });
    config.with_rules(given).expect("one rule for each network")
}

#[cfg(not(feature = "rules"))]
fn with_rules(config: Config, rules: &Rules) -> Config {
    assert_eq!(rules, &Rules::default());
    config
}

/// All that may change in a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) limits: Limits,
    pub(crate) shadow: Option<(Limits, Rules)>,
    pub(crate) soft_percent: Option<u8>,
    pub(crate) dry_run: bool,
    pub(crate) counting: bool,
    pub(crate) admit_unknown: bool,
    pub(crate) rules: Rules,
}

impl Settings {
    /// The configuration to change a running limiter to.
    pub(crate) fn config(&self) -> Config {
        let unknown = if self.admit_unknown { UnknownPeer::AdmitUntracked } else { UnknownPeer::Reject };
        let mut config = self.limits.config(&self.rules).expect("the ladder is in order");
        config = config.with_dry_run(self.dry_run).with_counting(self.counting).with_unknown_peer(unknown);
        if let Some(percent) = self.soft_percent {
            config = config.with_soft_percent(percent);
        }
        if let Some((limits, rules)) = &self.shadow {
            config = config.with_shadow(limits.config(rules).expect("the ladder is in order"));
        }
        config
    }

    /// The configuration to build a limiter of `shape` with: it names each tier and the total.
    pub(crate) fn first(&self, shape: Shape) -> Config {
        let mut first = Self { limits: self.limits.within(shape), ..*self };
        for (limit, there) in first.limits.tiers.iter_mut().zip(shape.tiers) {
            *limit = there.then_some(limit.unwrap_or(0));
        }
        first.limits.total = shape.total.then_some(first.limits.total.unwrap_or(0));
        let config = first.config().with_ipv4_prefix(shape.client.0).expect("a prefix of IPv4");
        config.with_ipv6_prefix(shape.client.1).expect("a prefix of IPv6")
    }
}
