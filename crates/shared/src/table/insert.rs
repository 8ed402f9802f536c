//! A client that has no record gets one: a free one, or one whose client has no connections.

use super::group::Group;
use super::words::{Header, Meta, RECORDS, State, VALID};
use super::{Answer, Place, Refusal, Table};
use crate::key::Key;
use crate::sync::{Acquire, SeqCst, write_before_read};

impl<'a, const WORDS: usize> Table<'a, WORDS> {
    /// Gives `key`, which was absent when the header was `seen`, a record with one connection. `None` if another client
    /// was published meanwhile: it may have been this one.
    #[cold]
    #[inline(never)]
    pub(super) fn insert(&self, group: &'a Group<WORDS>, seen: Header, key: Key, place: Place) -> Option<Answer<'a>> {
        let Some((index, claimed)) = self.claim(group, seen, place.record) else {
            return group.header().same_version(seen).then_some(Err(Refusal::Full));
        };
        let record = group.record(index);
        group.put(index, key, place.tag);
        let lane = record.lane(self.me);
        lane.raise();
        let live = claimed.next(self.me, State::Live);
        record.set(live);
        if group.publish(index, seen) {
            return Some(Ok(lane));
        }
        // In this order: the other way round, a thread that takes it for the client's in between would sum too little.
        record.set(live.next(self.me, State::Free));
        lane.release();
        None
    }

    /// Makes a record this process' own, and hides it. It looks at the preferred one first.
    fn claim(&self, group: &Group<WORDS>, seen: Header, preferred: usize) -> Option<(usize, Meta)> {
        let order = || (preferred..RECORDS).chain(0..preferred);
        let free = !seen.bits() & VALID;
        order()
            .filter(|index| free >> index & 1 == 1)
            .find_map(|index| {
                let record = group.record(index);
                let meta = record.meta();
                let claimed = meta.next(self.me, State::Claimed);
                (meta.state() == State::Free && record.change(meta, claimed)).then_some((index, claimed))
            })
            .or_else(|| order().filter(|index| seen.holds(*index)).find_map(|index| self.take(group, index)))
    }

    /// Takes the record of a client that has no connections.
    fn take(&self, group: &Group<WORDS>, index: usize) -> Option<(usize, Meta)> {
        let record = group.record(index);
        let meta = record.meta();
        // The bit as it is now, after the word: who is alive and hidden is its owner's alone. (F2 of the explorer)
        // ORDERING: Acquire: it is a look only, and decides nothing.
        if meta.state() != State::Live || !group.header().holds(index) || record.sum(Acquire) != 0 {
            return None;
        }
        let dying = meta.next(self.me, State::Dying);
        if !record.change(meta, dying) {
            return None;
        }
        write_before_read();
        // ORDERING: SeqCst, after the change to `Dying`: see `meta_after_raise`.
        if record.sum(SeqCst) != 0 {
            // It fails if the one who raised has cancelled already.
            record.change(dying, dying.next(self.me, State::Live));
            return None;
        }
        let claimed = dying.next(self.me, State::Claimed);
        if !record.change(dying, claimed) {
            return None;
        }
        group.hide(index);
        Some((index, claimed))
    }
}
