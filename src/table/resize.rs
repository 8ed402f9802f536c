//! How a table changes its size: larger and smaller levels in front, older ones drained, by whoever passes or at once.

use super::Table;
use super::budget::Purpose;
use super::clock::{self, Clock};
use super::level::Level;
use super::level_list::LevelList;
use super::slots::{Key, Slots};
use super::tuning::{BINS, DRAIN, DRAIN_ONE_IN, FLUSHES_PER_GRACE, MAX_LEVELS, MOST_BINS, SECOND_LEVEL, SHRINK_ONE_IN};
use crate::epoch::{Guard, pin};

impl<K: Key> Table<K> {
    /// Puts a level in front for more clients: twice as large as the newest, or as large as memory allows. `false` when that
    /// is too little; `true` also when another thread has changed the list meanwhile.
    pub(super) fn grow(&self, list: &LevelList<K>, hash: u64, guard: &Guard) -> bool {
        let newest = list.newest();
        let (bins, returns) = (newest.bins(), self.budget.returns());
        if !self.budget.is_exhausted() {
            // Near the bound as many bins as there is memory for with their overflow blocks. A level that is no larger than
            // the newest only where that is full, or most places of that would be given up; and not one of few bins, and
            // the more levels there are the more it takes: each costs every look-up a look.
            let rest = Level::<K>::most_furnished_bins(self.budget.left_for_room());
            let serves = || rest * 8 >= bins * list.len() && newest.is_full(hash, &self.clock, guard);
            let sizes = [(bins * 2).clamp(SECOND_LEVEL, MOST_BINS), if rest > bins || serves() { rest } else { 0 }];
            if sizes.into_iter().any(|size| self.push_level(list, size, Purpose::Room, guard)) {
                return true;
            }
            self.budget.note_denied(returns);
        }
        // The thread that has changed the list meanwhile may have taken the memory.
        !core::ptr::eq(list, self.levels.load(guard))
    }

    /// Puts a level of `bins` bins in front; `false` when memory does not allow it. `true` also when the list has changed
    /// meanwhile.
    fn push_level(&self, list: &LevelList<K>, bins: usize, purpose: Purpose, guard: &Guard) -> bool {
        if self.fixed || list.len() >= MAX_LEVELS || bins < BINS {
            return false;
        }
        let Some(level) = Level::new(list.newest().id() + 1, bins, purpose, &self.budget) else {
            return false;
        };
        if self.levels.push(list, level, guard).is_ok() {
            return true;
        }
        self.budget.give_back(Level::<K>::bytes(bins));
        // Not for lack of memory for the list.
        !core::ptr::eq(list, self.levels.load(guard))
    }

    /// What an insert does for the table as a whole: now and then a bounded share of draining, or a look at its size.
    pub(super) fn help_maintain(&self, list: &LevelList<K>, hash: u64, guard: &Guard) {
        let older = list.older().len();
        // The low half of the hash chooses the bin; this is independent of it, and the key keeps peers from choosing it.
        let ticket = (hash >> 32) as usize;
        if older > 0 && ticket % DRAIN_ONE_IN == 0 {
            self.drain(list, ticket / DRAIN_ONE_IN % older, DRAIN, guard);
        }
        if ticket % SHRINK_ONE_IN == 1 {
            self.shrink(list, || self.estimate(list, hash, guard), guard);
        }
    }

    /// Does at once what inserts do in passing: drains the older levels, and shrinks a table that is nearly empty.
    pub(crate) fn reclaim(&self) {
        self.let_expire();
        // Shrinking goes by eighths, and each round drains what the one before has left behind.
        for _ in 0..MAX_LEVELS {
            // Each level has as many turns as the largest needs.
            let turns: usize = {
                let guard = pin();
                let list = self.levels.load(&guard);
                list.older().len() * list.older().map(Level::segments).max().unwrap_or(0)
            };
            for step in 0..turns {
                // A pin for each segment: what has been retired so far can be freed meanwhile.
                let guard = pin();
                let list = self.levels.load(&guard);
                match list.older().len() {
                    0 => break,
                    older => self.drain(list, step % older, BINS, &guard),
                }
            }
            // What was drained beside a parked connection would be taken for clients, and forbid to shrink.
            self.let_expire();
            Self::run_what_is_due();
            let guard = pin();
            let list = self.levels.load(&guard);
            // Counted, not judged by a sample: one parked connection in that would forbid to shrink.
            if !self.shrink(list, || usize::try_from(self.census().clients).unwrap_or(usize::MAX), &guard) {
                break;
            }
        }
        Self::run_what_is_due();
    }

    /// Lets dead words expire, unless other threads are pinned. What other tables and threads have deferred before runs
    /// first, a little with each flush: after a crowd that is much more than a few flushes do.
    fn let_expire(&self) {
        let before = self.clock.now();
        for _ in 0..FLUSHES_PER_GRACE {
            let guard = pin();
            Clock::request_tick(&self.clock, &guard);
            guard.flush();
            if self.clock.now().wrapping_sub(before) >= clock::GRACE {
                break;
            }
        }
    }

    /// What was deferred runs now, unless other threads are pinned.
    fn run_what_is_due() {
        for _ in 0..4 {
            pin().flush();
        }
    }

    /// Drains up to `bins` bins of the older level at `index`, and takes it off the list when it is empty.
    pub(super) fn drain(&self, list: &LevelList<K>, index: usize, bins: usize, guard: &Guard) {
        if let Some(level) = list.older().nth(index) {
            level.drain(bins, self.clock.now(), &self.budget, guard);
            if level.is_retired() {
                self.levels.unlink_retired(list, &self.budget, guard);
            }
        }
    }

    /// Slots in use in all levels, judged by the neighbourhood of `hash` in each.
    pub(super) fn estimate(&self, list: &LevelList<K>, hash: u64, guard: &Guard) -> usize {
        list.levels().map(|level| level.estimate(hash, &self.clock, guard)).sum()
    }

    /// Puts a smaller level in front when few slots of all levels together are in use for the size of the newest; but not
    /// while older ones are still being drained, or a table that shrinks and grows again would pile them up.
    pub(super) fn shrink(&self, list: &LevelList<K>, in_use: impl FnOnce() -> usize, guard: &Guard) -> bool {
        let bins = list.newest().bins();
        // What parked connections hold is not waited for.
        let undrained: usize = list.older().map(Level::undrained).sum();
        bins > BINS
            && undrained * 8 <= bins / BINS
            && list.len() <= MAX_LEVELS / 2
            && in_use().saturating_mul(64) < bins * K::Inline::LEN
            // An eighth of the size is mostly empty still.
            && self.push_level(list, (bins / 8 / BINS * BINS).max(BINS), Purpose::Shrinking, guard)
    }
}
