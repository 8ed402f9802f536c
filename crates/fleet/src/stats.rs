//! A member of the fleet in numbers.

use connlimit::Client;
use core::time::Duration;

/// What a member holds and what it has done so far. Plain data, from [`Fleet::stats`](crate::Fleet::stats).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Whether the engine knows this machine's session.
    pub in_touch: bool,
    /// Connections of each client that are admitted without a lease: the share, or 0 without a seat.
    pub share: u32,
    /// Clients with a lease here.
    pub leases: u64,
    /// Connections leased, of all clients together.
    pub leased: u64,
    /// Attempts that asked for more.
    pub asks: u64,
    /// Times that the engine had no more for a client.
    pub refused: u64,
    /// Times that this machine was cut off for a time to live.
    pub losses: u64,
    /// Connections without a lease, of all clients together, since a loss.
    pub overhang: u64,
    /// Sessions begun; more than one after losses, and after the engine forgot.
    pub sessions: u64,
    /// Requests to the engine.
    pub requests: u64,
    /// Clients named in them.
    pub entries: u64,
    /// Requests that were not answered.
    pub failures: u64,
    /// Time since the engine last answered.
    pub since_heartbeat: Option<Duration>,
    /// What the engine, or its client, last said was wrong.
    pub last_error: Option<String>,
}

/// Connections of a client to close. From [`Fleet::overhang`](crate::Fleet::overhang).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Overhang {
    /// The client, as the limiter [counts](connlimit::Config::counted_as) it.
    pub client: Client,
    /// How many of its connections.
    pub connections: u32,
}
