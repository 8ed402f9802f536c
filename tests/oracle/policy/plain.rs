//! The rules written a second time, with a map for each thing that is counted.

use super::settings::{LADDER, Limits, NETWORKS, Peer, Rules, Settings, Shape};
use connlimit::{
    Rejected,
    stats::{Stats, Zone},
};
use core::net::IpAddr;
use std::collections::HashMap;

/// A client, or a network of a tier: a family, and the bits in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    V4(u32),
    V6(u128),
    Named(u8),
}

impl Place {
    fn of(peer: Peer, (v4_bits, v6_bits): (u8, u8)) -> Self {
        match peer {
            Peer::Named(name) => Self::Named(name),
            Peer::Addr(addr) => match addr.to_canonical() {
                IpAddr::V4(addr) => Self::V4(addr.to_bits().checked_shr(32 - u32::from(v4_bits)).unwrap_or(0)),
                IpAddr::V6(addr) => Self::V6(addr.to_bits().checked_shr(128 - u32::from(v6_bits)).unwrap_or(0)),
            },
        }
    }
}

/// What a rule gives to the clients of its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allow {
    Limit(u32),
    Unlimited,
    Deny,
}

impl Allow {
    /// By the longest network around the address that the peer connects from, or else the limit for everybody.
    fn of(peer: Peer, limits: &Limits, rules: &Rules) -> Self {
        let around = NETWORKS.into_iter().zip(rules).filter(|((network, bits), _)| contains(*network, *bits, peer));
        let with_rule = around.filter_map(|((network, bits), rule)| Some((own_bits(network, bits), (*rule)?)));
        with_rule.max_by_key(|(bits, _)| *bits).map_or(Self::Limit(limits.client), |(_, allow)| allow)
    }
}

/// Whether a network has the peer's address. A mapped network has IPv4 addresses, as it is one of IPv4.
fn contains(network: IpAddr, bits: u8, peer: Peer) -> bool {
    let bits = own_bits(network, bits);
    Place::of(Peer::Addr(network), (bits.min(32), bits)) == Place::of(peer, (bits.min(32), bits))
}

/// The length of a network's prefix in the family that it is of.
fn own_bits(network: IpAddr, bits: u8) -> u8 {
    if network.is_ipv6() && network.to_canonical().is_ipv4() { bits - 96 } else { bits }
}

pub(crate) struct Plain {
    shape: Shape,
    pub(crate) now: Settings,
    clients: HashMap<Place, u32>,
    networks: [HashMap<Place, u32>; 4],
    total: u32,
    told: Told,
}

/// What is counted of decisions, in the order of [`Told::by`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Told {
    admitted: u64,
    admitted_untracked: u64,
    client_limit: u64,
    tier_limit: u64,
    total_limit: u64,
    denied: u64,
    unknown_peer: u64,
    all_rejected: u64,
    shadow_rejected: u64,
    dry_run_rejected: u64,
}

impl Told {
    fn by(stats: &Stats) -> Self {
        let (decisions, rejected) = (stats.decisions, stats.decisions.rejected);
        Self {
            admitted: decisions.admitted,
            admitted_untracked: decisions.admitted_untracked,
            client_limit: rejected.client_limit,
            tier_limit: rejected.tier_limit,
            total_limit: rejected.total_limit,
            denied: rejected.denied,
            unknown_peer: rejected.unknown_peer,
            all_rejected: rejected.total(),
            shadow_rejected: decisions.shadow_rejected,
            dry_run_rejected: decisions.dry_run_rejected,
        }
    }
}

impl Plain {
    pub(crate) fn new(shape: Shape, now: Settings) -> Self {
        let (clients, networks) = Default::default();
        Self { shape, now, clients, networks, total: 0, told: Told::default() }
    }

    pub(crate) fn open(&self, peer: Peer) -> u32 {
        self.clients.get(&Place::of(peer, self.shape.client)).copied().unwrap_or(0)
    }

    pub(crate) const fn total(&self) -> u32 {
        self.total
    }

    /// The first limit on the way up that has no room for `peer`, if its rule leaves it with limits.
    fn rejects(&self, peer: Peer, limits: &Limits, rules: &Rules) -> Option<Rejected> {
        let full = |open: u32, limit: Option<u32>| limit.is_some_and(|limit| limit > 0 && open >= limit);
        match Allow::of(peer, limits, rules) {
            Allow::Deny => return Some(Rejected::Denied),
            Allow::Unlimited => return None,
            Allow::Limit(limit) if full(self.open(peer), Some(limit)) => return Some(Rejected::ClientLimit),
            Allow::Limit(_) => {}
        }
        for tier in self.tiers_of(peer) {
            let open = self.networks[tier].get(&Place::of(peer, LADDER[tier])).copied().unwrap_or(0);
            if full(open, limits.tiers[tier]) {
                return Some(Rejected::TierLimit);
            }
        }
        (self.shape.total && full(self.total, limits.total)).then_some(Rejected::TotalLimit)
    }

