//! Which levels are in use: an immutable list behind one pointer, replaced whole.
//!
//! New clients go to the newest level only. The older ones drain: counters do not move, connections end.

use super::budget::Budget;
use super::level::Level;
use super::slots::Key;
use crate::epoch::Guard;
use crate::sync::{AcqRel, Acquire, Arc, AtomicPtr, Life, Relaxed};
use core::ptr::NonNull;

pub(super) struct Roster<K: Key> {
    newest: NonNull<Level<K>>,
    /// Newest first.
    older: Box<[NonNull<Level<K>>]>,
    life: Life,
}

impl<K: Key> Roster<K> {
    fn boxed(newest: NonNull<Level<K>>, older: Box<[NonNull<Level<K>>]>) -> Box<Self> {
        Box::new(Self { newest, older, life: Life::new() })
    }

    #[inline]
    pub(super) fn newest(&self) -> &Level<K> {
        self.life.used();
        // SAFETY: a level is freed only after a grace period that began when it had left the roster, and `self` was
        // found under a guard (`RosterCell::load`) that is still held.
        unsafe { self.newest.as_ref() }
    }

    pub(super) fn older(&self) -> impl DoubleEndedIterator<Item = &Level<K>> + ExactSizeIterator {
        self.life.used();
        // SAFETY: as for `newest`.
        self.older.iter().map(|level| unsafe { level.as_ref() })
    }

    /// All levels, newest first.
    pub(super) fn levels(&self) -> impl Iterator<Item = &Level<K>> {
        core::iter::once(self.newest()).chain(self.older())
    }
}

// SAFETY: a list of levels, which are `Send` and `Sync`.
unsafe impl<K: Key> Send for Roster<K> {}

pub(super) struct RosterCell<K: Key>(AtomicPtr<Roster<K>>);

impl<K: Key> RosterCell<K> {
    pub(super) fn new(level: Box<Level<K>>) -> Self {
        let newest = NonNull::from(Box::leak(level));
        Self(AtomicPtr::new(Box::into_raw(Roster::boxed(newest, Box::default()))))
    }

    #[inline]
    pub(super) fn load<'g>(&self, _: &'g Guard) -> &'g Roster<K> {
        // ORDERING: Acquire, with the exchange in `replace`: list and levels are initialised.
        let roster = self.0.load(Acquire);
        // SAFETY: never null, and a list that is replaced is retired through the epoch; the guard is pinned.
        unsafe { &*roster }
    }

    /// Puts `level` in front of the list `seen`; gives it back when the list has changed.
    pub(super) fn push(&self, seen: &Roster<K>, level: Box<Level<K>>, guard: &Guard) -> Result<(), Box<Level<K>>> {
        let newest = NonNull::from(Box::leak(level));
        let older = core::iter::once(seen.newest).chain(seen.older.iter().copied()).collect();
        if self.replace(seen, Roster::boxed(newest, older), guard) {
            Ok(())
        } else {
            // SAFETY: leaked above, and the list that names it was never in the cell.
            Err(unsafe { Box::from_raw(newest.as_ptr()) })
        }
    }

    /// Takes the older levels that are gone off the list `seen`, and retires them; unless the list has changed, and
    /// then whoever comes next will do it.
    pub(super) fn unlink_gone(&self, seen: &Roster<K>, budget: &Arc<Budget>, guard: &Guard) {
        // A level that is gone stays gone, but one that is not yet may be so a moment later: look at each once.
        let mut gone = Vec::new();
        let mut older = Vec::with_capacity(seen.older.len());
        for (&pointer, level) in seen.older.iter().zip(seen.older()) {
            if level.is_gone() { gone.push(pointer) } else { older.push(pointer) }
        }
        if gone.is_empty() || !self.replace(seen, Roster::boxed(seen.newest, older.into()), guard) {
            return;
        }
        for level in gone {
            let budget = Arc::clone(budget);
            // SAFETY: 1. leaked in `push` or `new`; each list is replaced once, and by whom retires what it drops.
            // 2. The new list does not name it. 3. References to levels are bound to the guard, through the list.
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

    fn replace(&self, seen: &Roster<K>, new: Box<Roster<K>>, guard: &Guard) -> bool {
        let seen = core::ptr::from_ref(seen).cast_mut(); // for its address alone
        let new = Box::into_raw(new);
        // ORDERING: AcqRel. Release, with `load`. Acquire, with the replacement that made `seen`, whose levels end
        // up in the new list. A failure decides nothing: Relaxed.
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
        let roster = self.0.load(Relaxed);
        // SAFETY: from `Box::into_raw`, and by the caller's duty nobody else uses it.
        let roster = *unsafe { Box::from_raw(roster) };
        core::iter::once(roster.newest).chain(roster.older).map(|level| {
            // SAFETY: leaked from a box, on the list until now, so not retired; likewise.
            unsafe { Box::from_raw(level.as_ptr()) }
        })
    }
}
