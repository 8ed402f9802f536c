//! Keyed hashing: SipHash-1-3 with random 128-bit keys that the region holds.
//!
//! Peers choose their own addresses, and a group has room for few clients: without a secret key they could aim at one
//! group. SipHash was made for this (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012). The rounds are
//! written out, for keys of fixed length, because a general hasher buffers and calls where two dozen instructions do;
//! and because processes that were built by different compilers must agree, which the standard library's hasher does
//! not promise. A test holds the two against each other.

#[cfg(not(connlimit_shared_loom))]
use crate::key::Family;
use crate::key::Key;

/// A secret key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Secret(pub(crate) [u64; 2]);

impl Secret {
    /// Where a client belongs in the table. An IPv4 address is one block, the others are two and a length.
    #[cfg(not(connlimit_shared_loom))]
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the key is split into halves")]
    pub(crate) fn hash(self, key: Key) -> u64 {
        let (sip, bits) = (Sip::new(self), key.bits());
        match key.family() {
            Family::Ipv4 => sip.block(4 << 56 | (bits & 0xffff_ffff) as u64).finish(),
            Family::Ipv6 | Family::Named => sip.block(bits as u64).block((bits >> 64) as u64).block(16 << 56).finish(),
        }
    }

    /// A model has few clients, and all are in one group.
    #[cfg(connlimit_shared_loom)]
    #[expect(clippy::cast_possible_truncation, reason = "a model's keys are small")]
    pub(crate) fn hash(self, key: Key) -> u64 {
        key.bits() as u64
    }

    /// The hash of any bytes.
    pub(crate) fn hash_bytes(self, bytes: &[u8]) -> u64 {
        let words = bytes.chunks_exact(8);
        let rest = words.remainder();
        let little = |word: &[u8]| word.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
        let sip = words.fold(Sip::new(self), |sip, word| sip.block(little(word)));
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        // The last byte is the length, modulo 256.
        last[7] = bytes.len().to_le_bytes()[0];
        sip.block(u64::from_le_bytes(last)).finish()
    }
}

/// The state of SipHash with one compression and three finalisation rounds.
#[derive(Clone, Copy)]
struct Sip {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

impl Sip {
    #[inline(always)]
    const fn new(Secret([k0, k1]): Secret) -> Self {
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

#[cfg(all(test, not(connlimit_shared_loom), not(connlimit_shared_shuttle)))]
mod tests {
    use super::*;
    use core::hash::Hasher as _;
    use proptest::prelude::*;

    /// The standard library's hasher is SipHash-1-3, and `new` gives it the key (0, 0).
    fn standard(bytes: &[u8]) -> u64 {
        let mut hasher = std::hash::DefaultHasher::new();
        hasher.write(bytes);
        hasher.finish()
    }

    const ZERO: Secret = Secret([0, 0]);

    proptest! {
        #[test]
        fn the_hashes_are_those_of_the_standard_library(v4: u32, v6: u128, bytes: Vec<u8>) {
            prop_assert_eq!(ZERO.hash(Key::ipv4(v4)), standard(&v4.to_le_bytes()));
            prop_assume!(Key::ipv6(v6).family() != Family::Ipv4);
            prop_assert_eq!(ZERO.hash(Key::ipv6(v6)), standard(&v6.to_le_bytes()));
            prop_assert_eq!(ZERO.hash_bytes(&bytes), standard(&bytes));
        }

        #[test]
        fn each_half_of_the_key_matters(k0 in 1_u64.., k1 in 1_u64.., addr: u32) {
            let key = Key::ipv4(addr);
            prop_assert_ne!(Secret([k0, 0]).hash(key), ZERO.hash(key));
            prop_assert_ne!(Secret([0, k1]).hash(key), ZERO.hash(key));
        }
    }
}
