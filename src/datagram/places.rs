//! The places: each a word that says until when it is taken.
//!
//! There is no list of free places and no timer. A place whose time has passed is free, whatever became of the handshake
//! that took it; so nothing can be leaked, and nothing has to be told when a handshake fails.

use crate::sync::{AtomicU64, Relaxed};
use core::time::Duration;
use std::time::Instant;

/// All words are in nanoseconds since `start`; they last for 584 years.
#[derive(Debug)]
pub(super) struct Places {
    start: Instant,
    /// How long a place is taken for, if it is not given back. Not zero: the values that a word is given in turn are
    /// told apart by it.
    hold: u64,
    until: Box<[AtomicU64]>,
}

/// One taken place. Its value is in the word until it is given back or its time has passed.
#[derive(Debug)]
pub(super) struct Taken {
    place: usize,
    until: u64,
}

impl Places {
    pub(super) fn new(places: u8, hold: Duration) -> Self {
        let until = (0..places).map(|_| AtomicU64::new(0)).collect();
        Self { start: Instant::now(), hold: nanos(hold).max(1), until }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.until.is_empty()
    }

    pub(super) fn take(&self, now: Instant) -> Option<Taken> {
        self.take_at(self.since_start(now))
    }

    pub(super) fn give_back(&self, taken: Taken, now: Instant) {
        self.give_back_at(taken, self.since_start(now));
    }

    pub(super) fn deadline(&self, taken: &Taken) -> Instant {
        let until = Duration::from_nanos(taken.until);
        // A hold of centuries may be more than the clock can say.
        self.start.checked_add(until).unwrap_or_else(|| self.start + Duration::from_secs(u32::MAX.into()))
    }

    /// Takes a place that is free at `now`; none if each of them was taken when it was looked at.
    pub(super) fn take_at(&self, now: u64) -> Option<Taken> {
        let until = now.saturating_add(self.hold);
        let free = |before| (before <= now).then_some(until);
        // ORDERING: Relaxed; the word is all that is shared, and an update always acts on the latest.
        // (model `threads_never_share_a_place`)
        let place = self.until.iter().position(|word| word.fetch_update(Relaxed, Relaxed, free).is_ok())?;
        Some(Taken { place, until })
    }

    /// The word becomes `now`, not zero: so it only ever grows from one taker to the next, and a taker that comes late
    /// never finds its own value in the place of another. With zero, a third taker whose clock is behind could get the
    /// value of the first. (model `a_late_taker_gives_back_nothing`)
    #[expect(clippy::needless_pass_by_value, reason = "it is given back once")]
    pub(super) fn give_back_at(&self, taken: Taken, now: u64) {
        if now < taken.until {
            // ORDERING: Relaxed; as in `take_at`. It fails if somebody took the place whose clock was ahead.
            let _given_back = self.until[taken.place].compare_exchange(taken.until, now, Relaxed, Relaxed).is_ok();
        }
    }

    fn since_start(&self, now: Instant) -> u64 {
        nanos(now.saturating_duration_since(self.start))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
