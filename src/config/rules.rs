//! What single networks get instead of the limit for everybody.
//!
//! Which rule is the longest is decided by `prefix-trie`, once, when the rules are put together: it is asked at each
//! address where a network begins or ends. An admission only finds out between which two of them its address lies,
//! in an [`Index`]. The trie is not kept. It is slower, and it would take `UnwindSafe` away from the limiter.
//!
//! An admission and a release take about 22 ns, and reading the configuration about 10, which leaves as much for a
//! look-up in 10,000 rules. In nanoseconds, for random addresses that hit, between two locked instructions; the median
//! of nine, all from one run:
//!
//! | | IPv4 | IPv6 | IPv6, crowded |
//! |---|---|---|---|
//! | `prefix-trie` 0.10, keys of bare integers | 42 | 98 | 97 |
//! | `poptrie` 0.2, which needs Rust 1.87 | 19 | 102 | 87 |
//! | `iptrie` 0.11, level-compressed | 8 | 20 | 28 |
//! | binary search without jumps | 25 | 38 | 41 |
//! | [`Index`] | 3 | 8 | 11 |
//!
//! The machine, an AMD EPYC of family 26, was shared and busy: the order is what to take from it. Measure the last line,
//! and the trie with the types of the interface, by `benches/rules.rs`.

use super::ConfigError;
use core::fmt;
use core::net::IpAddr;
use index::Index;
use ipnet::{IpNet, Ipv4Net};
use prefix_trie::joint::JointPrefixMap;
use std::sync::Arc;

mod config;
mod error;
mod index;

pub use error::RuleErrorKind;

/// What a [rule](Rules) does with the clients of its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// At most this many connections per client, instead of [`Config::max_per_client`](crate::Config::max_per_client). Never
    /// 0, which could be meant either way: say [`Deny`](Self::Deny) or [`Unlimited`](Self::Unlimited).
    Limit(u32),
    /// Any number of connections. They are counted for the client, and never rejected. They take no place in
    /// [tiers](crate::Config::with_tier) or the [total](crate::Config::with_max_total), so that a busy health check does
    /// not use up what others may have.
    Unlimited,
    /// No connection.
    Deny,
}

/// Networks, and what each of them is allowed: of all networks that contain an address, the longest one counts.
///
/// An IPv4-mapped network is the IPv4 one, so `::ffff:192.0.2.0/120` and `192.0.2.0/24` are the same rule. Networks
/// of one family say nothing about the other, not even `::/0`. No network is special unless a rule says so, loopback
/// included. Clients without an address are outside of all rules.
///
/// # Rules and clients
///
/// A rule is looked up by the address of the *connection*, before any [prefix](crate::Config::with_ipv6_prefix)
/// makes a client of it, so a rule may be longer than that prefix. The *count* is still the client's. With clients
/// of /64, an [`Action::Limit`] for a single address admits a connection from there while the whole /64 has fewer
/// than that; what is open from there counts for the neighbours, against their own limit.
///
/// # Cost
///
/// A value is cheap to clone: clones share the rules. It takes some hundred bytes for each rule, and a look-up that
/// grows little with their number. `benches/rules.rs` measures it.
///
/// # Examples
///
/// ```
/// use connlimit::config::{Action, Rules};
///
/// let rules = Rules::new([
///     ("0.0.0.0/0".parse()?, Action::Limit(8)),
///     ("192.0.2.0/24".parse()?, Action::Deny),
///     ("192.0.2.128/25".parse()?, Action::Limit(2)),
/// ])?;
/// let longest = Some(("192.0.2.128/25".parse()?, Action::Limit(2)));
/// assert_eq!(rules.find("192.0.2.200".parse()?), longest);
/// assert_eq!(rules.find("::ffff:192.0.2.200".parse()?), longest);
/// assert_eq!(rules.action("192.0.2.1".parse()?), Some(Action::Deny));
/// assert_eq!(rules.action("2001:db8::1".parse()?), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct Rules(Option<Arc<Compiled>>);

struct Compiled {
    /// Sorted, each network once.
    rules: Vec<(IpNet, Action)>,
    v4: Index<u32, Option<Action>>,
    v6: Index<u128, Option<Action>>,
}

impl Rules {
    /// Puts rules together, in any order. The same rule may come twice.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Rule`] names the first rule that cannot stand, and says why: the network has bits beyond its
    /// prefix, the limit is 0, or the network was there before with another action.
    pub fn new(rules: impl IntoIterator<Item = (IpNet, Action)>) -> Result<Self, ConfigError> {
        let mut networks = JointPrefixMap::new();
        for (network, action) in rules {
            insert(&mut networks, network, action)
                .map_err(|kind| ConfigError::Rule { network: network.to_string(), kind })?;
        }
        Ok(Self((!networks.is_empty()).then(|| Arc::new(Compiled::new(&networks)))))
    }

