//! The table: one live counter per client, found by a keyed hash.
//!
//! **One live word per key.** A client is inserted into the newest level only, by an exchange that fails if anything
//! was published in that bin since the client was looked for there; and before that, the client's bin in each older
//! level is closed and its word there, if it has no connection, is dead. So two words of one client are never alive
//! at once, and the limit checked on the one is the limit of the client.
//!
//! **Nothing is given up before something better is certain.** A thread claims the place in the newest level before it
//! kills the client's word in an older one. Where there is no place to claim, the client is admitted on the word that it
//! has.
//!
//! What a permit points to never moves, and is not freed while a permit points to it.
//!
//! Longer than other files: an admission is followed from its first look to its last in one place.

mod alloc;
mod bin;
mod budget;
mod clock;
mod count_guard;
mod counter;
mod header;
mod level;
mod level_list;
#[cfg(all(test, connlimit_loom))]
mod models;
mod resize;
mod segment;
mod segment_meta;
mod slots;
#[cfg(all(test, not(connlimit_model)))]
mod tests;
mod tuning;
mod walk;

pub(crate) use count_guard::CountGuard;
pub(crate) use counter::MAX_COUNT;
#[cfg(all(test, connlimit_loom))]
pub(crate) use models::model;
pub(crate) use slots::Key;
pub(crate) use walk::{Census, Cursor};

use crate::epoch::{Guard, PinSource, pin};
use crate::hash::KeyHasher;
use crate::sync::Arc;
use bin::{Bin, Find, Room};
use budget::{Budget, Purpose};
use clock::Clock;
use core::borrow::Borrow;
use counter::{Admission, Count};
use header::Header;
use level::{Level, Touched};
use level_list::{LevelList, LevelsCell};
use tuning::{BINS, DRAIN, DRAIN_ONE_FULL_IN, FLUSHES_PER_LOOK, LOOKS_WHEN_FULL};

pub(crate) struct Table<K: Key> {
    levels: LevelsCell<K>,
    hasher: KeyHasher,
    clock: Arc<Clock>,
    budget: Arc<Budget>,
    /// All memory was allocated at the start: neither grows nor shrinks.
    fixed: bool,
}

/// A count, with how many that makes; or why a table gave none.
pub(crate) type Counted = Result<(CountGuard, u32), Refusal>;

/// Why a table gave no count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    AtLimit,
    Full,
}

/// The same, under one pin.
enum Miss {
    AtLimit,
    Full,
    /// There will be places once the threads that are pinned now have let go; the one that asks, among them.
    FullForNow,
}

/// What one look at the table came to; `None` when it has changed meanwhile, and the next look starts over.
type Looked = Option<Result<(CountGuard, u32), Miss>>;

/// The bin of the newest level of `list` in which a client was absent when its header was `header`.
struct Vacancy<'a, K: Key> {
    list: &'a LevelList<K>,
    bin: &'a Bin<K>,
    header: Header,
}

/// What became of a client in an older level.
enum InOlder {
    Decided(Result<(CountGuard, u32), Miss>),
    /// Not alive there, now and forever.
    Absent,
    /// Look again from the start.
    Changed,
}

/// The machine does not have this number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoMemory {
    pub(crate) bytes: usize,
}

impl<K: Key> Table<K> {
    /// Bytes of the smallest table.
    pub(crate) const SMALLEST: usize = Level::<K>::bytes(BINS);

    /// A table that takes at most `bytes` of memory, all of it at once if `preallocate`.
    pub(crate) fn new(bytes: usize, preallocate: bool) -> Result<Self, NoMemory> {
        // The smallest level is always allowed, whatever the bound.
        let bound = bytes.max(Self::SMALLEST);
        let headroom = if preallocate { 0 } else { Level::<K>::headroom(bound) };
        let budget = Budget::new(bound, headroom);
        let bins = if preallocate { Level::<K>::most_furnished_bins(bound).max(BINS) } else { BINS };
        let no_memory = NoMemory { bytes: if preallocate { bound } else { Self::SMALLEST } };
        if preallocate && !alloc::is_to_be_had(bound) {
            return Err(no_memory);
        }
        let levels = Level::new(0, bins, Purpose::Room, &budget).and_then(LevelsCell::new).ok_or(no_memory)?;
        let table = Self { levels, hasher: KeyHasher::new(), clock: Clock::new(), budget, fixed: preallocate };
        if preallocate && !table.furnish() {
            return Err(no_memory);
        }
        Ok(table)
    }

    /// Allocates all segments, with as many overflow blocks as the budget allows; `false` for lack of memory.
    fn furnish(&self) -> bool {
        let guard = pin();
        let level = self.levels.load(&guard).newest();
        // Less than all of them only where the bound is below what the smallest level wants.
        let blocks = level.bins() * size_of::<K::Overflow>();
        !self.budget.reserve(blocks, Purpose::Room) || (0..level.segments()).all(|index| level.furnish(index, &guard))
    }

