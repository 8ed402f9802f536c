//! A bin: the few slots in which a client may be found, and the protocol by which slots change hands.
//!
//! A slot is *free*, then *claimed* by one thread that writes a key and a count of one into it, then *valid*:
//! published by a compare-and-swap on the header that also proves nobody published since this thread looked for
//! the key. A valid slot leaves when its counter is dead and the stamp has expired; the claim of the next client
//! clears it in passing.

use super::budget::Budget;
use super::clock::Clock;
#[cfg(not(connlimit_model))]
use super::counter::LINE;
use super::counter::{Count, Counter};
use super::header::{Header, MAX_SLOTS};
use super::home::Home;
use super::slots::{Key, KeyCell, Sifted, Slots};
use crate::epoch::Guard;
use crate::sync::{AcqRel, Acquire, Arc, AtomicPtr, AtomicU64, Relaxed, Release, fence};
use core::ptr::{self, NonNull};

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

/// What came of an attempt to insert.
pub(super) enum Insert<'a> {
    /// The client's new word, counting one.
    Inserted(&'a Counter),
    /// The bin has changed since the look: the client may have a word now, or the roster a newer level.
    Changed,
    /// Every slot is taken; another thread's claim, which it may yet give back, takes one too.
    Full,
    /// The inline slots are taken and the caller asked to hear of it. A bin that overflows already says so less often:
    /// looking around costs more than the insert.
    Crowded,
}

/// What a look at the words of a bin found.
#[derive(Default)]
struct Collected {
    /// Slots that may be used again, as a mask.
    expired: u32,
    /// Others will be, once the clock has moved.
    waiting: bool,
}

impl Collected {
    /// Looks at the `valid` ones of `slots`, of which the first has the number `first` in its bin.
    #[inline(always)]
    fn add<K: Key>(&mut self, slots: &impl Slots<K>, valid: u32, first: usize, clock: &Clock) {
        let Sifted { now, zero, dead, expired } = slots.sift(clock);
        let mut unused = zero & valid;
        while unused != 0 {
            self.waiting |= slots.counter(unused.trailing_zeros() as usize).stamp(now);
            unused &= unused - 1;
        }
        self.waiting |= dead & !expired & valid != 0;
        self.expired |= (expired & valid) << first;
    }
}

