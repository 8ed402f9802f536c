//! Keyed hashing: SipHash-1-3 from the standard library, keyed by the operating system's randomness.
//!
//! A bin holds few clients, and peers choose their own addresses: without a secret key they could aim at one
//! bin. Faster hashes make no promise against a peer who studies the process; SipHash was made for this
//! (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012).

use core::hash::BuildHasher;
use std::hash::RandomState;
use std::sync::OnceLock;

/// The secret with which one limiter spreads its clients over the bins.
#[derive(Debug)]
pub(crate) struct Spread(#[cfg(not(connlimit_loom))] RandomState);

impl Spread {
    #[cfg(not(connlimit_loom))]
    pub(crate) fn new() -> Self {
        Self(RandomState::new())
    }

    #[cfg(not(connlimit_loom))]
    #[inline]
    pub(crate) fn hash(&self, key: impl core::hash::Hash + Into<u128>) -> u64 {
        self.0.hash_one(key)
    }

    /// A model has to be the same in each of its executions, and wants to choose who shares a bin.
    #[cfg(connlimit_loom)]
    pub(crate) fn new() -> Self {
        Self()
    }

    #[cfg(connlimit_loom)]
    pub(crate) fn hash(&self, key: impl core::hash::Hash + Into<u128>) -> u64 {
        key.into() as u64
    }
}

/// A 128-bit digest under a key drawn once per process.
pub(crate) fn digest(bytes: &[u8]) -> u128 {
    static SECRETS: OnceLock<[RandomState; 2]> = OnceLock::new();
    let [high, low] = SECRETS.get_or_init(|| [RandomState::new(), RandomState::new()]);
    u128::from(high.hash_one(bytes)) << 64 | u128::from(low.hash_one(bytes))
}
