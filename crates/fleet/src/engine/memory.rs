//! An engine in the memory of this process.

use super::{Engine, EngineError, Reply, Request};
use crate::protocol::ledger::Ledger;
use core::fmt;
use core::time::Duration;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Keeps the leases in the memory of this process: for tests, and for several limiters that share one limit. Clones
/// share what they keep.
///
/// # Examples
///
/// ```
/// use connlimit_fleet::engine::Memory;
///
/// let engine = Memory::new();
/// let for_another_limiter = engine.clone();
/// # let _ = for_another_limiter;
/// ```
#[derive(Clone)]
pub struct Memory {
    start: Instant,
    run: Arc<str>,
    ledger: Arc<Mutex<Ledger>>,
}

impl Memory {
    /// An engine that knows of nobody. As it cannot know that there was nobody before, it
    /// [grants nothing](crate::Terms::ttl) at first.
    #[must_use]
    pub fn new() -> Self {
        Self { start: Instant::now(), run: "memory".into(), ledger: Arc::default() }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").finish_non_exhaustive()
    }
}

impl Engine for Memory {
    /// There is one fleet in it, whatever its name.
    fn fleet(&mut self, _: &str) {}

    async fn exchange(&mut self, request: &Request, _: Duration) -> Result<Reply, EngineError> {
        let clock = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        // What a thread leaves behind that panicked here is whole: the ledger is changed by infallible steps.
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(ledger.exchange(clock, &self.run, request))
    }
}
