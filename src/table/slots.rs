//! The memory of keys and counters, and the two key widths.

use super::clock::Clock;
#[cfg(not(connlimit_model))]
use super::counter::LINE;
use super::counter::{Count, Counter};
use super::tuning::{INLINE, OVERFLOW};
use crate::hash::HashInput;
use crate::sync::{AtomicU32, AtomicU64, Relaxed, Release};

/// A client's key. For addresses the exact value, never a digest of it, so that no two can be taken for each other; for
/// names a keyed digest of 128 bits.
pub(crate) trait Key: Copy + Eq + HashInput + Send + Sync + 'static {
    type Cell: KeyCell<Self>;
    type Inline: Slots<Self>;
    type Overflow: Slots<Self>;
}

impl Key for u32 {
    type Cell = AtomicU32;
    type Inline = SlotArray<AtomicU32, { INLINE[0] }>;
    type Overflow = Block<SlotArray<AtomicU32, { OVERFLOW[0] }>>;
}

impl Key for u128 {
    type Cell = [AtomicU64; 2];
    type Inline = SlotArray<[AtomicU64; 2], { INLINE[1] }>;
    type Overflow = Block<SlotArray<[AtomicU64; 2], { OVERFLOW[1] }>>;
}

/// Where a key is stored. Reads may meet a key that is being written, and may even be torn: what is read is a guess
/// until the bin's header confirms that the slot was published all along.
pub(crate) trait KeyCell<K>: Send + Sync {
    fn guess(&self) -> K;
    fn write(&self, key: K);
    #[cfg(connlimit_model)]
    fn new() -> Self;
}

impl KeyCell<u32> for AtomicU32 {
    #[inline(always)]
    fn guess(&self) -> u32 {
        // ORDERING: Relaxed; for a published slot the header's Acquire covers it, and for any other the fence of
        // `Bin::find` stands between this and the look that rejects it.
        self.load(Relaxed)
    }

    fn write(&self, key: u32) {
        // ORDERING: Release, with the fences of `Bin::confirm` and `Bin::scan`: who meets the new key sees that the slot was claimed.
        self.store(key, Release);
    }

    #[cfg(connlimit_model)]
    fn new() -> Self {
        Self::new(0)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the key is split into halves")]
impl KeyCell<u128> for [AtomicU64; 2] {
    #[inline(always)]
    fn guess(&self) -> u128 {
        // ORDERING: Relaxed, as for the narrow key.
        u128::from(self[0].load(Relaxed)) | u128::from(self[1].load(Relaxed)) << 64
    }

    fn write(&self, key: u128) {
        // ORDERING: Release, as for the narrow key; each half by itself gives the new owner away.
        self[0].store(key as u64, Release);
        // ORDERING: Release, as above.
        self[1].store((key >> 64) as u64, Release);
    }

    #[cfg(connlimit_model)]
    fn new() -> Self {
        [AtomicU64::new(0), AtomicU64::new(0)]
    }
}

/// What the counters of some slots were, as masks; slots that hold no client included.
pub(crate) struct SlotMasks {
    /// The clock's reading by which they were judged.
    pub(super) now: u32,
    pub(super) zero: u32,
    pub(super) dead: u32,
    /// Dead for so long that their slots may be used again.
    pub(super) expired: u32,
}

/// A fixed number of slots, addressed by position.
pub(crate) trait Slots<K: Key>: Send + Sync {
    const LEN: usize;
    fn key(&self, slot: usize) -> &K::Cell;
    fn counter(&self, slot: usize) -> &Counter;
    /// The slots whose key seems to be `key`, as a mask. Without branches: which slot it is cannot be predicted.
    fn match_mask(&self, key: K) -> u32;
    /// What can be said of the counters, without branches as well.
    fn classify(&self, clock: &Clock) -> SlotMasks;
    #[cfg(connlimit_model)]
    fn new() -> Self;
}

/// `N` slots. All counters are in one cache line, which begins with something else (see `Counter::orphan`).
#[derive(Debug)]
#[repr(C)]
pub(crate) struct SlotArray<C, const N: usize> {
    keys: [C; N],
    counters: [Counter; N],
}

impl<C, const N: usize> SlotArray<C, N> {
    /// Whether that is so for an array at `offset` in a line.
    #[cfg(not(connlimit_model))]
    #[allow(dead_code, reason = "rustc 1.85 does not see that anonymous constants use it")]
    pub(super) const fn is_well_placed(offset: usize) -> bool {
        let first = (offset + core::mem::offset_of!(Self, counters)) % LINE;
        first >= size_of::<u64>() && first + size_of::<[Counter; N]>() <= LINE
    }
}

#[cfg(not(connlimit_model))]
const _: () = {
    assert!(SlotArray::<AtomicU32, { OVERFLOW[0] }>::is_well_placed(size_of::<AtomicU64>()));
    assert!(SlotArray::<[AtomicU64; 2], { OVERFLOW[1] }>::is_well_placed(size_of::<AtomicU64>()));
    assert!(size_of::<<u32 as Key>::Overflow>() == LINE);
    assert!(size_of::<<u128 as Key>::Overflow>() == 2 * LINE);
};

impl<K: Key<Cell = C>, C: KeyCell<K>, const N: usize> Slots<K> for SlotArray<C, N> {
    const LEN: usize = N;

    fn key(&self, slot: usize) -> &C {
        &self.keys[slot]
    }

    #[inline(always)]
    fn counter(&self, slot: usize) -> &Counter {
        &self.counters[slot]
    }

    #[inline(always)]
    fn match_mask(&self, key: K) -> u32 {
        let mut mask = 0;
        for (slot, cell) in self.keys.iter().enumerate() {
            mask |= u32::from(cell.guess() == key) << slot;
        }
        mask
    }

    #[inline(always)]
    fn classify(&self, clock: &Clock) -> SlotMasks {
        let seen: [Count; N] = core::array::from_fn(|slot| self.counters[slot].observe());
        // Read after the stamps that it judges: a clock that is behind makes a fresh stamp look old.
        let now = clock.now();
        let mut sifted = SlotMasks { now, zero: 0, dead: 0, expired: 0 };
        for (slot, &count) in seen.iter().enumerate() {
            sifted.zero |= u32::from(count == Count::ZERO) << slot;
            sifted.dead |= u32::from(count.is_dead()) << slot;
            sifted.expired |= u32::from(Clock::has_expired(count.stamp(), now)) << slot;
        }
        sifted.expired &= sifted.dead;
        sifted
    }

    #[cfg(connlimit_model)]
    fn new() -> Self {
        Self { keys: core::array::from_fn(|_| C::new()), counters: core::array::from_fn(|_| Counter::new(0)) }
    }
}

/// Slots in cache lines of their own.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Block<S> {
    /// Room for an address: see `Counter::orphan`.
    #[cfg(not(connlimit_model))]
    meta: AtomicU64,
    slots: S,
}

impl<K: Key, S: Slots<K>> Slots<K> for Block<S> {
    const LEN: usize = S::LEN;

    fn key(&self, slot: usize) -> &K::Cell {
        self.slots.key(slot)
    }

    fn counter(&self, slot: usize) -> &Counter {
        self.slots.counter(slot)
    }

    fn match_mask(&self, key: K) -> u32 {
        self.slots.match_mask(key)
    }

    fn classify(&self, clock: &Clock) -> SlotMasks {
        self.slots.classify(clock)
    }

    #[cfg(connlimit_model)]
    fn new() -> Self {
        Self { slots: S::new() }
    }
}
