//! The table: one live counter per client, found by a keyed hash.
//!
//! **One live word per key.** A client is inserted into the newest level only, by an exchange that fails if anything
//! was published in that bin since the client was looked for there; and before that, the client's bin in each older
//! level is closed and its word there, if it has no connection, is dead. So two words of one client are never alive
//! at once, and the limit checked on the one is the limit of the client.
//!
//! What a permit points to never moves, and is not freed while a permit points to it.

mod bin;
mod budget;
mod clock;
mod counter;
mod header;
mod held;
mod home;
mod level;
#[cfg(all(test, connlimit_loom))]
mod models;
mod roster;
mod segment;
mod slots;
mod walk;

pub(crate) use counter::MAX_COUNT;
pub(crate) use held::Held;
#[cfg(all(test, connlimit_loom))]
pub(crate) use models::model;
pub(crate) use slots::Key;
pub(crate) use walk::Place;

use crate::epoch::{Enter, Guard, pin};
use crate::hash::Spread;
use crate::sync::Arc;
use bin::{Bin, Find, Insert};
use budget::Budget;
use clock::Clock;
use core::borrow::Borrow;
use counter::{Admission, Count};
use header::Header;
use level::Level;
use roster::{Roster, RosterCell};
use segment::BINS;
use slots::Slots;

pub(crate) struct Table<K: Key> {
    roster: RosterCell<K>,
    spread: Spread,
    clock: Arc<Clock>,
    budget: Arc<Budget>,
    /// All memory was allocated at the start: neither grows nor shrinks.
    fixed: bool,
}

/// Why a table gave no count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    AtLimit,
    Full,
}

/// Levels on a roster at most. A table shrinks only while it has half as many, and sizes are geometric, so this is not what
/// stops it from growing below some 2^26 bins (4 GiB); not even if somebody makes it grow and shrink, and leaves a
/// connection in each level.
const MAX_LEVELS: usize = 32;
/// Inserts of one client in so many drain an older level in passing, so many bins each time. In a row, because
/// neighbours are cheap to look at; more than one bin per insert, so that a level is drained before the next one
/// that is twice its size has filled up.
const DRAIN_ONE_IN: usize = if cfg!(connlimit_model) { 2 } else { 16 };
const DRAIN: usize = if cfg!(connlimit_shuttle) { 1 } else { 64 };
/// Inserts of one client in so many look whether the table has become too large.
const SHRINK_ONE_IN: usize = if cfg!(connlimit_shuttle) { 8 } else { 256 };
/// Bins of the second level, if memory allows; after that each has twice as many as the one before. For few levels: a
/// client that always has a connection stays where it was first seen, and each level in front of it costs it a look.
const LARGE: usize = if cfg!(connlimit_loom) {
    4
} else if cfg!(connlimit_shuttle) {
    8
} else {
    1 << 13
};

impl<K: Key> Table<K> {
    /// Bytes of the smallest table.
    pub(crate) const SMALLEST: usize = Level::<K>::bytes(BINS);

    /// A table that takes at most `bytes` of memory, all of it at once if `preallocate`.
    pub(crate) fn new(bytes: usize, preallocate: bool) -> Self {
        // The smallest level is always allowed, whatever the bound.
        let budget = Budget::new(bytes.max(Self::SMALLEST));
        let bins = if preallocate { Self::most_bins(budget.left()) } else { BINS };
        let level = Level::new(0, bins, &budget).expect("the budget allows the smallest level");
        let table = Self {
            roster: RosterCell::new(level),
            spread: Spread::new(),
            clock: Clock::new(),
            budget,
            fixed: preallocate,
        };
        if preallocate {
            table.allocate_all();
        }
        table
    }

    /// The largest level that fits into `bytes` with nearly every overflow block there is: whoever says how many bytes
    /// likes powers of two, and those would just miss it.
    fn most_bins(bytes: usize) -> usize {
        let mut bins = BINS;
        while Level::<K>::bytes(bins * 2) + bins * 2 / 8 * 7 * size_of::<K::Overflow>() <= bytes {
            bins *= 2;
        }
        bins
    }

