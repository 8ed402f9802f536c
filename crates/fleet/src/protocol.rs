//! The protocol: a machine and the engine's ledger, two state machines without clocks, sockets or threads.
//!
//! A [`Machine`](machine::Machine) is told what happened and when, and answers with what is to be done. The
//! [`Ledger`](ledger::Ledger) answers requests. The script for Redis does the same as the ledger, and is compared with it.
//!
//! **What makes it correct.** A machine never lets a client above what the ledger has written down for it: it raises a
//! cap when the answer is there, and lowers it before it says so. What is written down counts until the machine's
//! session ends, and a machine's idea of that end is earlier than the ledger's. And a ledger that may have forgotten
//! something grants nothing for as long as a machine may still rely on what was forgotten.

pub(crate) mod ledger;
pub(crate) mod machine;
#[cfg(test)]
mod tests;
pub(crate) mod wire;

/// Faults that the tests plant, each of them a line of the protocol left out. Without tests there are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fault {
    /// The ledger takes requests in the order in which they arrive.
    LateRequestsCount,
    /// The ledger counts only those it has heard of since it started, and lets clients grow at once.
    NoLearning,
    /// The ledger does not see that another server continues with an older state.
    FailoverUnseen,
    /// The ledger does not see that its clock stepped.
    StepUnseen,
    /// The ledger lets a machine grow into what another one insists on.
    HoldsIgnored,
    /// The ledger gives every machine a seat.
    SeatsForAll,
    /// The ledger continues a session of an earlier epoch.
    EpochIgnored,
    /// The machine counts its session from the answer, not from the request.
    DeadlineFromAnswer,
    /// The machine takes its clock for the ledger's.
    NoMargin,
    /// The machine relies on what it has asked for before it is granted.
    CapBeforeGrant,
    /// The machine says that it needs less before that is so.
    ShrinkTooSoon,
    /// The machine keeps its leases when its session has ended.
    LeasesOutliveSession,
    /// The machine says nothing of what is open when it comes back.
    NothingReasserted,
    /// The machine keeps what the new ledger has not heard of for as long as the session lasts.
    UnheardLeasesKept,
}
