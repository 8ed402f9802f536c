//! The grace clock: when may a dead word's slot be used again?
//!
//! The danger is a thread that saw the word at zero, was delayed, and now admits on it by compare-and-swap after the
//! slot has gone to another client and that one's count has come to zero too. Such a thread has been pinned since
//! before the word died. So a stamp holds the clock's value, and the clock moves only by functions deferred through
//! the epoch, one at a time: call the one that moves it from *v* to *v* + 1 *tick v*.
//!
//! Let the stamping thread read *s*. It is pinned from before that read until after its stamp lands.
//! - Tick *s* may have been deferred earlier and may run in between.
//! - Tick *s* + 1 is deferred after tick *s* has run, perhaps before the stamp lands. The stamping thread is pinned
//!   by then, so this tick runs only after the stamp. A reader may have pinned between the deferral and the stamp:
//!   nothing in this tick waits for it. **Two ticks are not enough.**
//! - Tick *s* + 2 is deferred after tick *s* + 1 has run, so after the stamp. Whoever was pinned at the stamp has
//!   been unpinned when it runs; whoever pins later sees the word dead.
//!
//! So a stamp has expired when the clock has moved by three. (Model `revive_meets_reuse`; with two it turns red.)
//!
//! The same count bounds how often a slot changes hands while one thread stays pinned: a stamp set under that pin
//! cannot expire under it, so each slot is published at most once before and once after its first reuse.

use super::counter::MAX_COUNT;
use crate::epoch::Guard;
use crate::sync::{AcqRel, Acquire, Arc, AtomicBool, AtomicU32, Relaxed, Release};

/// Ticks after which a dead word's slot may be used again.
pub(super) const GRACE: u32 = 3;

#[derive(Debug)]
pub(crate) struct Clock {
    now: AtomicU32,
    /// A tick is deferred and has not run yet.
    pending: AtomicBool,
    /// One more than the time at which a thread waited in vain; zero if that was never so.
    stuck: AtomicU32,
}

impl Clock {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { now: AtomicU32::new(0), pending: AtomicBool::new(false), stuck: AtomicU32::new(0) })
    }

    pub(super) fn now(&self) -> u32 {
        // ORDERING: Acquire, with the Release in the tick: a thread that reads a value comes after the grace periods that led
        // to it, and so after every access that they waited for.
        self.now.load(Acquire)
    }

    /// Whether nobody can admit any more on a word that was stamped with `stamp`.
    ///
    /// `now` must have been read *after* the stamp was: then it is not behind it, since the stamping thread had read the
    /// clock before (its Release, the reader's Acquire on the word, and coherence of the clock). A clock one tick behind
    /// would make the freshest stamp look 2^30 - 1 ticks old.
    ///
    /// A stamp left alone for all 2^30 values looks fresh again for three ticks; that only delays its reuse.
    pub(super) const fn has_expired(stamp: u32, now: u32) -> bool {
        now.wrapping_sub(stamp) & MAX_COUNT >= GRACE
    }

    /// Makes the clock move once a grace period has passed. One tick serves every thread that asks meanwhile.
    pub(super) fn request_tick(this: &Arc<Self>, guard: &Guard) {
        // ORDERING: Relaxed; a stale value costs a delay or a swap. Acquire on the swap, pairs with the Release in the tick
        // before: this tick is deferred after that one has run. Without it: a place is used again while a thread can
        // still admit on it. (model `a_stamp_meets_half_a_tick`)
        if this.pending.load(Relaxed) || this.pending.swap(true, Acquire) {
            return;
        }
        let clock = Arc::clone(this);
        guard.defer(move || clock.tick());
        guard.flush();
    }

    /// Does its share for the clock to move, in passing: requests a tick, or, if that has been done and the caller is
    /// `short` of places, helps the grace period to pass. Each costs a look at all threads, so a thread does it at most as
    /// often as [`Guard::may_flush`] says.
    pub(super) fn push(this: &Arc<Self>, short: bool, guard: &Guard) {
        // ORDERING: Relaxed; as in `request_tick`.
        let pending = this.pending.load(Relaxed);
        if (pending && !short) || !guard.may_flush() {
            return;
        }
        if pending {
            guard.flush();
        } else {
            Self::request_tick(this, guard);
        }
    }

    /// Notes that a thread has waited for the clock to move on from `now`, in vain.
    pub(super) fn note_stuck(&self, now: u32) {
        // ORDERING: Relaxed; a hint that spares others the time.
        self.stuck.store(now.wrapping_add(1), Relaxed);
    }

    /// Whether a thread has waited in vain for the clock to move on from where it is.
    pub(super) fn is_stuck(&self) -> bool {
        // ORDERING: Relaxed, as above; and the reading decides about a delay only.
        self.stuck.load(Relaxed) == self.now.load(Relaxed).wrapping_add(1)
    }

    pub(super) fn tick(&self) {
        // ORDERING: AcqRel. Release, with `now`. Acquire keeps the chain of ticks in one piece.
        self.now.fetch_add(1, AcqRel);
        // ORDERING: Release, with the swap in `request_tick`.
        self.pending.store(false, Release);
    }
}
