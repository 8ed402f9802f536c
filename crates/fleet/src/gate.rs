//! What a client may have above the share: read by all threads that admit, written by the one that talks to the engine.
//!
//! **Lowering is exact.** A thread counts the connection first and looks at the gate once more; the writer lowers the
//! gate first and counts the connections then. One of them sees the other: either the writer counts the connection, and
//! insists on it, or the thread sees the lower gate, and gives the connection up before anybody has heard of it.

use crate::sync::{AtomicU32, Ordering::Acquire, Ordering::Relaxed, Ordering::Release, Ordering::SeqCst, fence};

#[derive(Debug)]
pub(crate) struct Gate(AtomicU32);

impl Gate {
    pub(crate) fn shut() -> Self {
        Self(AtomicU32::new(0))
    }

    /// What may be admitted by. To be confirmed by [`still`](Self::still).
    pub(crate) fn leased(&self) -> u32 {
        // ORDERING: Acquire, pairs with Release in `set`. Without it: nothing breaks that `still` would not see; it keeps
        // what was granted after what the writer did before.
        self.0.load(Acquire)
    }

    /// Whether a connection that has been counted by `leased` may stay.
    pub(crate) fn still(&self, leased: u32) -> bool {
        // ORDERING: SeqCst, pairs with the fence in `before_counting`. Without it: the load may pass the count that came
        // before it, the writer misses the connection, and this thread misses the lower gate.
        // (model a_lowered_gate_meets_an_admission)
        fence(SeqCst);
        // ORDERING: Relaxed, ordered by the fence.
        self.0.load(Relaxed) >= leased
    }

    pub(crate) fn set(&self, leased: u32) {
        // ORDERING: Release, pairs with Acquire in `leased`.
        self.0.store(leased, Release);
    }
}

/// Between lowering gates and counting the connections that were admitted by them.
pub(crate) fn before_counting() {
    // ORDERING: SeqCst, pairs with the fence in `still`. Without it: the count may pass the lowering.
    // (model a_lowered_gate_meets_an_admission)
    fence(SeqCst);
}

#[cfg(all(test, connlimit_loom))]
mod models {
    use super::*;
    use loom::sync::Arc;
    use loom::thread;

    #[test]
    fn a_lowered_gate_meets_an_admission() {
        loom::model(|| {
            let gate = Arc::new(Gate::shut());
            gate.set(2);
            let open = Arc::new(AtomicU32::new(1));
            let admission = {
                let (gate, open) = (Arc::clone(&gate), Arc::clone(&open));
                thread::spawn(move || {
                    let leased = gate.leased();
                    // As the limiter does: within the lease, in one step.
                    let counted = open
                        .fetch_update(Ordering::AcqRel, Acquire, |open| (open < leased).then_some(open + 1))
                        .is_ok();
                    if counted && !gate.still(leased) {
                        open.fetch_sub(1, Ordering::AcqRel);
                        return false;
                    }
                    counted
                })
            };
            gate.set(1);
            before_counting();
            let insisted = open.load(Relaxed).max(1);
            let admitted = admission.join().unwrap();
            let open = open.load(Relaxed);
            assert_eq!(open, 1 + u32::from(admitted));
            assert!(open <= insisted, "{open} open, and the engine was told of {insisted}");
        });
    }
    use crate::sync::Ordering;
}
