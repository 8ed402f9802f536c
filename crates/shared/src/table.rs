//! One record per client, and in it one lane per process. The count of a client is nowhere: it is the sum of its lanes.
//!
//! To admit, a process raises *its own* lane and then sums: at most the limit, and the connection is admitted; else it
//! lowers its lane again. To release, it lowers its lane. So every count has its owner written on it at every instant,
//! and when a process dies, at whichever instruction, the repair is the same: set its lanes to zero, and finish or undo
//! what has its name on it ([`sweep`]).
//!
//! Two pairs need a write to come before a later read of other memory (in the manner of Dekker's algorithm):
//!
//! - *raise, sum* against *raise, sum*: of two admissions, the later one sees both.
//! - *raise, look at the word* against *begin to take the place, sum*: either the admission sees that its place is being
//!   taken, and cancels that; or the taker sees the raise, and desists.
//!
//! Nobody waits for anybody: what a dead or stopped process has begun has a name on it, and is passed by or cancelled.

mod group;
mod insert;
mod sweep;
mod walk;
mod words;

#[cfg(test)]
mod tests;

pub(crate) use group::{Group, LANES, Lane};
pub(crate) use sweep::Swept;
#[cfg(not(connlimit_shared_loom))]
pub(crate) use words::RECORDS;

use crate::hash::Secret;
use crate::key::Key;
use crate::sync::{Acquire, SeqCst, write_before_read};
use group::{Look, sum};
use words::{Header, Meta, RECORDS as RECORDS_OF_A_GROUP, State};

/// The table, as one process sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table<'a, const WORDS: usize> {
    pub(crate) groups: &'a [Group<WORDS>],
    pub(crate) secret: Secret,
    /// The number of this process: which lanes are its own.
    pub(crate) me: u8,
}

/// Why a connection was not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    AtLimit,
    Full,
}

type Answer<'a> = Result<Lane<'a>, Refusal>;

enum Found {
    /// In this record, in this incarnation.
    At(usize, Meta),
    /// Nowhere, if nothing has been published since.
    Absent(Header),
}

impl<'a, const WORDS: usize> Table<'a, WORDS> {
    /// Counts one more connection of `key`, if that makes at most `limit`.
    #[inline(always)]
    pub(crate) fn acquire(&self, key: Key, limit: u32) -> Answer<'a> {
        let place = Place::of(self.secret.hash(key), self.groups.len());
        let group = &self.groups[place.group];
        // Ends: each further turn is one in which another thread or process did something with a record of this group.
        loop {
            let answer = match find(group, key, place) {
                Found::At(record, meta) => self.admit(group, record, meta, key, limit),
                Found::Absent(header) => self.insert(group, header, key, place),
            };
            if let Some(answer) = answer {
                return answer;
            }
        }
    }

    /// The connections of `key`.
    pub(crate) fn open(&self, key: Key) -> u32 {
        let place = Place::of(self.secret.hash(key), self.groups.len());
        let group = &self.groups[place.group];
        // Ends: it looks again only when the place has gone to another client meanwhile, which is that one's progress.
        loop {
            let (record, meta) = match find(group, key, place) {
                Found::At(record, meta) => (group.record(record), meta),
                Found::Absent(_) => return 0,
            };
            // The word after the sum, whose Acquire keeps it there: else the sum may be another client's. (model
            // a_client_without_connections_counts_none)
            let open = record.sum(Acquire);
            if record.is_still(meta) {
                return open;
            }
        }
    }

    /// Counts one more connection of the client in `record`. `None` if that went to another client meanwhile.
    #[inline(always)]
    fn admit(&self, group: &'a Group<WORDS>, index: usize, meta: Meta, key: Key, limit: u32) -> Option<Answer<'a>> {
        let record = group.record(index);
        // A client at its limit writes nothing, so that a flood does not slow the rest down.
        if record.sum(Acquire) >= limit {
            // The word after the sum, whose Acquire keeps it there: else the sum may be another client's. (model
            // a_refusal_is_about_its_own_client)
            return record.is_still(meta).then_some(Err(Refusal::AtLimit));
        }
        let lane = record.lane(self.me);
        lane.raise();
        if !self.confirm(group, index, meta, key) {
            lane.release();
            return None;
        }
        // Ends: each further turn is one in which another thread moved the word.
        loop {
            write_before_read();
            // ORDERING: SeqCst, after `raise`: see there.
            let words = record.words(SeqCst);
            if sum(&words) <= limit {
                return Some(Ok(lane));
            }
            // Who shares the word and moved it may have made room. What is expected is the word *that was summed*: with
            // one that was read before, two threads can refuse each other. (model
            // two_raises_of_one_process_give_the_place_to_one)
            if lane.lower_if(lane.word_of(&words)) {
                return Some(Err(Refusal::AtLimit));
            }
        }
    }

    /// Whether the place is the client's still, now that this process' lane in it is raised: from here on nobody takes
    /// it.
    #[inline(always)]
    fn confirm(&self, group: &Group<WORDS>, index: usize, mut meta: Meta, key: Key) -> bool {
        let record = group.record(index);
        // Ends: each further turn is one in which another thread changed the word.
        loop {
            write_before_read();
            let now = record.meta_after_raise();
            if now.state() == State::Dying {
                // Who wants the place may have summed before the raise: it must not get the place. If it does, or if
                // another admission cancels as well, the next turn sees.
                record.change(now, now.next(self.me, State::Live));
            } else if now == meta {
                return true;
            } else if let Look::Here(other) = group.look(index, key) {
                // A cancelled death does not prove the key: that is looked at too. (F3 of the explorer)
                meta = other;
            } else {
                return false;
            }
        }
    }
}

/// Where a client belongs: in this group, preferably in this record, with this hint.
#[derive(Clone, Copy, Debug)]
struct Place {
    group: usize,
    record: usize,
    tag: u16,
}

impl Place {
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "parts of the hash, and products below their factor")]
    const fn of(hash: u64, groups: usize) -> Self {
        Self {
            group: (((hash >> 32) * groups as u64) >> 32) as usize,
            record: ((hash >> 16 & 0xffff) as usize * RECORDS_OF_A_GROUP) >> 16,
            tag: hash as u16,
        }
    }
}

#[inline(always)]
fn find<const WORDS: usize>(group: &Group<WORDS>, key: Key, place: Place) -> Found {
    // Most clients are in the record they prefer: then the header and the record are read side by side.
    if let Look::Here(meta) = group.look(place.record, key) {
        return Found::At(place.record, meta);
    }
    find_anywhere(group, key, place)
}

fn find_anywhere<const WORDS: usize>(group: &Group<WORDS>, key: Key, place: Place) -> Found {
    // Ends: each further turn is one in which another thread changed the record that was looked at.
    'again: loop {
        let header = group.header();
        let mut candidates = group.tagged(place.tag) & header.valid();
        while candidates != 0 {
            let record = candidates.trailing_zeros() as usize;
            candidates &= candidates - 1;
            match group.look(record, key) {
                Look::Here(meta) => return Found::At(record, meta),
                Look::Moved => continue 'again,
                Look::Other => {}
            }
        }
        return Found::Absent(header);
    }
}
