//! What keeps the leases: a Redis or Valkey server, or memory of this process.

mod memory;
#[cfg(feature = "redis")]
mod redis;

#[cfg(feature = "redis")]
pub use self::redis::Redis;
pub use crate::protocol::wire::{Entry, Grant, Granted, Key, Reply, Request, Rules};
pub use memory::Memory;

use core::fmt;
use core::time::Duration;

/// Keeps the leases of a fleet.
///
/// # What an engine has to guarantee
///
/// - A request is done as a whole, and one after the other: what it reads is what the last one wrote.
/// - It judges the time by its own clock alone.
/// - When it may have forgotten an answer that it has given, because it or its host died or another server took its
///   place, it begins a new epoch: no session is known, and for one time to live no lease grows.
///
/// [`Memory`] is the plainest engine. `Redis` is the one for several machines.
pub trait Engine: Send + 'static {
    /// Says which fleet's leases are meant, should several share the engine. Called once, before anything else.
    fn fleet(&mut self, name: &str);

    /// Does what `request` says, and answers. Waits no longer than `patience`, connecting included.
    ///
    /// It is not called again before its future has ended or has been dropped. A dropped or failed call may have been
    /// done, may be done later, or never.
    ///
    /// # Errors
    ///
    /// [`EngineError`] when there is no answer, or none that makes sense.
    fn exchange(
        &mut self,
        request: &Request,
        patience: Duration,
    ) -> impl Future<Output = Result<Reply, EngineError>> + Send;
}

/// Why an engine gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EngineError {
    /// It could not be reached, or did not answer in time; its client says why.
    Away(String),
    /// It answered with an error: no permission, for instance, or a replica that takes no writes.
    Rejected(String),
    /// It removes keys when memory is short, by the policy named here. Leases need `noeviction`.
    Evicts(String),
    /// Its answer makes no sense.
    Garbled(&'static str),
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Away(why) => write!(f, "the engine is away: {why}"),
            Self::Rejected(why) => write!(f, "the engine rejects the request: {why}"),
            Self::Evicts(policy) => {
                write!(f, "the engine removes keys when memory is short (maxmemory-policy {policy})")
            }
            Self::Garbled(what) => write!(f, "the engine's answer makes no sense: {what}"),
        }
    }
}

impl core::error::Error for EngineError {}
