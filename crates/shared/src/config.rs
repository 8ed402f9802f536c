//! What is set when a region is made, and what may be set later.

use crate::OpenError;
use crate::hash::Secret;
use crate::key::Family;
use crate::table::{LANES, RECORDS};
use connlimit::Config;
use connlimit::config::{ConfigError, Embedded, EmbeddedPolicy};

/// The largest limit: half of what a lane can count, so that raises that are taken back have room.
pub(crate) const MOST: u16 = i16::MAX.unsigned_abs();

/// Connections that one client may have in all processes together.
///
/// A count never exceeds 32,767 for one client; a larger limit acts like that one, and so does 0, which means no limit.
///
/// # Examples
///
/// ```
/// use connlimit_shared::Limits;
///
/// let limits = Limits::new(100).with_ipv6(20);
/// assert_eq!((limits.ipv4(), limits.ipv6(), limits.named()), (100, 20, 100));
/// assert_eq!(Limits::new(0).ipv4(), 32_767);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    ipv4: u16,
    ipv6: u16,
    named: u16,
}

impl Limits {
    /// The same limit for every client.
    #[must_use]
    pub const fn new(max_per_client: u32) -> Self {
        let limit = effective(max_per_client);
        Self { ipv4: limit, ipv6: limit, named: limit }
    }

    /// A limit for IPv4 clients.
    #[must_use]
    pub const fn with_ipv4(mut self, limit: u32) -> Self {
        self.ipv4 = effective(limit);
        self
    }

    /// A limit for IPv6 clients.
    #[must_use]
    pub const fn with_ipv6(mut self, limit: u32) -> Self {
        self.ipv6 = effective(limit);
        self
    }

    /// A limit for [named](crate::SharedLimiter::named) clients.
    #[must_use]
    pub const fn with_named(mut self, limit: u32) -> Self {
        self.named = effective(limit);
        self
    }

    /// Connections of an IPv4 client.
    #[must_use]
    pub const fn ipv4(&self) -> u32 {
        self.ipv4 as u32
    }

    /// Connections of an IPv6 client.
    #[must_use]
    pub const fn ipv6(&self) -> u32 {
        self.ipv6 as u32
    }

    /// Connections of a named client.
    #[must_use]
    pub const fn named(&self) -> u32 {
        self.named as u32
    }

    /// All three in one word, so that they change together.
    pub(crate) const fn to_word(self) -> u64 {
        self.ipv4 as u64 | (self.ipv6 as u64) << 16 | (self.named as u64) << 32
    }

    /// The limit of a family. Another program may have written any word: it is a limit all the same.
    #[inline(always)]
    pub(crate) const fn of_word(word: u64, family: Family) -> u32 {
        let shift = match family {
            Family::Ipv4 => 0,
            Family::Ipv6 => 16,
            Family::Named => 32,
        };
        let limit = (word >> shift & 0xffff) as u32;
        if limit > MOST as u32 { MOST as u32 } else { limit }
    }

    pub(crate) const fn from_word(word: u64) -> Self {
        Self {
            ipv4: effective(Self::of_word(word, Family::Ipv4)),
            ipv6: effective(Self::of_word(word, Family::Ipv6)),
            named: effective(Self::of_word(word, Family::Named)),
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "in range")]
const fn effective(limit: u32) -> u16 {
    if limit == 0 || limit > MOST as u32 { MOST } else { limit as u16 }
}

/// How a region is made, and how clients are told apart in it.
///
/// Limits and sizes count for who makes the region; who opens one takes what it has, and may change the limits with
/// [`set_limits`](crate::SharedLimiter::set_limits). Prefix lengths and the treatment of embedded IPv4 clients must be the
/// same in all processes, and opening fails where they are not.
///
/// # Examples
///
/// ```
/// use connlimit_shared::{Limits, SharedConfig};
///
/// let config = SharedConfig::new(Limits::new(100)).with_clients(50_000).with_processes(8).with_ipv6_prefix(64)?;
/// assert_eq!(config.memory()?, 13_658_112); // 64 bytes a record, four records for each expected client
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SharedConfig {
    pub(crate) limits: Limits,
    clients: usize,
    processes: u8,
    pub(crate) identity: Config,
}

/// Processes of a record of 64 bytes, and of one of 128.
const NARROW: usize = 5;
const WIDE: usize = 13;
/// Records for each expected client. At a quarter full one group in 500,000 has no room for a newcomer; at a half, one in
/// 200.
const SPARE: usize = 4;

impl SharedConfig {
    /// At most `limits` for each client; room for 10,000 clients that have connections at the same time, and for 20
    /// processes.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, clients: 10_000, processes: 20, identity: Config::new(0) }
    }

    /// Makes room for `clients` that have connections at the same time.
    ///
    /// Memory is allocated when the region is made, 64 bytes for a record and four records for each client that is
    /// expected, and never grows. At this load a newcomer finds no room, and is rejected with
    /// [`Rejected::TableFull`](connlimit::Rejected::TableFull), with a probability of 2 in a million; at twice as many
    /// clients, of 1 in 200.
    #[must_use]
    pub const fn with_clients(mut self, clients: usize) -> Self {
        self.clients = clients;
        self
    }

