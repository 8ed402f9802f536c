//! A bin: the few slots in which a client may be found, and the protocol by which slots change hands.
//!
//! A slot is *free*, then *claimed* by one thread that writes a key and a count of one into it, then *valid*:
//! published by a compare-and-swap on the header that also proves nobody published since this thread looked for
//! the key. A valid slot leaves when its counter is dead and the stamp has expired; the claim of the next client
//! clears it in passing.

mod claim;

pub(super) use claim::Room;

use super::clock::Clock;
#[cfg(not(connlimit_model))]
use super::counter::LINE;
use super::counter::{Count, Counter};
use super::header::{Header, MAX_SLOTS};
use super::segment_meta::SegmentMeta;
use super::slots::{Key, KeyCell, SlotMasks, Slots};
use crate::sync::{AcqRel, Acquire, AtomicPtr, AtomicU64, Relaxed, fence};
use core::ptr::NonNull;

/// One cache line for IPv4 keys, two for wide ones.
#[repr(C, align(64))]
pub(super) struct Bin<K: Key> {
    header: AtomicU64,
    /// Null, or a block that belongs to this bin until both are freed.
    overflow: AtomicPtr<K::Overflow>,
    inline: K::Inline,
}

#[cfg(not(connlimit_model))]
const _: () = {
    assert!(size_of::<Bin<u32>>() == LINE);
    assert!(size_of::<Bin<u128>>() == 2 * LINE);
    assert!(<u32 as Key>::Inline::is_well_placed(core::mem::offset_of!(Bin<u32>, inline)));
    assert!(<u128 as Key>::Inline::is_well_placed(core::mem::offset_of!(Bin<u128>, inline)));
};

/// Where a client is.
pub(super) enum Find<'a> {
    /// Its live word, with a value the word had while the slot was its own.
    Found(&'a Counter, Count),
    /// Not here when the header had this value.
    Absent(Header),
}

impl<K: Key> Bin<K> {
    /// All slots that can exist.
    pub(super) const SLOTS: usize = K::Inline::LEN + K::Overflow::LEN;
    const INLINE_MASK: u32 = (1 << K::Inline::LEN) - 1;
    const ALL_MASK: u32 = {
        assert!(Self::SLOTS <= MAX_SLOTS);
        (1 << Self::SLOTS) - 1
    };

    /// The header's value, for checks at rest.
    #[cfg(all(test, connlimit_loom))]
    pub(super) fn header_at_rest(&self) -> Header {
        self.header()
    }

    #[cfg(connlimit_model)]
    pub(super) fn new() -> Self {
        Self { header: AtomicU64::new(0), overflow: AtomicPtr::new(core::ptr::null_mut()), inline: Slots::new() }
    }

    #[inline]
    fn header(&self) -> Header {
        // ORDERING: Acquire, with the publishing exchange: keys and counters of valid slots are visible. With
        // `close`: a thread that sees a bin closed sees the list by which it was closed.
        Header::from_bits(self.header.load(Acquire))
    }

    #[inline]
    fn overflow(&self) -> Option<&K::Overflow> {
        // ORDERING: Acquire, with the exchange in `ensure_overflow`: the block is initialised.
        let block = self.overflow.load(Acquire);
        // SAFETY: null, or a block from `ensure_overflow`, which lives as long as this bin.
        unsafe { block.as_ref() }
    }

    /// The memory of a slot; `None` when it lies in a block that nobody has needed yet.
    fn slot(&self, slot: usize) -> Option<(&K::Cell, &Counter)> {
        match slot.checked_sub(K::Inline::LEN) {
            None => Some((self.inline.key(slot), self.inline.counter(slot))),
            Some(slot) => self.overflow().map(|block| (block.key(slot), block.counter(slot))),
        }
    }

