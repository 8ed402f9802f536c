//! Keyed hashing: SipHash-1-3, as the standard library's own maps use it, with a random 128-bit key.
//!
//! A bin holds few clients, and peers choose their own addresses: without a secret key they could aim at one
//! bin. Faster hashes make no promise against a peer who studies the process; SipHash was made for this
//! (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012).
//!
//! The rounds are written out here for keys of fixed length, because the standard library's hasher buffers and
//! calls where two dozen instructions would do; a test holds the two against each other.

use core::hash::BuildHasher;
use std::hash::RandomState;
use std::sync::OnceLock;

/// The secret with which one table spreads its clients over the bins.
#[derive(Debug)]
pub(crate) struct KeyHasher {
    #[cfg_attr(connlimit_loom, expect(dead_code, reason = "models choose who shares a bin"))]
    k0: u64,
    #[cfg_attr(connlimit_loom, expect(dead_code, reason = "models choose who shares a bin"))]
    k1: u64,
}

impl KeyHasher {
    /// A key from the operating system's randomness, by way of the standard library.
    #[cfg(not(connlimit_shuttle))]
    pub(crate) fn new() -> Self {
        let source = RandomState::new();
        Self { k0: source.hash_one(0), k1: source.hash_one(1) }
    }

    /// A key that is part of the schedule: an execution that is run again has the same.
    #[cfg(connlimit_shuttle)]
    pub(crate) fn new() -> Self {
        use shuttle::rand::{RngCore, thread_rng};
        Self { k0: thread_rng().next_u64(), k1: thread_rng().next_u64() }
    }

    #[cfg(not(connlimit_loom))]
    #[inline(always)]
    pub(crate) fn hash<K: HashInput>(&self, key: K) -> u64 {
        key.feed(Sip::new(self.k0, self.k1)).finish()
    }

    /// A model has to be the same in each of its executions, and wants to choose who shares a bin.
    #[cfg(connlimit_loom)]
    pub(crate) fn hash<K: HashInput>(&self, key: K) -> u64 {
        key.low()
    }
}

/// A key of fixed length, hashed as its bytes in little-endian order.
pub(crate) trait HashInput {
    #[cfg(not(connlimit_loom))]
    fn feed(self, sip: Sip) -> Sip;
    #[cfg(connlimit_loom)]
    fn low(self) -> u64;
}

impl HashInput for u32 {
    #[cfg(not(connlimit_loom))]
    #[inline(always)]
    fn feed(self, sip: Sip) -> Sip {
        sip.block(4 << 56 | u64::from(self))
    }

    #[cfg(connlimit_loom)]
    fn low(self) -> u64 {
        u64::from(self & 0xff) | u64::from(self >> 8) << 32
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the key is split into halves")]
impl HashInput for u128 {
    #[cfg(not(connlimit_loom))]
    #[inline(always)]
    fn feed(self, sip: Sip) -> Sip {
        sip.block(self as u64).block((self >> 64) as u64).block(16 << 56)
    }

    #[cfg(connlimit_loom)]
    fn low(self) -> u64 {
        self as u64
    }
}

/// The state of SipHash with one compression and three finalisation rounds.
#[cfg(not(connlimit_loom))]
#[derive(Clone, Copy)]
pub(crate) struct Sip {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

#[cfg(not(connlimit_loom))]
impl Sip {
    #[inline(always)]
    const fn new(k0: u64, k1: u64) -> Self {
        Self {
            v0: k0 ^ 0x736f_6d65_7073_6575,
            v1: k1 ^ 0x646f_7261_6e64_6f6d,
            v2: k0 ^ 0x6c79_6765_6e65_7261,
            v3: k1 ^ 0x7465_6462_7974_6573,
        }
    }

    #[inline(always)]
    const fn block(mut self, word: u64) -> Self {
        self.v3 ^= word;
        self = self.round();
        self.v0 ^= word;
        self
    }

    #[inline(always)]
    const fn finish(mut self) -> u64 {
        self.v2 ^= 0xff;
        self = self.round().round().round();
        self.v0 ^ self.v1 ^ self.v2 ^ self.v3
    }

    #[inline(always)]
    const fn round(self) -> Self {
        let Self { mut v0, mut v1, mut v2, mut v3 } = self;
        v0 = v0.wrapping_add(v1);
        v2 = v2.wrapping_add(v3);
        v1 = v1.rotate_left(13) ^ v0;
        v3 = v3.rotate_left(16) ^ v2;
        v0 = v0.rotate_left(32);
        v2 = v2.wrapping_add(v1);
        v0 = v0.wrapping_add(v3);
        v1 = v1.rotate_left(17) ^ v2;
        v3 = v3.rotate_left(21) ^ v0;
        v2 = v2.rotate_left(32);
        Self { v0, v1, v2, v3 }
    }
}

/// A 128-bit digest under a key drawn once per process.
pub(crate) fn digest(bytes: &[u8]) -> u128 {
    static SECRETS: OnceLock<[RandomState; 2]> = OnceLock::new();
    let [high, low] = SECRETS.get_or_init(|| [RandomState::new(), RandomState::new()]);
    u128::from(high.hash_one(bytes)) << 64 | u128::from(low.hash_one(bytes))
}

#[cfg(all(test, not(connlimit_loom)))]
mod tests {
    use super::*;
    use core::hash::Hasher;
    use proptest::prelude::*;

    /// The standard library's hasher is SipHash-1-3, and `new` gives it the key (0, 0).
    fn standard(bytes: &[u8]) -> u64 {
        let mut hasher = std::hash::DefaultHasher::new();
        hasher.write(bytes);
        hasher.finish()
    }

    const ZERO: KeyHasher = KeyHasher { k0: 0, k1: 0 };

    proptest! {
        #[test]
        fn both_key_widths_agree_with_the_standard_library(narrow: u32, wide: u128) {
            prop_assert_eq!(ZERO.hash(narrow), standard(&narrow.to_le_bytes()));
            prop_assert_eq!(ZERO.hash(wide), standard(&wide.to_le_bytes()));
        }

        #[test]
        fn each_half_of_the_key_matters(k0 in 1_u64.., k1 in 1_u64.., key: u32) {
            prop_assert_ne!(KeyHasher { k0, k1: 0 }.hash(key), ZERO.hash(key));
            prop_assert_ne!(KeyHasher { k0: 0, k1 }.hash(key), ZERO.hash(key));
        }
    }
}