    /// What a connection from `addr` is allowed, if there is a rule for it; for admissions.
    #[inline]
    #[must_use]
    pub fn action(&self, addr: IpAddr) -> Option<Action> {
        // Not by `to_canonical`: an `IpAddr` made anew has to pass through memory, which takes longer than the rest.
        match addr {
            IpAddr::V4(addr) => self.action_v4(addr.to_bits()),
            IpAddr::V6(addr) => match addr.to_ipv4_mapped() {
                Some(mapped) => self.action_v4(mapped.to_bits()),
                None => self.action_v6(addr.to_bits()),
            },
        }
    }

    #[inline]
    pub(crate) fn action_v4(&self, addr: u32) -> Option<Action> {
        *self.0.as_ref()?.v4.get(addr)
    }

    /// `addr` is not an IPv4-mapped one.
    #[inline]
    pub(crate) fn action_v6(&self, addr: u128) -> Option<Action> {
        *self.0.as_ref()?.v6.get(addr)
    }

    /// The rule for `addr`: the longest network that contains it, and what that is allowed; for explanations, and
    /// slower than [`action`](Self::action).
    #[must_use]
    pub fn find(&self, addr: IpAddr) -> Option<(IpNet, Action)> {
        let addr = addr.to_canonical();
        let longest = IpNet::from(addr).prefix_len();
        (0..=longest).rev().find_map(|bits| {
            let network = IpNet::new(addr, bits).ok()?.trunc();
            let at = self.as_slice().binary_search_by_key(&network, |rule| rule.0).ok()?;
            Some(self.as_slice()[at])
        })
    }

    /// The action for exactly this network.
    fn get(&self, network: IpNet) -> Option<Action> {
        let at = self.as_slice().binary_search_by_key(&network, |rule| rule.0).ok()?;
        Some(self.as_slice()[at].1)
    }

    /// All rules: IPv4 before IPv6, by address, the shorter prefix first.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (IpNet, Action)> {
        self.as_slice().iter().copied()
    }

    /// Number of rules.
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// Whether there is no rule.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    fn as_slice(&self) -> &[(IpNet, Action)] {
        self.0.as_ref().map_or(&[], |compiled| &compiled.rules)
    }
}

impl Compiled {
    fn new(networks: &JointPrefixMap<IpNet, Action>) -> Self {
        let mut rules: Vec<_> = networks.iter().map(|(network, &action)| (network, action)).collect();
        rules.sort_unstable_by_key(|rule| rule.0);
        // Where a network begins, and where the addresses after it begin.
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (network, _) in &rules {
            match network {
                IpNet::V4(network) => {
                    v4.push(network.network().to_bits());
                    v4.extend(network.broadcast().to_bits().checked_add(1));
                }
                IpNet::V6(network) => {
                    v6.push(network.network().to_bits());
                    v6.extend(network.broadcast().to_bits().checked_add(1));
                }
            }
        }
        let longest = |addr: IpAddr| networks.get_lpm(&addr.into()).map(|(_, &action)| action);
        let v4 = Index::new(v4, |addr: u32| longest(IpAddr::V4(addr.into())));
        let v6 = Index::new(v6, |addr: u128| longest(IpAddr::V6(addr.into())));
        Self { rules, v4, v6 }
    }
}

fn insert(networks: &mut JointPrefixMap<IpNet, Action>, network: IpNet, action: Action) -> Result<(), RuleErrorKind> {
    if network.addr() != network.network() {
        return Err(RuleErrorKind::HostBits);
    }
    if action == Action::Limit(0) {
        return Err(RuleErrorKind::ZeroLimit);
    }
    match networks.insert(unmapped(network), action) {
        Some(before) if before != action => Err(RuleErrorKind::Conflict),
        _ => Ok(()),
    }
}

/// The IPv4 network that is meant by an IPv4-mapped one. Without bits beyond its prefix, a mapped address has a
/// prefix of 96 bits or more; a shorter one, like `::/0`, is an IPv6 network around the mapped ones and stays that.
fn unmapped(network: IpNet) -> IpNet {
    let mapped = match network {
        IpNet::V4(_) => None,
        IpNet::V6(network) => network.addr().to_ipv4_mapped().zip(network.prefix_len().checked_sub(96)),
    };
    mapped.and_then(|(addr, bits)| Ipv4Net::new(addr, bits).ok()).map_or(network, IpNet::V4)
}

impl PartialEq for Rules {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Rules {}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