    fn allocate_all(&self) {
        let guard = pin();
        let level = self.roster.load(&guard).newest();
        for index in 0..level.segments() {
            if let Some(segment) = level.touch_index(index, &guard) {
                // `most_bins` left room for these, unless the bound is below what the smallest level wants.
                segment.bins().iter().for_each(|bin| {
                    bin.ensure_overflow(&self.budget);
                });
            }
        }
    }

    /// Counts one more connection of `key`, if that stays within `limit`, which is at least one; with it, how many
    /// that makes.
    ///
    /// The hash is computed before `enter` pins: the two take about as long, and so they overlap.
    #[inline(always)]
    pub(crate) fn acquire(&self, key: K, limit: u32, enter: impl Enter) -> Result<(Held, u32), Refusal> {
        let hash = self.spread.hash(key);
        let guard = enter.enter();
        let guard = guard.borrow();
        let roster = self.roster.load(guard);
        let level = roster.newest();
        if let Some(segment) = level.segment(hash, guard) {
            let bin = level.bin(&segment, hash);
            match bin.find(key) {
                Find::Found(counter, seen) => match counter.admit(seen, limit) {
                    Admission::Admitted(open) => return Ok((Held::new(counter), open)),
                    Admission::AtLimit => return Err(Refusal::AtLimit),
                    Admission::Dead => {}
                },
                Find::Absent(header) => return self.acquire_new(key, hash, limit, (roster, bin, header), guard),
            }
        }
        self.acquire_slow(key, hash, limit, guard)
    }

    /// Admits a client that was not in its bin of the newest level when the bin's header was the one given.
    #[inline(never)]
    fn acquire_new(
        &self,
        key: K,
        hash: u64,
        limit: u32,
        (roster, bin, header): (&Roster<K>, &Bin<K>, Header),
        guard: &Guard,
    ) -> Result<(Held, u32), Refusal> {
        match Self::admit_in_older(roster, key, hash, limit, guard) {
            Settled::Held(held, open) => return Ok((held, open)),
            Settled::AtLimit => return Err(Refusal::AtLimit),
            // Where there is no older level it is nowhere.
            Settled::Absent if roster.older().len() == 0 => {
                if let Insert::Inserted(counter) =
                    bin.insert(key, header, &self.clock, &self.budget, !self.fixed, guard)
                {
                    let held = Held::new(counter);
                    self.tidy(roster, hash, guard);
                    return Ok((held, 1));
                }
            }
            Settled::Absent | Settled::Changed => {}
        }
        self.acquire_slow(key, hash, limit, guard)
    }

    /// Open connections of `key`.
    pub(crate) fn open(&self, key: K, guard: &Guard) -> u32 {
        let hash = self.spread.hash(key);
        self.roster.load(guard).levels().find_map(|level| level.open(key, hash, guard)).unwrap_or(0)
    }