    /// Counts one more connection of `key`, if that stays within `limit`, which is at least one; with it, how many
    /// that makes.
    ///
    /// The hash is computed before this pins: the two take about as long, and so they overlap.
    #[inline(always)]
    pub(crate) fn acquire(&self, key: K, limit: u32, mut pins: impl PinSource) -> Counted {
        let hash = self.hasher.hash(key);
        let answer = {
            let guard = pins.guard();
            self.acquire_pinned(key, hash, limit, guard.borrow())
        };
        match answer {
            Ok(counted) => Ok(counted),
            Err(Miss::AtLimit) => Err(Refusal::AtLimit),
            Err(Miss::Full) => Err(Refusal::Full),
            Err(Miss::FullForNow) => self.acquire_when_full(key, hash, limit, pins),
        }
    }

    #[inline(always)]
    fn acquire_pinned(&self, key: K, hash: u64, limit: u32, guard: &Guard) -> Result<(CountGuard, u32), Miss> {
        let list = self.levels.load(guard);
        let level = list.newest();
        if let Some(segment) = level.segment(hash, guard) {
            let bin = level.bin(&segment, hash);
            match bin.find(key) {
                Find::Found(counter, seen) => match counter.admit(seen, limit) {
                    Admission::Admitted(open) => return Ok((CountGuard::new(counter), open)),
                    Admission::AtLimit => return Err(Miss::AtLimit),
                    Admission::Dead => {}
                },
                Find::Absent(header) => {
                    if let Some(answer) = self.acquire_absent(key, hash, limit, &Vacancy { list, bin, header }, guard) {
                        return answer;
                    }
                }
            }
        }
        self.acquire_slow(key, hash, limit, guard)
    }

    /// Open connections of `key`.
    pub(crate) fn open(&self, key: K, guard: &Guard) -> u32 {
        let hash = self.hasher.hash(key);
        self.levels.load(guard).levels().find_map(|level| level.open(key, hash, guard)).unwrap_or(0)
    }

    /// Admits a client that may have no live word in the newest level.
    ///
    /// Ends: it starts over only when a word died, a slot was claimed or published, or the list changed meanwhile, each
    /// by another thread's progress; or when this thread has itself put a larger level in front.
    #[cold]
    #[inline(never)]
    fn acquire_slow(&self, key: K, hash: u64, limit: u32, guard: &Guard) -> Result<(CountGuard, u32), Miss> {
        loop {
            let list = self.levels.load(guard);
            let newest = list.newest();
            let looked = match newest.touch(hash, guard) {
                Touched::Segment(segment) => {
                    let bin = newest.bin(&segment, hash);
                    match bin.find(key) {
                        Find::Found(counter, seen) => match Self::admit(counter, seen, limit) {
                            InOlder::Decided(answer) => Some(answer),
                            InOlder::Absent | InOlder::Changed => None,
                        },
                        Find::Absent(header) => {
                            self.acquire_absent(key, hash, limit, &Vacancy { list, bin, header }, guard)
                        }
                    }
                }
                Touched::Retired => None,
                Touched::NoMemory => self.acquire_without_place(list, key, hash, limit, false, guard),
            };
            if let Some(answer) = looked {
                return answer;
            }
        }
    }

    /// Admits a client that is absent in the newest level.
    #[inline(never)]
    fn acquire_absent(&self, key: K, hash: u64, limit: u32, vacancy: &Vacancy<'_, K>, guard: &Guard) -> Looked {
        let &Vacancy { list, bin, header } = vacancy;
        // First a look everywhere: a client that is at its limit in an older level is refused without a write.
        match Self::admit_in_older(list, key, hash, limit, guard) {
            InOlder::Decided(answer) => return Some(answer),
            InOlder::Absent => {}
            InOlder::Changed => return None,
        }
        let tell_crowded = !self.fixed && !self.budget.is_exhausted();
        let mut room = bin.claim(key, header, &self.clock, &self.budget, tell_crowded, guard);
        if let Room::Crowded = room {
            if list.newest().is_crowded(hash, &self.clock, guard) && self.grow(list, hash, guard) {
                return None;
            }
            room = bin.claim(key, header, &self.clock, &self.budget, false, guard);
        }
        let mut claim = match room {
            Room::Claimed(claim) => claim,
            Room::Full { .. } if self.grow(list, hash, guard) => return None,
            Room::Full { soon } => return self.acquire_without_place(list, key, hash, limit, soon, guard),
            Room::Changed | Room::Crowded => return None,
        };
        for level in list.older() {
            match self.kill_or_admit(level, key, hash, limit, guard) {
                InOlder::Decided(answer) => return Some(answer),
                InOlder::Absent => {}
                InOlder::Changed => return None,
            }
        }
        loop {
            match claim.publish() {
                Ok(counter) => {
                    let held = CountGuard::new(counter);
                    self.help_maintain(list, hash, guard);
                    return Some(Ok((held, 1)));
                }
                // Something was published in the bin, the client perhaps. Its older words are dead forever, so its claim
                // is all the room that it has: not given back for a neighbour's sake.
                Err(kept) => match bin.find(key) {
                    Find::Absent(header) if !header.is_closed() => claim = kept.under(header),
                    Find::Absent(_) | Find::Found(..) => return None,
                },
            }
        }
    }

