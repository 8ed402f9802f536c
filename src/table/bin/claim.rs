//! The way of a new client into a bin: collect places, claim one, publish the client there.

use super::Bin;
use crate::epoch::Guard;
use crate::sync::{AcqRel, Acquire, Arc, Relaxed, Release};
use crate::table::alloc;
use crate::table::budget::{Budget, Purpose};
use crate::table::clock::Clock;
use crate::table::counter::Counter;
use crate::table::header::Header;
use crate::table::slots::{Key, KeyCell, SlotMasks, Slots};
use crate::table::tuning::FEW_FREE;
use core::mem::ManuallyDrop;
use core::ptr;

/// What came of an attempt to claim a place.
pub(in crate::table) enum Room<'a, K: Key> {
    Claimed(Claim<'a, K>),
    /// The bin has changed since the look: the client may have a word now, or the list a newer level.
    Changed,
    /// Every slot is taken; another thread's claim, which it may yet give back, takes one too. `soon` when slots will be
    /// free once the clock has moved.
    Full {
        soon: bool,
    },
    /// All inline slots are taken (only if the caller asked to hear of it). Once the bin has an overflow block this is
    /// reported for one version in 32, because the caller's check costs more than the insert.
    Crowded,
}

/// A slot that one thread has taken, with the client in it, one connection counted, and not published yet. Given back when
/// dropped.
pub(in crate::table) struct Claim<'a, K: Key> {
    bin: &'a Bin<K>,
    slot: usize,
    counter: &'a Counter,
    /// The header under which the client was looked for in vain, claims and all.
    seen: Header,
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
        let SlotMasks { now, zero, dead, expired } = slots.classify(clock);
        let mut unused = zero & valid;
        while unused != 0 {
            self.waiting |= slots.counter(unused.trailing_zeros() as usize).try_kill(now);
            unused &= unused - 1;
        }
        self.waiting |= dead & !expired & valid != 0;
        self.expired |= (expired & valid) << first;
    }
}

impl<K: Key> Bin<K> {
    /// Takes a place for `key`, which was not here when the header was `header`.
    pub(in crate::table) fn claim(
        &self,
        key: K,
        header: Header,
        clock: &Arc<Clock>,
        budget: &Budget,
        tell_crowded: bool,
        guard: &Guard,
    ) -> Room<'_, K> {
        if header.is_closed() {
            return Room::Changed;
        }
        let mut found = Collected::default();
        let mut usable = header.free();
        if (usable & Self::INLINE_MASK).count_ones() <= FEW_FREE {
            found = self.collect(header, clock);
            usable |= found.expired;
            if found.waiting {
                Clock::push(clock, usable & Self::INLINE_MASK == 0, guard);
            }
        }
        if usable & Self::INLINE_MASK == 0 {
            if tell_crowded && (self.overflow().is_none() || header.is_one_in_32()) {
                return Room::Crowded;
            }
            if !self.ensure_overflow(budget) {
                return Room::Full { soon: found.waiting };
            }
        }
        let usable = usable & Self::ALL_MASK;
        if usable == 0 {
            return Room::Full { soon: found.waiting };
        }
        let slot = usable.trailing_zeros() as usize;
        self.claim_slot(header, slot, found.expired, key).map_or(Room::Changed, Room::Claimed)
    }

    /// Takes `slot` as `header` showed it, and puts `key` there.
    fn claim_slot(&self, header: Header, slot: usize, expired: u32, key: K) -> Option<Claim<'_, K>> {
        let (cell, counter) = self.slot(slot)?;
        let seen = header.claimed(slot, expired);
        // ORDERING: Acquire, pairs with the claim or give-back that freed the slot. Release, pairs with the fence in
        // `confirm` and the Acquire of `header`. Without them: a reader takes what this thread writes below for what the
        // slot held before (model `an_old_header_meets_a_new_client`; but see `claim-relaxed` in ci/planted.py). A failure
        // decides nothing: Relaxed.
        self.header.compare_exchange(header.bits(), seen.bits(), AcqRel, Relaxed).ok()?;
        cell.write(key);
        counter.start();
        Some(Claim { bin: self, slot, counter, seen })
    }

    /// Kills the words without connections, and says which slots may be used again.
    #[inline(never)]
    fn collect(&self, header: Header, clock: &Clock) -> Collected {
        let mut found = Collected::default();
        found.add(&self.inline, header.valid() & Self::INLINE_MASK, 0, clock);
        if header.valid() & !Self::INLINE_MASK != 0 {
            if let Some(block) = self.overflow() {
                found.add(block, header.valid() >> K::Inline::LEN, K::Inline::LEN, clock);
            }
        }
        found
    }

    /// Makes sure that the overflow block exists; `false` when memory is at its bound, or there is none.
    fn ensure_overflow(&self, budget: &Budget) -> bool {
        if self.overflow().is_some() {
            return true;
        }
        if !budget.reserve(size_of::<K::Overflow>(), Purpose::Room) {
            return false;
        }
        let Some(block) = new_block::<K>() else {
            budget.give_back(size_of::<K::Overflow>());
            return false;
        };
        // ORDERING: Release, pairs with the Acquire of `overflow`. Without it: a block that is not initialised (model
        // `two_inserts_meet_in_the_overflow_block`). A failure decides nothing here, the caller looks again: Relaxed.
        if self.overflow.compare_exchange(ptr::null_mut(), block, Release, Relaxed).is_err() {
            // SAFETY: the block was made a few lines above and nobody else has seen it.
            drop(unsafe { Box::from_raw(block) });
            budget.give_back(size_of::<K::Overflow>());
        }
        true
    }
}