/// Up to this many inline slots may be free before an insert looks for words to collect.
const FEW_FREE: u32 = 2;

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
        Self { header: AtomicU64::new(0), overflow: AtomicPtr::new(ptr::null_mut()), inline: Slots::new() }
    }

    #[inline]
    fn header(&self) -> Header {
        // ORDERING: Acquire, with the publishing exchange: keys and counters of valid slots are visible. With
        // `close`: who sees a bin closed sees the roster that closed it.
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
        let slots = self.inline.looks_like(key) & header.valid();
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
            let inline = self.inline.looks_like(key) & header.valid();
            if let Some(found) = self.confirm(header, inline, &self.inline, 0, &mut changed) {
                return found;
            }
            if header.valid() & !Self::INLINE_MASK != 0 {
                if let Some(block) = self.overflow() {
                    let over = block.looks_like(key) & header.valid() >> K::Inline::LEN;
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

    /// Inserts `key`, which was not here when the header was `header`, counting one connection.
    pub(super) fn insert(
        &self,
        key: K,
        header: Header,
        clock: &Arc<Clock>,
        budget: &Budget,
        tell_crowded: bool,
        guard: &Guard,
    ) -> Insert<'_> {
        if header.is_closed() {
            return Insert::Changed;
        }
        let mut found = Collected::default();
        let mut usable = header.free();
        if (usable & Self::INLINE_MASK).count_ones() <= FEW_FREE {
            found = self.collect(header, clock, guard);
            usable |= found.expired;
        }
        if usable & Self::INLINE_MASK == 0 {
            if found.waiting {
                // A slot would be free if the clock were further: give the epoch a push.
                guard.flush();
            }
            if tell_crowded && (self.overflow().is_none() || header.is_one_in_32()) {
                return Insert::Crowded;
            }
            if !self.ensure_overflow(budget) {
                return Insert::Full;
            }
        }
        let usable = usable & Self::ALL_MASK;
        if usable == 0 {
            return Insert::Full;
        }
        let slot = usable.trailing_zeros() as usize;
        self.claim_and_publish(header, slot, found.expired, key).map_or(Insert::Changed, Insert::Inserted)
    }

    /// Takes `slot` as `header` showed it, and publishes `key` in it unless anything was published since.
    fn claim_and_publish(&self, header: Header, slot: usize, expired: u32, key: K) -> Option<&Counter> {
        let (cell, counter) = self.slot(slot)?;
        let mut mine = header.claimed(slot, expired);
        // ORDERING: Acquire, with the claim or give-back that freed the slot. Release, with the fence in `confirm`
        // and the Acquire of `header`: who sees this thread's writes below sees the claim. A failure decides
        // nothing: Relaxed.
        self.header.compare_exchange(header.bits(), mine.bits(), AcqRel, Relaxed).ok()?;
        cell.write(key);
        counter.start();
        loop {
            // ORDERING: Release, with the Acquire of `header`: key and counter are visible with the valid bit.
            // Acquire, with another's publication, claim or closing, whose outcome decides what comes next.
            match self.header.compare_exchange(mine.bits(), mine.published(slot).bits(), AcqRel, Acquire) {
                Ok(_) => return Some(counter),
                Err(now) => {
                    // Nothing published since the look that found `key` absent: only claims have come or gone.
                    let now = Header::from_bits(now);
                    if now.same_version(mine) && !now.is_closed() {
                        mine = now;
                        continue;
                    }
                    // ORDERING: Release, with the Acquire of the next claim: this thread's writes come before its.
                    self.header.fetch_and(!Header::claim(slot), Release);
                    return None;
                }
            }
        }
    }

    /// Stamps the words without connections, and says which slots may be used again.
    #[inline(never)]
    fn collect(&self, header: Header, clock: &Arc<Clock>, guard: &Guard) -> Collected {
        let mut found = Collected::default();
        found.add(&self.inline, header.valid() & Self::INLINE_MASK, 0, clock);
        if header.valid() & !Self::INLINE_MASK != 0 {
            if let Some(block) = self.overflow() {
                found.add(block, header.valid() >> K::Inline::LEN, K::Inline::LEN, clock);
            }
        }
        if found.waiting {
            Clock::request_tick(clock, guard);
        }
        found
    }

    /// Makes sure that the overflow block exists; `false` when memory is at its bound.
    pub(super) fn ensure_overflow(&self, budget: &Budget) -> bool {
        if self.overflow().is_some() {
            return true;
        }
        if !budget.reserve(size_of::<K::Overflow>()) {
            return false;
        }
        let block = super::segment::new_overflow::<K>();
        // ORDERING: Release, with the Acquire of `overflow`: the block is initialised. A failure decides nothing
        // here, the caller looks again: Relaxed.
        if self.overflow.compare_exchange(ptr::null_mut(), block, Release, Relaxed).is_err() {
            // SAFETY: the block was made two lines above and nobody else has seen it.
            drop(unsafe { Box::from_raw(block) });
            budget.give_back(size_of::<K::Overflow>());
        }
        true
    }

    /// Closes the bin: no publication follows. What is valid now is all there will ever be.
    pub(super) fn close(&self) {
        if !self.header().is_closed() {
            // ORDERING: Acquire, with every publication so far: the look that follows misses none. Release, with
            // `header`: who finds the bin closed finds a roster at least as new as this thread's.
            self.header.fetch_or(Header::CLOSED, AcqRel);
        }
    }

    /// Closes the bin and kills its words without connections. `true` when no word is alive, which is so for ever.
    pub(super) fn drain(&self, now: u32) -> bool {
        self.close();
        let mut empty = true;
        self.for_each(|_, counter| empty &= counter.observe().is_dead() || counter.stamp(now));
        empty
    }

    /// Visits the words of valid slots, each with its key and a count that the two had at one moment within the call.
    /// A client that is there all the while is visited once.
    ///
    /// Ends: it looks at a slot again only after a publication in this bin, of which a pinned thread meets few (see
    /// `header`).
    pub(super) fn look(&self, mut visit: impl FnMut(K, Count)) {
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
    pub(super) unsafe fn orphan(&self, home: NonNull<Home>) -> usize {
        let mut marked = 0;
        // Read before the first mark takes its place. Keys are not read at all.
        let mut slots = self.header().valid();
        while slots != 0 {
            if let Some((_, counter)) = self.slot(slots.trailing_zeros() as usize) {
                // SAFETY: by the caller's duty.
                marked += usize::from(unsafe { counter.orphan(home) });
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
        let count = |sifted: Sifted, valid: u32| (valid & !(sifted.zero | sifted.expired)).count_ones();
        let mut in_use = count(self.inline.sift(clock), valid & Self::INLINE_MASK);
        if valid & !Self::INLINE_MASK != 0 {
            in_use += self.overflow().map_or(0, |block| count(block.sift(clock), valid >> K::Inline::LEN));
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
}

impl<K: Key> Drop for Bin<K> {
    fn drop(&mut self) {
        // ORDERING: Relaxed; whoever drops a bin owns it.
        let block = self.overflow.load(Relaxed);
        if !block.is_null() {
            // SAFETY: not null, so from `ensure_overflow`, which took it from a `Box` for this bin alone.
            drop(unsafe { Box::from_raw(block) });
        }
    }
}