    /// Admits a client that has no live word in the newest level.
    ///
    /// Ends: it starts over only when a word died, a slot was claimed or published, or the roster changed meanwhile, each
    /// by another thread's progress; or when this thread has itself put a larger level in front, or found that none is due.
    #[cold]
    #[inline(never)]
    fn acquire_slow(&self, key: K, hash: u64, limit: u32, guard: &Guard) -> Result<(Held, u32), Refusal> {
        let mut may_grow = !self.fixed;
        'restart: loop {
            let roster = self.roster.load(guard);
            // First a look everywhere: a client that is at its limit in an older level is refused without a trace.
            match Self::admit_in_older(roster, key, hash, limit, guard) {
                Settled::Held(held, open) => return Ok((held, open)),
                Settled::AtLimit => return Err(Refusal::AtLimit),
                Settled::Absent => {}
                Settled::Changed => continue,
            }
            for level in roster.older() {
                match self.settle(level, key, hash, limit, guard) {
                    Settled::Held(held, open) => return Ok((held, open)),
                    Settled::AtLimit => return Err(Refusal::AtLimit),
                    Settled::Absent => {}
                    Settled::Changed => continue 'restart,
                }
            }
            let newest = roster.newest();
            let Some(segment) = newest.touch(hash, guard) else {
                continue;
            };
            let bin = newest.bin(&segment, hash);
            let header = match bin.find(key) {
                Find::Absent(header) => header,
                Find::Found(counter, seen) => match counter.admit(seen, limit) {
                    Admission::Admitted(open) => return Ok((Held::new(counter), open)),
                    Admission::AtLimit => return Err(Refusal::AtLimit),
                    Admission::Dead => continue,
                },
            };
            match bin.insert(key, header, &self.clock, &self.budget, may_grow, guard) {
                Insert::Inserted(counter) => {
                    let held = Held::new(counter);
                    self.tidy(roster, hash, guard);
                    return Ok((held, 1));
                }
                Insert::Changed => {}
                Insert::Crowded => may_grow = newest.is_crowded(hash, &self.clock, guard) && self.grow(roster, guard),
                Insert::Full => {
                    if !self.grow(roster, guard) {
                        return Err(Refusal::Full);
                    }
                }
            }
        }
    }

    /// Admits `key` in an older level if it has connections there. The oldest first: clients that have been here longest,
    /// without a moment of absence, are those that come most often.
    #[inline]
    fn admit_in_older(roster: &Roster<K>, key: K, hash: u64, limit: u32, guard: &Guard) -> Settled {
        for level in roster.older().rev() {
            let Some(segment) = level.segment(hash, guard) else {
                continue;
            };
            match Self::admit_if_alive(&level.bin(&segment, hash).find(key), limit) {
                Settled::Absent => {}
                settled => return settled,
            }
        }
        Settled::Absent
    }

    /// A lingering word is not revived: the client moves to the newest level as it passes through zero.
    #[inline]
    fn admit_if_alive(found: &Find<'_>, limit: u32) -> Settled {
        match *found {
            Find::Found(counter, seen) if seen != Count::ZERO => match counter.admit(seen, limit) {
                Admission::Admitted(open) => Settled::Held(Held::new(counter), open),
                Admission::AtLimit => Settled::AtLimit,
                Admission::Dead => Settled::Changed,
            },
            Find::Found(..) | Find::Absent(_) => Settled::Absent,
        }
    }

    /// Makes sure that `key` is not alive in an older level, now and for ever; or admits it there if it is after all.
    ///
    /// Ends: the first turn closes the bin; after that each turn kills the word, or follows another thread's admission.
    fn settle(&self, level: &Level<K>, key: K, hash: u64, limit: u32, guard: &Guard) -> Settled {
        let Some(segment) = level.close(hash, &self.budget, guard) else {
            return Settled::Absent;
        };
        loop {
            match level.bin(&segment, hash).find(key) {
                Find::Found(counter, Count::ZERO) => {
                    if counter.stamp(self.clock.now()) {
                        return Settled::Absent;
                    }
                }
                found => return Self::admit_if_alive(&found, limit),
            }
        }
    }

    /// Puts a larger level in front. `false` when memory does not allow it; `true` also when another thread has
    /// changed the roster meanwhile.
    fn grow(&self, roster: &Roster<K>, guard: &Guard) -> bool {
        let bins = roster.newest().bins();
        let mut larger = (bins * 2).max(LARGE);
        while larger > bins && !self.renew(roster, larger, guard) {
            larger /= 2;
        }
        // Who has changed the roster meanwhile may have taken the memory.
        larger > bins || !core::ptr::eq(roster, self.roster.load(guard))
    }

    fn renew(&self, roster: &Roster<K>, bins: usize, guard: &Guard) -> bool {
        if self.fixed || roster.levels().count() >= MAX_LEVELS {
            return false;
        }
        let Some(level) = Level::new(roster.newest().id() + 1, bins, &self.budget) else {
            return false;
        };
        if self.roster.push(roster, level, guard).is_err() {
            self.budget.give_back(Level::<K>::bytes(bins));
        }
        true
    }

    /// What an insert does for the table as a whole: now and then a bounded share of draining, or a look at its size.
    fn tidy(&self, roster: &Roster<K>, hash: u64, guard: &Guard) {
        let older = roster.older().len();
        // The low bits choose the bin; these are independent of it, and the key keeps peers from choosing them.
        let lot = (hash >> 32) as usize;
        if older > 0 && lot % DRAIN_ONE_IN == 0 {
            self.drain(roster, lot / DRAIN_ONE_IN % older, DRAIN, guard);
        }
        if lot % SHRINK_ONE_IN == 1 {
            self.shrink(roster, hash, guard);
        }
    }

    /// Does at once what inserts do in passing: drains the older levels, and shrinks a table that is nearly empty.
    pub(crate) fn reclaim(&self) {
        // Dead words expire, unless other threads are pinned.
        for _ in 0..clock::GRACE {
            Clock::request_tick(&self.clock, &pin());
            Self::run_what_is_due();
        }
        // Shrinking goes by eighths, and each round drains what the one before has left behind.
        for _ in 0..MAX_LEVELS {
            // Each level has as many turns as the largest needs.
            let turns: usize = {
                let guard = pin();
                let roster = self.roster.load(&guard);
                roster.older().len() * roster.older().map(Level::segments).max().unwrap_or(0)
            };
            for step in 0..turns {
                // A pin for each segment: what has been retired so far can be freed meanwhile.
                let guard = pin();
                let roster = self.roster.load(&guard);
                match roster.older().len() {
                    0 => break,
                    older => self.drain(roster, step % older, BINS, &guard),
                }
            }
            let guard = pin();
            let roster = self.roster.load(&guard);
            if !self.shrink(roster, 0, &guard) {
                break;
            }
        }
        Self::run_what_is_due();
    }

    /// What was deferred runs now, unless other threads are pinned.
    fn run_what_is_due() {
        for _ in 0..4 {
            pin().flush();
        }
    }

    fn drain(&self, roster: &Roster<K>, index: usize, bins: usize, guard: &Guard) {
        if let Some(level) = roster.older().nth(index) {
            level.drain(bins, self.clock.now(), &self.budget, guard);
            if level.is_gone() {
                self.roster.unlink_gone(roster, &self.budget, guard);
            }
        }
    }

    /// Puts a smaller level in front when few slots of all levels together are in use for the size of the newest; but not
    /// while older ones are still being drained, or a table that shrinks and grows again would pile them up.
    fn shrink(&self, roster: &Roster<K>, hash: u64, guard: &Guard) -> bool {
        let bins = roster.newest().bins();
        let left: usize = roster.older().map(Level::left).sum();
        bins > BINS
            // A segment that a parked connection holds is none of these.
            && left * 8 <= bins / BINS
            && roster.levels().count() <= MAX_LEVELS / 2
            && roster.levels().map(|level| level.estimate(hash, &self.clock, guard)).sum::<usize>() * 64 < bins * K::Inline::LEN
            // An eighth of the size is mostly empty still.
            && self.renew(roster, (bins / 8).max(BINS), guard)
    }
}

enum Settled {
    Held(Held, u32),
    AtLimit,
    /// Not alive there, now and for ever.
    Absent,
    /// Look again from the start.
    Changed,
}

impl<K: Key> Drop for Table<K> {
    fn drop(&mut self) {
        // SAFETY: `&mut self`, here, once.
        for level in unsafe { self.roster.take() } {
            // SAFETY: `&mut self`: nobody is looking into the table.
            unsafe { level.abandon() };
        }
    }
}
