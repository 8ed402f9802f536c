//! The tables of one limiter, and the way from a client to its key in each.

use crate::client::canonical::{Canonical, canonical};
use crate::client::{Client, Identity};
use crate::config::{Config, EmbeddedPolicy, Family, Limit, Tier};
use crate::epoch::{Guard, PinNow, PinSource};
use crate::rejected::Rejected;
use crate::table::{Counted, MAX_COUNT, NoMemory, Table};
use core::net::{Ipv4Addr, Ipv6Addr};

/// One counter per client, in a table per family so that a flood in one cannot crowd the others; and per tier, if
/// there are any, one counter per network.
pub(crate) struct Counts {
    clients: Masks,
    embedded: EmbeddedPolicy,
    v4: Table<u32>,
    v6: Table<u128>,
    named: Table<u128>,
    /// In the order of the configuration's tiers.
    tiers: Box<[(Masks, Table<u128>)]>,
    /// All connections, under one key.
    total: Option<Table<u32>>,
}

/// A client as its table knows it.
#[derive(Clone, Copy)]
pub(crate) enum ClientKey {
    V4(u32),
    V6(u128),
    Named(u128),
}

impl ClientKey {
    pub(crate) const fn family(self) -> Family {
        match self {
            Self::V4(_) => Family::Ipv4,
            Self::V6(_) => Family::Ipv6,
            Self::Named(_) => Family::Named,
        }
    }

    /// The client as the tables report it.
    pub(crate) const fn client(self) -> Client {
        Client::of(match self {
            Self::V4(addr) => Identity::V4(Ipv4Addr::from_bits(addr)),
            Self::V6(addr) => Identity::V6(Ipv6Addr::from_bits(addr)),
            Self::Named(name) => Identity::Named(name),
        })
    }
}

impl Config {
    /// The client that `client` is counted as: after the [treatment of embedded IPv4 clients](Self::with_embedded), the
    /// first address of its network under the prefix lengths. Named clients are counted as themselves.
    ///
    /// A limiter does this by itself. It is for whoever counts the same clients by other means.
    ///
    /// # Examples
    ///
    /// ```
    /// use connlimit::{Client, Config};
    /// use std::net::IpAddr;
    ///
    /// let config = Config::new(10).with_ipv6_prefix(64)?;
    /// let (host, network): (IpAddr, IpAddr) = ("2001:db8::7".parse()?, "2001:db8::".parse()?);
    /// assert_eq!(config.counted_as(host), Client::from(network));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn counted_as(&self, client: impl Into<Client>) -> Client {
        let client = client.into();
        let found = match client.identity() {
            Identity::V4(addr) => Canonical::V4(addr),
            Identity::V6(addr) => canonical(addr, self.embedded()),
            Identity::Named(_) => return client,
        };
        let masks = Masks::new(self.ipv4_prefix(), self.ipv6_prefix());
        Client::of(match found.masked(masks.v4, masks.v6) {
            Canonical::V4(addr) => Identity::V4(addr),
            Canonical::V6(addr) | Canonical::Own(addr) => Identity::V6(addr),
        })
    }
}

#[derive(Clone, Copy)]
struct Masks {
    v4: u32,
    v6: u128,
}

impl Masks {
    fn new(ipv4_prefix: u8, ipv6_prefix: u8) -> Self {
        Self {
            v4: u32::MAX.checked_shl(32 - u32::from(ipv4_prefix)).unwrap_or(0),
            v6: u128::MAX.checked_shl(128 - u32::from(ipv6_prefix)).unwrap_or(0),
        }
    }
}

impl Counts {
    /// Tables for a configuration whose shape is resolved.
    pub(crate) fn new(config: &Config) -> Result<Self, NoMemory> {
        let (bytes, all) = (config.table_memory(), config.preallocation());
        // The total is one counter, in a smallest table. Tiers take half of the rest. Of what is left: an IPv6 client
        // takes twice the room of an IPv4 one, names are few. The least bound there may be gives each its smallest table.
        let total = config.max_total().map(|_| Table::<u32>::SMALLEST);
        let bytes = bytes - total.unwrap_or(0);
        let tier = (bytes / 2).checked_div(config.tiers().len()).unwrap_or(0);
        let bytes = bytes - tier * config.tiers().len();
        Ok(Self {
            clients: Masks::new(config.ipv4_prefix(), config.ipv6_prefix()),
            embedded: config.embedded().clone(),
            v4: Table::new(bytes / 2, all)?,
            v6: Table::new(bytes / 3, all)?,
            named: Table::new(bytes / 6, all)?,
            tiers: (config.tiers().iter())
                .map(|t| Ok((Masks::new(t.ipv4_prefix(), t.ipv6_prefix()), Table::new(tier, all)?)))
                .collect::<Result<_, _>>()?,
            total: total.map(Self::total).transpose()?,
        })
    }

    fn total(bytes: usize) -> Result<Table<u32>, NoMemory> {
        let table = Table::new(bytes, false)?;
        // The one word is there from the start, and nobody needs its place: else the first connections of more threads
        // than a bin has slots would leave each other no room.
        drop(table.acquire(TOTAL, MAX_COUNT, PinNow).map_err(|_| NoMemory { bytes })?);
        Ok(table)
    }

    /// IPv4 clients, by address.
    pub(crate) const fn v4(&self) -> &Table<u32> {
        &self.v4
    }

