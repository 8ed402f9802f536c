//! Which levels are in use: an immutable list behind one pointer, replaced whole.
//!
//! New clients go to the newest level only. The older ones drain: counters do not move, connections end.

use super::alloc;
use super::budget::Budget;
use super::level::Level;
use super::slots::Key;
use super::tuning::MAX_LEVELS;
use crate::epoch::Guard;
use crate::sync::{AcqRel, Acquire, Arc, AtomicPtr, Life, Relaxed};
use core::ptr::NonNull;

pub(super) struct LevelList<K: Key> {
    /// Newest first; `len` of them, at least one.
    levels: [NonNull<Level<K>>; MAX_LEVELS],
    len: usize,
    life: Life,
}

impl<K: Key> LevelList<K> {
    /// A list of `newest` and `older`, of which there are fewer than `MAX_LEVELS`; `None` for lack of memory.
    fn boxed(newest: NonNull<Level<K>>, older: impl Iterator<Item = NonNull<Level<K>>>) -> Option<Box<Self>> {
        let mut list = Self { levels: [newest; MAX_LEVELS], len: 1, life: Life::new() };
        for level in older {
            list.levels[list.len] = level;
            list.len += 1;
        }
        alloc::boxed(list)
    }

    #[inline]
    pub(super) fn newest(&self) -> &Level<K> {
        self.life.used();
        // SAFETY: a level is freed only after a grace period that began when it had left the list, and `self` was
        // found under a guard (`LevelsCell::load`) that is still held.
        unsafe { self.levels[0].as_ref() }
    }

    fn older_pointers(&self) -> &[NonNull<Level<K>>] {
        self.life.used();
        &self.levels[1..self.len]
    }

    pub(super) fn older(&self) -> impl DoubleEndedIterator<Item = &Level<K>> + ExactSizeIterator {
        // SAFETY: as for `newest`.
        self.older_pointers().iter().map(|level| unsafe { level.as_ref() })
    }

    /// All levels, newest first.
    pub(super) fn levels(&self) -> impl Iterator<Item = &Level<K>> {
        core::iter::once(self.newest()).chain(self.older())
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }
}

// SAFETY: a list of levels, which are `Send` and `Sync`.
unsafe impl<K: Key> Send for LevelList<K> {}

pub(super) struct LevelsCell<K: Key>(AtomicPtr<LevelList<K>>);

impl<K: Key> LevelsCell<K> {
    /// A list of one level; `None` for lack of memory.
    pub(super) fn new(level: Box<Level<K>>) -> Option<Self> {
        let newest = NonNull::from(Box::leak(level));
        let Some(list) = LevelList::boxed(newest, core::iter::empty()) else {
            // SAFETY: leaked above, and no list names it.
            drop(unsafe { Box::from_raw(newest.as_ptr()) });
            return None;
        };
        Some(Self(AtomicPtr::new(Box::into_raw(list))))
    }

    #[inline]
    pub(super) fn load<'g>(&self, _: &'g Guard) -> &'g LevelList<K> {
        // ORDERING: Acquire, pairs with the exchange in `replace`. Without it: a list or a level that is not
        // initialised. (model `insert_meets_growth`)
        let list = self.0.load(Acquire);
        // SAFETY: never null, and a list that is replaced is retired through the epoch; the guard is pinned.
        unsafe { &*list }
    }

    /// Puts `level` in front of the list `seen`; gives it back when the list has changed, or there is no memory for a
    /// new one. `seen` has fewer than `MAX_LEVELS`.
    pub(super) fn push(&self, seen: &LevelList<K>, level: Box<Level<K>>, guard: &Guard) -> Result<(), Box<Level<K>>> {
        let newest = NonNull::from(Box::leak(level));
        let list = LevelList::boxed(newest, seen.levels[..seen.len].iter().copied());
        if list.is_some_and(|list| self.replace(seen, list, guard)) {
            Ok(())
        } else {
            // SAFETY: leaked above, and the list that names it was never in the cell.
            Err(unsafe { Box::from_raw(newest.as_ptr()) })
        }
    }

    /// Takes the older levels that are retired off the list `seen`, and frees them after a grace period; unless the list
    /// has changed, or there is no memory for a new one: then a later call does it.
    pub(super) fn unlink_retired(&self, seen: &LevelList<K>, budget: &Arc<Budget>, guard: &Guard) {
        // A level that is retired stays so, but one that is not yet may be a moment later: look at each once.
        let mut retired = [None; MAX_LEVELS];
        for (at, (&pointer, level)) in retired.iter_mut().zip(seen.older_pointers().iter().zip(seen.older())) {
            *at = level.is_retired().then_some(pointer);
        }
        let kept = seen.older_pointers().iter().zip(&retired).filter(|(_, retired)| retired.is_none());
        if retired.iter().all(Option::is_none) {
            return;
        }
        let list = LevelList::boxed(seen.levels[0], kept.map(|(&pointer, _)| pointer));
        if !list.is_some_and(|list| self.replace(seen, list, guard)) {
            return;
        }
        for level in retired.into_iter().flatten() {
            let budget = Arc::clone(budget);
            // SAFETY: 1. leaked in `push` or `new`; each list is replaced once, and the thread that did it retires what
            // it drops. 2. The new list does not name it. 3. References to levels are bound to the guard, through the
            // list.
            unsafe {
                guard.retire(level, move |level| {
                    let bytes = level.own_bytes();
                    drop(level);
                    budget.give_back(bytes);
                });
            }
        }
        guard.flush();
    }

    fn replace(&self, seen: &LevelList<K>, new: Box<LevelList<K>>, guard: &Guard) -> bool {
        let seen = core::ptr::from_ref(seen).cast_mut(); // for its address alone
        let new = Box::into_raw(new);
        // ORDERING: AcqRel. Release, pairs with `load`. Acquire, pairs with the replacement that made `seen`, whose levels
        // end up in the new list. Without them: a level that is not initialised (models `insert_meets_growth`,
        // `two_threads_grow`). A failure decides nothing: Relaxed.
        let replaced = self.0.compare_exchange(seen, new, AcqRel, Relaxed);
        if let Some(old) = replaced.ok().and_then(NonNull::new) {
            // SAFETY: 1. from `Box::into_raw` here or in `new`, and it leaves the cell only once. 2. The cell no
            // longer names it. 3. `load` binds it to the guard.
            unsafe { guard.retire(old, drop) };
            true
        } else {
            // SAFETY: made above, and never in the cell, which is never null.
            drop(unsafe { Box::from_raw(new) });
            false
        }
    }

    /// Takes the list and its levels out of the cell.
    ///
    /// # Safety
    ///
    /// The limiter is gone: no thread looks into the table, and none will. Called once.
    pub(super) unsafe fn take(&mut self) -> impl Iterator<Item = Box<Level<K>>> + use<K> {
        // ORDERING: Relaxed; the caller owns the cell.
        let list = self.0.load(Relaxed);
        // SAFETY: from `Box::into_raw`, and by the caller's duty nobody else uses it.
        let list = *unsafe { Box::from_raw(list) };
        list.levels.into_iter().take(list.len).map(|level| {
            // SAFETY: leaked from a box, on the list until now, so not retired; likewise.
            unsafe { Box::from_raw(level.as_ptr()) }
        })
    }
}
