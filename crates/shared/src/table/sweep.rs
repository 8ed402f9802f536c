//! What dead processes left is taken away.
//!
//! Every step leaves a state from which the next sweep goes on, so a sweeper may die as well. There is one sweeper at a
//! time, and it holds the locks by which the dead are known to be dead; everybody else goes on meanwhile.

use super::Table;
use super::words::State;

/// What a sweep took away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Swept {
    /// Connections that the dead had open.
    pub(crate) connections: u64,
    /// Records that the dead were about to put a client in, or to take from one.
    pub(crate) records: u64,
}

impl<const WORDS: usize> Table<'_, WORDS> {
    /// Takes away what the `dead` left, a bit for each process. Only one thread of all processes may do so at a time, and
    /// the dead must stay dead meanwhile.
    pub(crate) fn sweep(&self, dead: u64) -> Swept {
        let mut swept = Swept::default();
        let is_dead = |owner: u8| owner < 64 && dead >> owner & 1 == 1;
        for group in self.groups {
            for (index, record) in group.records() {
                swept.connections += u64::from(record.forget(dead));
                let meta = record.meta();
                if meta.state() == State::Free || !is_dead(meta.owner()) {
                    continue;
                }
                // The bit after the word, as everywhere: this incarnation is the dead one's, and it did not go on.
                let published = group.header().holds(index);
                let next = match (meta.state(), published) {
                    (State::Live, true) => continue,
                    // It is the client's still.
                    (State::Dying, _) => State::Live,
                    // It was the dead one's alone.
                    _ => State::Free,
                };
                if next == State::Free && published {
                    group.hide(index);
                }
                // An exchange and no store: a dead one's `Dying` may have been cancelled since. (F4 of the explorer)
                if record.change(meta, meta.next(meta.owner(), next)) {
                    swept.records += 1;
                }
            }
        }
        swept
    }
}
