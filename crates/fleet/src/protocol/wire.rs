//! What a machine says to the engine, and what it hears.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

/// A client as the whole fleet calls it: the text of its address, or of its name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<[u8]>);

impl Key {
    /// A key of these bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.0.escape_ascii())
    }
}

/// The numbers that all machines of a fleet must agree on. What a request carries, so that an engine needs no
/// configuration of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Rules {
    /// Connections of one client that may be leased in all: `limit - seats * share`, or 0. Machines may differ in this;
    /// the largest one bounds them all.
    pub pool: u32,
    /// Machines that have a share of their own.
    pub seats: u32,
    /// Connections that a machine with a seat may give each client without a lease.
    pub share: u32,
    /// How long a session lasts beyond its last request.
    pub ttl: Duration,
    /// How long a grant is kept beyond the last request that named it.
    pub retention: Duration,
}

/// One request of a machine. Whatever it says is done as a whole, or not at all.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Request {
    /// The session. No two machines, and no two sessions of one machine, have the same.
    pub session: Arc<str>,
    /// The epoch that the session belongs to; `None` begins the session, should there be none.
    pub epoch: Option<Arc<str>>,
    /// Grows with every request of a session. A request that another one has overtaken is ignored.
    pub sequence: u64,
    /// Ends the session.
    pub end: bool,
    /// What the fleet agrees on.
    pub rules: Rules,
    /// What is asked for, or given back.
    pub entries: Vec<Entry>,
}

/// What a machine wants for one client, above its share.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Entry {
    /// The client.
    pub key: Key,
    /// What the machine insists on: connections that are open, or that it may admit at any moment.
    pub hold: u32,
    /// What it would like to have, at least `hold`.
    pub want: u32,
}

/// The engine's answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reply {
    /// Done.
    Granted(Granted),
    /// The session is not known: it has ended, or the engine's memory begins after it. The machine begins another one.
    Unknown,
    /// A later request of the session was here first. Nothing was done.
    Overtaken,
    /// The machines that are in the fleet have agreed on other seats, another share or another time to live. Nothing was
    /// done.
    OtherRules {
        /// Their seats.
        seats: u32,
        /// Their share.
        share: u32,
        /// Their time to live.
        ttl: Duration,
    },
}

/// What a request has brought.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Granted {
    /// The epoch that the session belongs to.
    pub epoch: Arc<str>,
    /// Whether the machine has a seat.
    pub seat: bool,
    /// For how long nothing will be granted, because the engine may have forgotten something.
    pub learning: Duration,
    /// One answer for each entry, in their order.
    pub grants: Vec<Grant>,
    /// Clients of whom another machine wants more than there is: what is leased for them without need is to be given
    /// back.
    pub contended: Vec<Key>,
}

/// What a machine has for one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Grant {
    /// Connections that it may have above its share. Never less than it insisted on.
    pub leased: u32,
    /// By how much that makes the fleet exceed what it may lease.
    pub excess: u32,
}

impl Granted {
    /// An answer that has nothing to say of single clients yet.
    #[must_use]
    pub fn new(epoch: Arc<str>, seat: bool, learning: Duration) -> Self {
        Self { epoch, seat, learning, grants: Vec::new(), contended: Vec::new() }
    }
}

impl Grant {
    /// An answer of these numbers.
    #[must_use]
    pub const fn new(leased: u32, excess: u32) -> Self {
        Self { leased, excess }
    }
}
