//! Looking at all clients, a segment at a time.
//!
//! **Who has connections all the while is seen once.** A word stays in its slot for as long as it counts anybody,
//! levels have distinct numbers that never come back, and each slot of each level that was there at the start is
//! looked at under exactly one pin. A level that is gone by the time its turn comes has nobody left in it. Between two
//! segments nothing is pinned, so a walk that takes its time holds back no memory.

use super::Table;
use super::bin::Bin;
use super::level::SegmentState;
use super::slots::Key;
use crate::epoch::pin;

/// Where a walk goes on: a segment of a level. Levels that were added since it began are none of its business.
#[derive(Clone, Debug)]
pub(crate) struct Cursor {
    level: u64,
    segment: usize,
}

/// What a table holds, as counted in passing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Census {
    /// Open connections.
    pub(crate) open_connections: u64,
    /// Clients that have some.
    pub(crate) clients: u64,
    /// Open connections of the client that has the most.
    pub(crate) most_open_connections: u64,
    /// Words at zero.
    pub(crate) lingering: u64,
    /// Dead words.
    pub(crate) dead: u64,
    /// Slots that have memory.
    pub(crate) slots: u64,
    pub(crate) levels: u64,
    pub(crate) reserved_bytes: u64,
    pub(crate) bound_bytes: u64,
}

impl<K: Key> Table<K> {
    /// The start of a walk.
    pub(crate) fn start(&self) -> Cursor {
        Cursor { level: self.levels.load(&pin()).newest().id(), segment: 0 }
    }

    /// Shows each client of the next segment, with its open connections, to `see`. `false` at the end of the walk.
    pub(crate) fn visit_segment(&self, place: &mut Cursor, mut see: impl FnMut(K, u32)) -> bool {
        self.walk_segment(place, |bin| {
            bin.scan(|key, count| {
                if count.open() > 0 {
                    see(key, count.open());
                }
            });
        })
    }

    /// Counts what the table holds.
    pub(crate) fn census(&self) -> Census {
        let mut census = Census {
            levels: self.levels.load(&pin()).len() as u64,
            reserved_bytes: self.budget.reserved() as u64,
            bound_bytes: self.budget.bound() as u64,
            ..Census::default()
        };
        let mut place = self.start();
        let mut count_bin = |bin: &Bin<K>| {
            census.slots += bin.slots() as u64;
            bin.scan(|_, count| match count.open() {
                0 if count.is_dead() => census.dead += 1,
                0 => census.lingering += 1,
                open => {
                    census.clients += 1;
                    census.open_connections += u64::from(open);
                    census.most_open_connections = census.most_open_connections.max(open.into());
                }
            });
        };
        while self.walk_segment(&mut place, &mut count_bin) {}
        census
    }

    /// One pin: visits the bins of the segment at `place`, if it has any, and moves `place` on.
    fn walk_segment(&self, place: &mut Cursor, visit: impl FnMut(&Bin<K>)) -> bool {
        let guard = pin();
        // Numbers fall along the list, so this is the level itself, or else the first one that it had behind it.
        let Some(level) = self.levels.load(&guard).levels().find(|level| level.id() <= place.level) else {
            return false;
        };
        if level.id() != place.level {
            *place = Cursor { level: level.id(), segment: 0 };
        }
        if place.segment < level.segments() {
            if let SegmentState::Present(segment) = level.state(place.segment, &guard) {
                segment.bins().iter().for_each(visit);
            }
            place.segment += 1;
            return true;
        }
        // The oldest level there can be has number zero, and nothing behind it.
        let Some(older) = level.id().checked_sub(1) else {
            return false;
        };
        *place = Cursor { level: older, segment: 0 };
        true
    }
}
