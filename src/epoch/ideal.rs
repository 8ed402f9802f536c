//! Models of our protocol alone: a collector that is its own specification, eager and weak. A deferred function runs at
//! the very first moment that the first sentence of `epoch.rs` allows, which is the worst moment for a thread that relies
//! on more; and nothing is ordered but what the other two sentences say.
//!
//! The bookkeeping is under a mutex that the model does not see: no turn is given to another thread between an access to
//! one of these atomics and the bookkeeping that follows it.

use crate::sync::{Acquire, AtomicUsize, Release};
#[cfg(connlimit_loom)]
use loom::lazy_static;
#[cfg(connlimit_shuttle)]
use shuttle::lazy_static;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

type Act = Box<dyn FnOnce() + Send>;

/// A pin: its number, and the time between two deferrals in which it began.
#[derive(Clone, Debug)]
struct Pin {
    number: usize,
    begun: Arc<AtomicUsize>,
}

#[derive(Debug)]
pub(crate) struct Guard(Option<Pin>);

struct Deferred {
    /// Pins that it still waits for.
    holders: Vec<usize>,
    /// The times before it was deferred.
    before: Vec<Arc<AtomicUsize>>,
    act: Act,
}

struct State {
    next: usize,
    pinned: Vec<usize>,
    /// For each time between two deferrals, where the pins that began in it end with Release.
    times: Vec<Arc<AtomicUsize>>,
    waiting: Vec<Deferred>,
}

struct Shared {
    state: Mutex<State>,
    /// Deferrals release here, pins acquire.
    deferrals: AtomicUsize,
}

impl Shared {
    fn new() -> Self {
        let times = vec![Arc::new(AtomicUsize::new(0))];
        let state = Mutex::new(State { next: 0, pinned: Vec::new(), times, waiting: Vec::new() });
        Self { state, deferrals: AtomicUsize::new(0) }
    }
}

// Begins anew with each execution.
lazy_static! {
    static ref SHARED: Shared = Shared::new();
}

fn state() -> MutexGuard<'static, State> {
    SHARED.state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn enter() -> Pin {
    // ORDERING: Acquire, pairs with the Release in `defer`; an exchange always meets the latest. The third sentence.
    SHARED.deferrals.fetch_add(0, Acquire);
    let mut state = state();
    state.next += 1;
    let number = state.next;
    state.pinned.push(number);
    let begun = state.times.last().map(Arc::clone).expect("there is always a time");
    Pin { number, begun }
}

fn leave(pin: &Pin) {
    // ORDERING: Release, pairs with the Acquire below. The second sentence.
    pin.begun.fetch_add(1, Release);
    let due: Vec<_> = {
        let mut state = state();
        state.pinned.retain(|&other| other != pin.number);
        for deferred in &mut state.waiting {
            deferred.holders.retain(|&other| other != pin.number);
        }
        let all = core::mem::take(&mut state.waiting);
        let (due, waiting) = all.into_iter().partition(|deferred| deferred.holders.is_empty());
        state.waiting = waiting;
        due
    };
    for Deferred { before, act, .. } in due {
        for time in before {
            // ORDERING: Acquire, as above.
            time.fetch_add(0, Acquire);
        }
        act();
    }
}

pub(crate) fn pin() -> Guard {
    Guard(Some(enter()))
}

#[expect(clippy::unused_self, reason = "as the real one")]
impl Guard {
    pub(crate) fn defer(&self, act: impl FnOnce() + Send + 'static) {
        let next = Arc::new(AtomicUsize::new(0));
        // ORDERING: Release, pairs with the Acquire in `enter`.
        SHARED.deferrals.fetch_add(1, Release);
        let mut state = state();
        let deferred = Deferred { holders: state.pinned.clone(), before: state.times.clone(), act: Box::new(act) };
        state.waiting.push(deferred);
        state.times.push(next);
    }

    pub(crate) const fn flush(&self) {}

    pub(crate) const fn may_flush(&self) -> bool {
        true
    }

    pub(crate) fn repin(&mut self) {
        if let Some(pin) = self.0.take() {
            leave(&pin);
        }
        self.0 = Some(enter());
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(pin) = self.0.take() {
            leave(&pin);
        }
    }
}