    /// Makes room for `processes` at the same time, both generations of a restart included. Above 20 a record takes 128
    /// bytes; 52 are the most.
    #[must_use]
    pub const fn with_processes(mut self, processes: u8) -> Self {
        self.processes = processes;
        self
    }

    /// Counts all IPv4 addresses that share their first `bits` bits as one client, as
    /// [`Config::with_ipv4_prefix`] does.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Ipv4Prefix`] when `bits` is above 32.
    pub fn with_ipv4_prefix(mut self, bits: u8) -> Result<Self, ConfigError> {
        self.identity = self.identity.with_ipv4_prefix(bits)?;
        Ok(self)
    }

    /// Counts all IPv6 addresses that share their first `bits` bits as one client, as
    /// [`Config::with_ipv6_prefix`] does. 64 is what most servers want.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Ipv6Prefix`] when `bits` is above 128.
    pub fn with_ipv6_prefix(mut self, bits: u8) -> Result<Self, ConfigError> {
        self.identity = self.identity.with_ipv6_prefix(bits)?;
        Ok(self)
    }

    /// Decides who is counted when an IPv6 address embeds the address of an IPv4 client, as [`Config::with_embedded`]
    /// does.
    #[must_use]
    pub fn with_embedded(mut self, policy: EmbeddedPolicy) -> Self {
        self.identity = self.identity.with_embedded(policy);
        self
    }

    /// The size of the region, in bytes.
    ///
    /// # Errors
    ///
    /// [`OpenError::Clients`] and [`OpenError::Processes`] when there can be no such region.
    pub fn memory(&self) -> Result<usize, OpenError> {
        let (words, groups) = (self.words()?, self.groups()?);
        crate::region::size(words, groups).ok_or(OpenError::Clients(self.clients))
    }

    /// Words of lanes in a record.
    pub(crate) fn words(&self) -> Result<usize, OpenError> {
        match usize::from(self.processes).div_ceil(LANES) {
            1..=NARROW => Ok(NARROW),
            ..=WIDE if self.processes > 0 => Ok(WIDE),
            _ => Err(OpenError::Processes(self.processes)),
        }
    }

    pub(crate) fn groups(&self) -> Result<usize, OpenError> {
        let records = self.clients.checked_mul(SPARE).ok_or(OpenError::Clients(self.clients))?;
        let groups = records.div_ceil(RECORDS).max(1);
        // The group is found by 32 bits of the hash.
        if u32::try_from(groups).is_ok() { Ok(groups) } else { Err(OpenError::Clients(self.clients)) }
    }

    pub(crate) const fn processes(&self) -> u8 {
        self.processes
    }

    /// What all processes must have the same of, besides the prefixes: a number that stands for it.
    pub(crate) fn fingerprint(&self) -> u64 {
        let policy = self.identity.embedded();
        let mut bytes = vec![code(policy.nat64())];
        for (network, bits, embedded) in policy.nat64_prefixes() {
            bytes.extend(network.octets());
            bytes.extend([bits, code(embedded)]);
        }
        Secret([0, 0]).hash_bytes(&bytes)
    }
}

fn code(embedded: Embedded) -> u8 {
    match embedded {
        Embedded::KeepAddress => 0,
        Embedded::OwnClient => 1,
        Embedded::SameAsIpv4 => 2,
        // A newer core's: the crates come together, and until they do it differs from all others.
        _ => u8::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_go_through_a_word_and_hostile_words_are_limits_too() {
        let limits = Limits::new(1).with_ipv6(0).with_named(32_767);
        assert_eq!(Limits::from_word(limits.to_word()), limits);
        for word in [0, u64::MAX, 0x8000_8000_8000_8000] {
            let limits = Limits::from_word(word);
            assert!([limits.ipv4(), limits.ipv6(), limits.named()].iter().all(|limit| (1..=32_767).contains(limit)));
        }
    }

    #[test]
    fn sizes_that_cannot_be_are_named() {
        let config = SharedConfig::new(Limits::new(1));
        assert!(matches!(config.clone().with_processes(0).memory(), Err(OpenError::Processes(0))));
        assert!(matches!(config.clone().with_processes(53).memory(), Err(OpenError::Processes(53))));
        assert!(matches!(config.clone().with_clients(usize::MAX).memory(), Err(OpenError::Clients(usize::MAX))));
        assert_eq!(config.clone().with_processes(20).words().unwrap(), 5);
        assert_eq!(config.clone().with_processes(21).words().unwrap(), 13);
        assert_eq!(config.with_clients(0).groups().unwrap(), 1);
    }

    #[test]
    fn different_treatments_of_embedded_clients_have_different_fingerprints() {
        let config = SharedConfig::new(Limits::new(1));
        let policy = EmbeddedPolicy::new().with_nat64(Embedded::KeepAddress);
        assert_ne!(config.fingerprint(), config.clone().with_embedded(policy).fingerprint());
        assert_eq!(config.fingerprint(), config.clone().with_embedded(EmbeddedPolicy::new()).fingerprint());
    }
}