    /// Admits a client where it has a word already, at zero perhaps: there is no place for a new one. Or refuses it.
    #[cold]
    #[inline(never)]
    fn acquire_without_place(
        &self,
        list: &LevelList<K>,
        key: K,
        hash: u64,
        limit: u32,
        soon: bool,
        guard: &Guard,
    ) -> Looked {
        for level in list.older() {
            let Some(segment) = level.segment(hash, guard) else {
                continue;
            };
            if let Find::Found(counter, seen) = level.bin(&segment, hash).find(key) {
                match Self::admit(counter, seen, limit) {
                    InOlder::Decided(answer) => return Some(answer),
                    // Another thread has killed it, to put a new one in front or to drain the level.
                    InOlder::Absent | InOlder::Changed => return None,
                }
            }
        }
        // Nobody gets in, so nobody drains in passing: those who are refused do it instead, each a little.
        let (number, older) = (self.budget.count_rejection(), list.older().len());
        let drains = older > 0 && number % DRAIN_ONE_FULL_IN == 0;
        if drains {
            self.drain(list, number / DRAIN_ONE_FULL_IN % older, DRAIN, guard);
        }
        Some(Err(if soon || drains { Miss::FullForNow } else { Miss::Full }))
    }

    /// Lets time pass, and looks again: as long as a thread is pinned, what it waits for cannot come.
    ///
    /// Ends: it looks a few times, and not again when the clock stands still, because another thread is pinned.
    #[cold]
    #[inline(never)]
    fn acquire_when_full(&self, key: K, hash: u64, limit: u32, mut pins: impl PinSource) -> Counted {
        for look in 0..LOOKS_WHEN_FULL {
            // Where it stood still for another thread, one in a while finds out whether it still does.
            if look == 0 && self.clock.is_stuck() && self.budget.count_rejection() % DRAIN_ONE_FULL_IN != 0 {
                break;
            }
            let before = self.clock.now();
            for _ in 0..FLUSHES_PER_LOOK {
                if !pins.let_go() {
                    return Err(Refusal::Full);
                }
                let guard = pin();
                Clock::request_tick(&self.clock, &guard);
                guard.flush();
            }
            if !pins.let_go() {
                return Err(Refusal::Full);
            }
            match self.acquire_slow(key, hash, limit, pins.guard().borrow()) {
                Ok(counted) => return Ok(counted),
                Err(Miss::AtLimit) => return Err(Refusal::AtLimit),
                Err(Miss::Full) => return Err(Refusal::Full),
                Err(Miss::FullForNow) => {}
            }
            if self.clock.now() == before {
                self.clock.note_stuck(before);
                break;
            }
        }
        Err(Refusal::Full)
    }

    /// Admits `key` in an older level if it has connections there. The oldest first: clients that have been here longest,
    /// without a moment of absence, are those that come most often.
    #[inline]
    fn admit_in_older(list: &LevelList<K>, key: K, hash: u64, limit: u32, guard: &Guard) -> InOlder {
        for level in list.older().rev() {
            let Some(segment) = level.segment(hash, guard) else {
                continue;
            };
            match Self::admit_if_open(&level.bin(&segment, hash).find(key), limit) {
                InOlder::Absent => {}
                decided => return decided,
            }
        }
        InOlder::Absent
    }

    /// A lingering word is not revived: the client moves to the newest level as it passes through zero.
    #[inline]
    fn admit_if_open(found: &Find<'_>, limit: u32) -> InOlder {
        match *found {
            Find::Found(counter, seen) if seen != Count::ZERO => Self::admit(counter, seen, limit),
            Find::Found(..) | Find::Absent(_) => InOlder::Absent,
        }
    }

    #[inline]
    fn admit(counter: &counter::Counter, seen: Count, limit: u32) -> InOlder {
        match counter.admit(seen, limit) {
            Admission::Admitted(open) => InOlder::Decided(Ok((CountGuard::new(counter), open))),
            Admission::AtLimit => InOlder::Decided(Err(Miss::AtLimit)),
            Admission::Dead => InOlder::Changed,
        }
    }

    /// Makes sure that `key` is not alive in an older level, now and forever; or admits it there if it is after all.
    ///
    /// Ends: the first turn closes the bin; after that each turn kills the word, or follows another thread's admission.
    fn kill_or_admit(&self, level: &Level<K>, key: K, hash: u64, limit: u32, guard: &Guard) -> InOlder {
        let Some(segment) = level.close(hash, &self.budget, guard) else {
            return InOlder::Absent;
        };
        loop {
            match level.bin(&segment, hash).find(key) {
                Find::Found(counter, Count::ZERO) => {
                    if counter.try_kill(self.clock.now()) {
                        return InOlder::Absent;
                    }
                }
                found => return Self::admit_if_open(&found, limit),
            }
        }
    }
}

impl<K: Key> Drop for Table<K> {
    fn drop(&mut self) {
        // SAFETY: `&mut self`, here, once.
        for level in unsafe { self.levels.take() } {
            // SAFETY: `&mut self`: nobody is looking into the table.
            unsafe { level.abandon() };
        }
    }
}