    /// Looks for `key`. A word found was alive, and the slot its own, at one moment within the call.
    #[inline(always)]
    pub(super) fn find(&self, key: K) -> Find<'_> {
        // The common cases, in line: the first slot that looks right is, or none does and none is elsewhere.
        let header = self.header();
        let slots = self.inline.match_mask(key) & header.valid();
        if slots != 0 {
            let mut changed = false;
            let first = slots & slots.wrapping_neg();
            if let Some(found) = self.confirm(header, first, &self.inline, 0, &mut changed) {
                return found;
            }
        } else if header.valid() & !Self::INLINE_MASK == 0 {
            return Find::Absent(header);
        }
        self.find_anywhere(key)
    }

    /// Ends: it starts over only when another thread's publication took effect.
    #[inline(never)]
    fn find_anywhere(&self, key: K) -> Find<'_> {
        loop {
            let header = self.header();
            let mut changed = false;
            let inline = self.inline.match_mask(key) & header.valid();
            if let Some(found) = self.confirm(header, inline, &self.inline, 0, &mut changed) {
                return found;
            }
            if header.valid() & !Self::INLINE_MASK != 0 {
                if let Some(block) = self.overflow() {
                    let over = block.match_mask(key) & header.valid() >> K::Inline::LEN;
                    if let Some(found) = self.confirm(header, over, block, K::Inline::LEN, &mut changed) {
                        return found;
                    }
                }
            }
            if !changed {
                return Find::Absent(header);
            }
        }
    }

    /// The first of the `slots` with a live word that is confirmed; `changed` when a look could not be.
    #[inline(always)]
    fn confirm<'a, S: Slots<K>>(
        &'a self,
        header: Header,
        mut slots: u32,
        array: &'a S,
        first: usize,
        changed: &mut bool,
    ) -> Option<Find<'a>> {
        while slots != 0 {
            let slot = slots.trailing_zeros() as usize;
            slots &= slots - 1;
            let counter = array.counter(slot);
            let count = counter.peek();
            // ORDERING: Acquire, with the Release of a claimer's writes to key and counter: if either look met such
            // a write, the next one sees the claim.
            fence(Acquire);
            // ORDERING: Relaxed; the fence above orders it after the two looks it confirms.
            let now = Header::from_bits(self.header.load(Relaxed));
            if !header.still_holds(first + slot, now) {
                *changed = true;
                return None;
            }
            // A dead word is final: the client's live one, if any, is in another slot.
            if !count.is_dead() {
                return Some(Find::Found(counter, count));
            }
        }
        None
    }

    /// Closes the bin: no publication follows. What is valid now is all there will ever be.
    pub(super) fn close(&self) {
        if !self.header().is_closed() {
            // ORDERING: Acquire, with every publication so far: the look that follows misses none. Release, with
            // `header`: a thread that finds the bin closed finds a list at least as new as this thread's.
            self.header.fetch_or(Header::CLOSED, AcqRel);
        }
    }

    /// Closes the bin and kills its words without connections. `true` when no word is alive, which is so forever.
    pub(super) fn drain(&self, now: u32) -> bool {
        self.close();
        let mut empty = true;
        self.for_each(|_, counter| empty &= counter.observe().is_dead() || counter.try_kill(now));
        empty
    }

    /// Visits the words of valid slots, each with its key and a count that the two had at one moment within the call.
    /// A client that is there all the while is visited once.
    ///
    /// Ends: it looks at a slot again only after a publication in this bin, of which a pinned thread meets few (see
    /// `header`).
    pub(super) fn scan(&self, mut visit: impl FnMut(K, Count)) {
        let mut header = self.header();
        let mut slots = header.valid();
        while slots != 0 {
            let slot = slots.trailing_zeros() as usize;
            let Some((cell, counter)) = self.slot(slot) else {
                slots &= slots - 1;
                continue;
            };
            let (key, count) = (cell.guess(), counter.peek());
            // ORDERING: Acquire, as in `confirm`: if either look met a claimer's write, the next one sees the claim.
            fence(Acquire);
            // ORDERING: Relaxed, as in `confirm`; the fence orders it after the two looks.
            let now = Header::from_bits(self.header.load(Relaxed));
            if header.still_holds(slot, now) {
                visit(key, count);
                slots &= slots - 1;
            } else {
                // The slot was given up, or something was published: look again at what is left of the slots.
                header = self.header();
                slots &= header.valid();
            }
        }
    }

    /// Marks the words that have connections, and counts them. The bin is good for nothing but releases afterwards.
    ///
    /// # Safety
    ///
    /// The limiter is gone, and the caller is the only one to look into the bin. The provenance of its memory and of its
    /// block are exposed.
    pub(super) unsafe fn orphan(&self, meta: NonNull<SegmentMeta>) -> usize {
        let mut marked = 0;
        // Read before the first mark takes its place. Keys are not read at all.
        let mut slots = self.header().valid();
        while slots != 0 {
            if let Some((_, counter)) = self.slot(slots.trailing_zeros() as usize) {
                // SAFETY: by the caller's duty.
                marked += usize::from(unsafe { counter.orphan(meta) });
            }
            slots &= slots - 1;
        }
        marked
    }

    /// Slots that have memory.
    pub(super) fn slots(&self) -> usize {
        if self.has_overflow() { Self::SLOTS } else { K::Inline::LEN }
    }

    pub(super) fn has_overflow(&self) -> bool {
        self.overflow().is_some()
    }

    /// Slots that cannot be had: those of clients with connections, and of dead words that have not expired.
    pub(super) fn in_use(&self, clock: &Clock) -> u32 {
        let valid = self.header().valid();
        let count = |sifted: SlotMasks, valid: u32| (valid & !(sifted.zero | sifted.expired)).count_ones();
        let mut in_use = count(self.inline.classify(clock), valid & Self::INLINE_MASK);
        if valid & !Self::INLINE_MASK != 0 {
            in_use += self.overflow().map_or(0, |block| count(block.classify(clock), valid >> K::Inline::LEN));
        }
        in_use
    }

    /// Visits the words of valid slots, with the key that each slot seems to hold.
    pub(super) fn for_each(&self, mut visit: impl FnMut(K, &Counter)) {
        let mut slots = self.header().valid();
        while slots != 0 {
            let slot = slots.trailing_zeros() as usize;
            slots &= slots - 1;
            if let Some((cell, counter)) = self.slot(slot) {
                visit(cell.guess(), counter);
            }
        }
    }

    /// Gives the bin its overflow block, before anybody else knows of the bin.
    pub(super) fn furnish(&mut self, block: *mut K::Overflow) {
        self.overflow = AtomicPtr::new(block);
    }

    /// Frees the overflow block, which the bin has on its own.
    pub(super) fn free_overflow(&mut self) {
        // ORDERING: Relaxed; the bin is the caller's alone.
        let block = self.overflow.load(Relaxed);
        if !block.is_null() {
            // SAFETY: not null, so from `ensure_overflow`, which took it from a `Box` for this bin alone.
            drop(unsafe { Box::from_raw(block) });
        }
    }
}
