//! All clients that have connections.

use super::{Group, LANES, Table};
use crate::key::Key;
use crate::sync::{Acquire, fence};

impl<const WORDS: usize> Table<'_, WORDS> {
    /// Shows each client that has connections, and how many, to `see`. A client that has some all the while is shown
    /// once.
    pub(crate) fn for_each(&self, mut see: impl FnMut(Key, u32)) {
        for group in self.groups {
            for (index, record) in group.records() {
                // A record that changes hands over and over is left out in the end: its clients come and go.
                for _ in 0..8 {
                    let meta = record.meta();
                    // ORDERING: Acquire: as for `open`.
                    let (key, open) = (record.key(), record.sum(Acquire));
                    // ORDERING: Acquire: the key is read before the word is read again. (As in `put`: no model shows it.)
                    fence(Acquire);
                    let published = group.header().holds(index);
                    if !record.is_still(meta) {
                        continue;
                    }
                    if meta.is_client() && published && open > 0 {
                        see(key, open);
                    }
                    break;
                }
            }
        }
    }

    /// The connections of each process, added to `held`.
    pub(crate) fn add_held(&self, held: &mut [u64]) {
        for (_, record) in self.groups.iter().flat_map(Group::records) {
            for (process, held) in held.iter_mut().enumerate().take(WORDS * LANES) {
                *held += u64::from(record.held_by(process));
            }
        }
    }

    /// Whether this process counts no connection at all.
    pub(crate) fn holds_nothing(&self) -> bool {
        self.groups.iter().all(|group| group.records().all(|(_, record)| record.lane(self.me).is_zero()))
    }
}
