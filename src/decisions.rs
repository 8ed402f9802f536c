//! Counting what was decided, without making threads take turns: each thread adds on a cache line that few others share.
//!
//! A sum of stripes is no snapshot, but it is exact: every event is counted once, none is lost, and once the threads
//! that count have been joined the sum is their total.

use crate::rejected::Rejected;
use crate::sync::{AtomicU64, Relaxed};
use core::array;
use crossbeam_utils::CachePadded;

/// What may become of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Decision {
    /// With a permit that counts.
    Admitted,
    ClientLimit,
    TableFull,
    TierLimit,
    TotalLimit,
    Denied,
    UnknownPeer,
    /// With a permit that counts nothing, for lack of room in the table.
    AdmittedUntracked,
    /// Admitted, but a configuration on trial beside the one in force would have rejected.
    ShadowRejected,
    /// Admitted, but only because limits are not enforced for now.
    DryRunRejected,
}

const DECISIONS: usize = Decision::DryRunRejected as usize + 1;

impl From<Rejected> for Decision {
    fn from(rejected: Rejected) -> Self {
        match rejected {
            Rejected::ClientLimit => Self::ClientLimit,
            Rejected::TableFull => Self::TableFull,
            Rejected::TierLimit => Self::TierLimit,
            Rejected::TotalLimit => Self::TotalLimit,
            Rejected::Denied => Self::Denied,
            Rejected::UnknownPeer => Self::UnknownPeer,
        }
    }
}

type Stripe = CachePadded<[AtomicU64; DECISIONS]>;

#[derive(Debug)]
pub(crate) struct StripedCounters(Box<[Stripe]>);

/// How often each event was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Totals([u64; DECISIONS]);

impl StripedCounters {
    pub(crate) fn new() -> Self {
        let stripe = |_| CachePadded::new(array::from_fn(|_| AtomicU64::new(0)));
        Self((0..stripes::count()).map(stripe).collect())
    }

    pub(crate) fn count(&self, event: Decision) {
        let stripe = &self.0[stripes::mine() % self.0.len()];
        // ORDERING: Relaxed; the number is all that is shared, and an addition always acts on the latest.
        stripe[event as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn sum(&self) -> Totals {
        // ORDERING: Relaxed; no stripe says anything about another. Each only grows, so sums do too.
        let sum = |event: usize| self.0.iter().map(|stripe| stripe[event].load(Relaxed)).sum();
        Totals(array::from_fn(sum))
    }
}

impl Totals {
    pub(crate) const fn of(&self, event: Decision) -> u64 {
        self.0[event as usize]
    }
}

#[cfg(not(connlimit_model))]
mod stripes {
    use crate::sync::{AtomicUsize, Relaxed};
    use std::sync::OnceLock;
    use std::thread;

    /// A stripe is two cache lines; more of them than this help only where a sum would have become slow.
    const MOST: usize = 64;

    /// As many as threads can run at once. Finding that out takes the system several files, so it is done once.
    pub(super) fn count() -> usize {
        static COUNT: OnceLock<usize> = OnceLock::new();
        *COUNT.get_or_init(|| thread::available_parallelism().map_or(1, |threads| threads.get().min(MOST)))
    }

    /// Threads take numbers in turn, so that as few as possible share a stripe.
    pub(super) fn mine() -> usize {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            // ORDERING: Relaxed; all that matters is that the numbers differ.
            static MINE: usize = NEXT.fetch_add(1, Relaxed);
        }
        // The thread-local is gone when a destructor of another thread-local counts: any stripe will do.
        MINE.try_with(|&mine| mine).unwrap_or(0)
    }
}

/// A model has few threads, and wants them to meet.
#[cfg(connlimit_model)]
mod stripes {
    pub(super) const fn count() -> usize {
        1
    }

    pub(super) const fn mine() -> usize {
        0
    }
}

#[cfg(all(test, not(connlimit_model)))]
mod tests {
    use super::*;
    use std::thread;

    const ALL: [Decision; DECISIONS] = [
        Decision::Admitted,
        Decision::ClientLimit,
        Decision::TableFull,
        Decision::TierLimit,
        Decision::TotalLimit,
        Decision::Denied,
        Decision::UnknownPeer,
        Decision::AdmittedUntracked,
        Decision::ShadowRejected,
        Decision::DryRunRejected,
    ];

    #[test]
    fn each_event_has_a_count_of_its_own() {
        let decisions = StripedCounters::new();
        for (times, event) in ALL.into_iter().enumerate() {
            (0..=times).for_each(|_| decisions.count(event));
        }
        for (times, event) in ALL.into_iter().enumerate() {
            assert_eq!(decisions.sum().of(event), times as u64 + 1, "{event:?}");
        }
    }

    #[test]
    fn no_event_is_lost_and_sums_never_fall() {
        const THREADS: u64 = 8;
        const EACH: u64 = if cfg!(miri) { 50 } else { 50_000 };
        let decisions = StripedCounters::new();
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let decisions = &decisions;
                scope.spawn(move || {
                    for turn in 0..EACH {
                        decisions.count(ALL[usize::try_from((thread + turn) % DECISIONS as u64).unwrap()]);
                    }
                });
            }
            let mut before = decisions.sum();
            for _ in 0..100 {
                let now = decisions.sum();
                assert!(before.0.iter().zip(now.0).all(|(&before, now)| before <= now), "{before:?} then {now:?}");
                before = now;
            }
        });
        assert_eq!(decisions.sum().0.iter().sum::<u64>(), THREADS * EACH);
    }

    #[test]
    fn threads_take_stripes_in_turn() {
        let numbers = [(); 3].map(|()| thread::spawn(stripes::mine).join().unwrap());
        assert!(numbers[0] < numbers[1] && numbers[1] < numbers[2], "{numbers:?}");
        assert_eq!(stripes::mine(), stripes::mine(), "a thread keeps its stripe");
    }
}