    /// IPv6 clients, by address.
    pub(crate) const fn v6(&self) -> &Table<u128> {
        &self.v6
    }

    /// Named clients, by digest.
    pub(crate) const fn named(&self) -> &Table<u128> {
        &self.named
    }

    /// The networks of each tier, in the order of the configuration.
    pub(crate) fn tiers(&self) -> impl Iterator<Item = &Table<u128>> {
        self.tiers.iter().map(|(_, table)| table)
    }

    /// What the counter of all connections stands at, if there is one.
    pub(crate) fn total_open(&self, guard: &Guard) -> Option<u32> {
        self.total.as_ref().map(|table| table.open(TOTAL, guard))
    }

    #[inline(always)]
    pub(crate) fn key(&self, client: Client) -> ClientKey {
        let addr = match client.identity() {
            Identity::V4(addr) => return ClientKey::V4(self.ipv4_key(addr)),
            Identity::V6(addr) => addr,
            Identity::Named(name) => return ClientKey::Named(name),
        };
        self.ipv6_key(addr)
    }

    #[inline(always)]
    pub(crate) const fn ipv4_key(&self, addr: Ipv4Addr) -> u32 {
        addr.to_bits() & self.clients.v4
    }

    #[inline(never)]
    fn ipv6_key(&self, addr: Ipv6Addr) -> ClientKey {
        match canonical(addr, &self.embedded).masked(self.clients.v4, self.clients.v6) {
            Canonical::V4(addr) => ClientKey::V4(addr.to_bits()),
            Canonical::V6(addr) | Canonical::Own(addr) => ClientKey::V6(addr.to_bits()),
        }
    }

    /// Counts one more connection of a client; with it, how many that makes.
    #[inline(always)]
    pub(crate) fn acquire(&self, key: ClientKey, limit: u32, pins: impl PinSource) -> Counted {
        match key {
            ClientKey::V4(addr) => self.v4.acquire(addr, limit, pins),
            ClientKey::V6(addr) => Self::acquire_wide(&self.v6, addr, limit, pins),
            ClientKey::Named(name) => Self::acquire_wide(&self.named, name, limit, pins),
        }
    }

    /// Out of line: one copy serves two tables, and keeps the code of the IPv4 path short.
    #[inline(never)]
    fn acquire_wide(table: &Table<u128>, key: u128, limit: u32, pins: impl PinSource) -> Counted {
        table.acquire(key, limit, pins)
    }

    /// Gives back what memory can be given back now.
    pub(crate) fn reclaim(&self) {
        self.v4.reclaim();
        self.v6.reclaim();
        self.named.reclaim();
        self.tiers.iter().for_each(|(_, table)| table.reclaim());
    }

    pub(crate) fn open(&self, key: ClientKey, guard: &Guard) -> u32 {
        match key {
            ClientKey::V4(addr) => self.v4.open(addr, guard),
            ClientKey::V6(addr) => self.v6.open(addr, guard),
            ClientKey::Named(name) => self.named.open(name, guard),
        }
    }

    /// The counters above the client's own: its network in each tier, narrow before wide; in the end, the total.
    pub(crate) fn above(&self, client: Client) -> impl Iterator<Item = SharedCounter<'_>> {
        let found = match client.identity() {
            Identity::V4(addr) => Some(Canonical::V4(addr)),
            Identity::V6(addr) => Some(canonical(addr, &self.embedded)),
            // A name is in no network.
            Identity::Named(_) => None,
        };
        let tiers = self.tiers.iter().enumerate().filter_map(move |(tier, (masks, table))| {
            let key = match found?.masked(masks.v4, masks.v6) {
                // Mapped IPv6 addresses are IPv4 clients, so these meet no network of IPv6.
                Canonical::V4(addr) => addr.to_ipv6_mapped(),
                Canonical::V6(addr) | Canonical::Own(addr) => addr,
            };
            Some(SharedCounter::Tier { tier, table, key: key.to_bits() })
        });
        tiers.chain(self.total.iter().map(|table| SharedCounter::Total { table }))
    }
}

/// A counter that several clients share.
pub(crate) enum SharedCounter<'a> {
    Tier { tier: usize, table: &'a Table<u128>, key: u128 },
    Total { table: &'a Table<u32> },
}

impl SharedCounter<'_> {
    /// What `config` allows here.
    pub(crate) fn limit(&self, config: &Config) -> u32 {
        let limit = match self {
            Self::Tier { tier, .. } => config.tiers().get(*tier).map(Tier::limit),
            Self::Total { .. } => config.max_total(),
        };
        limit.map_or(MAX_COUNT, Limit::count)
    }

    pub(crate) const fn rejection(&self) -> Rejected {
        match self {
            Self::Tier { .. } => Rejected::TierLimit,
            Self::Total { .. } => Rejected::TotalLimit,
        }
    }

    pub(crate) fn acquire(&self, limit: u32, guard: &Guard) -> Counted {
        match self {
            Self::Tier { table, key, .. } => table.acquire(*key, limit, guard),
            Self::Total { table } => table.acquire(TOTAL, limit, guard),
        }
    }

    pub(crate) fn open(&self, guard: &Guard) -> u32 {
        match self {
            Self::Tier { table, key, .. } => table.open(*key, guard),
            Self::Total { table } => table.open(TOTAL, guard),
        }
    }
}

/// The one key of the table that counts all connections.
const TOTAL: u32 = 0;