    /// A name is in no network.
    fn tiers_of(&self, peer: Peer) -> impl Iterator<Item = usize> + use<> {
        let tiers = self.shape.tiers;
        (0..4).filter(move |&tier| tiers[tier] && matches!(peer, Peer::Addr(_)))
    }

    /// The answer to an attempt: how many are open then, or why not.
    pub(crate) fn acquire(&mut self, peer: Peer) -> Result<u32, Rejected> {
        let shadow = self.now.shadow.filter(|(limits, rules)| self.rejects(peer, limits, rules).is_some());
        self.told.shadow_rejected += u64::from(shadow.is_some());
        let mut rejection = self.rejects(peer, &self.now.limits, &self.now.rules);
        if self.now.dry_run {
            self.told.dry_run_rejected += u64::from(rejection.is_some());
            rejection = None;
        }
        self.note(rejection, true);
        if let Some(rejection) = rejection {
            return Err(rejection);
        }
        self.charge(peer, self.shares(peer), |count| *count += 1);
        Ok(self.open(peer))
    }

    /// The answer to an attempt of nobody knows whom.
    pub(crate) fn acquire_unknown(&mut self) -> Result<(), Rejected> {
        let rejection = (!self.now.admit_unknown).then_some(Rejected::UnknownPeer);
        self.note(rejection, false);
        rejection.map_or(Ok(()), Err)
    }

    pub(crate) fn release(&mut self, peer: Peer, shares: bool) {
        self.charge(peer, shares, |count| *count -= 1);
    }

    /// Whether a connection of `peer` takes places in tiers and the total: not that of an unlimited client.
    pub(crate) fn shares(&self, peer: Peer) -> bool {
        Allow::of(peer, &self.now.limits, &self.now.rules) != Allow::Unlimited
    }

    fn charge(&mut self, peer: Peer, shares: bool, change: impl Fn(&mut u32)) {
        change(self.clients.entry(Place::of(peer, self.shape.client)).or_default());
        if !shares {
            return;
        }
        for tier in self.tiers_of(peer) {
            change(self.networks[tier].entry(Place::of(peer, LADDER[tier])).or_default());
        }
        change(&mut self.total);
    }

    fn note(&mut self, rejection: Option<Rejected>, tracked: bool) {
        if !self.now.counting {
            return;
        }
        let told = &mut self.told;
        told.all_rejected += u64::from(rejection.is_some());
        *match rejection {
            None if tracked => &mut told.admitted,
            None => &mut told.admitted_untracked,
            Some(Rejected::ClientLimit) => &mut told.client_limit,
            Some(Rejected::TierLimit) => &mut told.tier_limit,
            Some(Rejected::TotalLimit) => &mut told.total_limit,
            Some(Rejected::Denied) => &mut told.denied,
            Some(Rejected::UnknownPeer) => &mut told.unknown_peer,
            Some(other) => unreachable!("the rules have no {other:?}"),
        } += 1;
    }

    /// How near the nearest limit is: the client's own, its tiers' or the total's.
    pub(crate) fn zone(&self, peer: Peer) -> Zone {
        let Some(percent) = self.now.soft_percent else { return Zone::Normal };
        // No limit is written as 0, and what nobody reaches is none either.
        let near = |open: u32, limit: u32| {
            (1..1 << 20).contains(&limit) && f64::from(open) > f64::from(limit) * f64::from(percent) / 100.0
        };
        let own = match Allow::of(peer, &self.now.limits, &self.now.rules) {
            Allow::Unlimited => return Zone::Normal,
            Allow::Limit(limit) => near(self.open(peer), limit),
            Allow::Deny => self.open(peer) > 0,
        };
        let tier = self.tiers_of(peer).any(|tier| {
            let open = self.networks[tier].get(&Place::of(peer, LADDER[tier])).copied().unwrap_or(0);
            near(open, self.now.limits.tiers[tier].unwrap_or(0))
        });
        let total = self.shape.total && near(self.total, self.now.limits.total.unwrap_or(0));
        if own || tier || total { Zone::Soft } else { Zone::Normal }
    }

    /// Fails when `stats` says otherwise.
    pub(crate) fn compare(&self, stats: &Stats) {
        assert_eq!(Told::by(stats), self.told);
        let table = |map: &HashMap<Place, u32>| {
            let busy: Vec<_> = map.values().filter(|&&open| open > 0).collect();
            (busy.iter().map(|&&open| u64::from(open)).sum(), busy.len() as u64)
        };
        assert_eq!((stats.total.open_connections, stats.total.clients), table(&self.clients));
        let expected: Vec<_> =
            (0..4).filter(|&tier| self.shape.tiers[tier]).map(|tier| table(&self.networks[tier])).collect();
        let tiers: Vec<_> = stats.tiers.iter().map(|tier| (tier.open_connections, tier.clients)).collect();
        assert_eq!(tiers, expected, "open connections and networks of each tier");
    }
}