impl<'a, K: Key> Claim<'a, K> {
    /// Publishes the client, unless anything was published in the bin since the look that found it absent, or the bin is
    /// closed: then the claim is still there.
    ///
    /// Ends: it goes on only when another thread has claimed a slot or given one back.
    pub(in crate::table) fn publish(mut self) -> Result<&'a Counter, Self> {
        loop {
            let published = self.seen.published(self.slot);
            // ORDERING: Release, pairs with the Acquire of `header`. Without it: a reader sees the slot valid, and not yet
            // the key and the count (model `a_claim_given_back_meets_the_next_client`). Acquire, pairs with another's
            // publication, claim or closing, whose outcome decides what comes next.
            match self.bin.header.compare_exchange(self.seen.bits(), published.bits(), AcqRel, Acquire) {
                Ok(_) => return Ok(ManuallyDrop::new(self).counter),
                Err(now) => {
                    let now = Header::from_bits(now);
                    if !now.same_version(self.seen) || now.is_closed() {
                        return Err(self);
                    }
                    // Nothing published since: only claims have come or gone.
                    self.seen = now;
                }
            }
        }
    }

    /// The claim after another look, which found the client absent when the header was `header`.
    pub(in crate::table) fn under(mut self, header: Header) -> Self {
        self.seen = header;
        self
    }
}

impl<K: Key> Drop for Claim<'_, K> {
    fn drop(&mut self) {
        // ORDERING: Release, pairs with the Acquire of the next claim. Without it: this thread's key lands upon the next
        // client's. (model `a_claim_given_back_meets_the_next_client`)
        self.bin.header.fetch_and(!Header::claim(self.slot), Release);
    }
}

/// An empty overflow block, to be freed as a box; `None` for lack of memory. Its provenance is exposed, for
/// `Counter::orphan`.
fn new_block<K: Key>() -> Option<*mut K::Overflow> {
    #[cfg(not(connlimit_model))]
    return alloc::zeroed().map(ptr::NonNull::as_ptr);
    #[cfg(connlimit_model)]
    alloc::boxed(<K::Overflow as Slots<K>>::new()).map(Box::into_raw)
}
