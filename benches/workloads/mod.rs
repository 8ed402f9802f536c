//! What servers ask of a limiter, as loops that are the same for each peer.
//!
//! Keys are drawn before the clock starts, from fixed seeds: each peer sees the same clients in the same order.

mod streams;
mod worker;

pub(crate) use streams::Streams;
pub(crate) use worker::{Worker, crew};

/// One workload. An operation is an admission and a release, or one rejection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) crowd: Crowd,
    pub(crate) act: Act,
    /// Connections allowed per client: 1, or so many that the act never meets the limit.
    pub(crate) limit: u32,
    pub(crate) min_threads: usize,
}

/// Who connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Crowd {
    /// This many clients for each thread, in turn, and no other thread has them.
    Own(u32),
    /// One client for all threads.
    One,
    /// Any of this many, all equally likely.
    Uniform(u32),
    /// Any of this many, the `n`-th with a probability proportional to `1/n`.
    Zipf(u32),
}

/// What a thread does with them.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// Admits and releases at once; `open` when each client has another connection open all the time.
    Pair { open: bool },
    /// Asks for one more than the limit.
    Rejected,
    /// Holds this many connections: admits a new one and releases the oldest.
    Fifo(usize),
    /// Admits, and hands the permits over to the next thread, which releases them.
    Handoff,
}

/// No workload but `rejected` comes near it.
const AMPLE: u32 = 1 << 20;

impl Workload {
    const fn new(name: &'static str, crowd: Crowd, act: Act) -> Self {
        Self {
            name,
            crowd,
            act,
            limit: if matches!(act, Act::Rejected) { 1 } else { AMPLE },
            min_threads: if matches!(act, Act::Handoff) { 2 } else { 1 },
        }
    }

    /// Distinct clients, which are `client(0)..client(clients)`.
    pub(crate) fn clients(&self, threads: usize) -> u32 {
        match self.crowd {
            Crowd::Own(_) => OWN_SPACING * u32::try_from(threads).expect("few threads"),
            Crowd::One => 1,
            Crowd::Uniform(clients) | Crowd::Zipf(clients) => clients,
        }
    }
}

/// Each thread's own clients begin this far from those of the thread before.
const OWN_SPACING: u32 = 256 * OWN_STRIDE;
/// The distance between two own clients: the counters of the floor, four bytes each, share no cache line.
const OWN_STRIDE: u32 = 16;

pub(crate) const EXISTING: Workload = Workload::new("existing", Crowd::Own(1), Act::Pair { open: true });
pub(crate) const OWN: Workload = Workload::new("own", Crowd::Own(256), Act::Pair { open: true });
pub(crate) const RECONNECT: Workload = Workload::new("reconnect", Crowd::Own(1), Act::Pair { open: false });
pub(crate) const SHARED: Workload = Workload::new("shared", Crowd::One, Act::Pair { open: false });
pub(crate) const SHARED_OPEN: Workload = Workload::new("shared-open", Crowd::One, Act::Pair { open: true });
pub(crate) const REJECTED: Workload = Workload::new("rejected", Crowd::One, Act::Rejected);
pub(crate) const UNIFORM_1M: Workload = Workload::new("uniform-1m", Crowd::Uniform(1_000_000), Act::Fifo(100_000));

/// All of them, in the order of the tables.
pub(crate) const ALL: [Workload; 13] = [
    EXISTING,
    OWN,
    RECONNECT,
    SHARED,
    SHARED_OPEN,
    REJECTED,
    Workload::new("uniform-1k", Crowd::Uniform(1_000), Act::Fifo(100)),
    UNIFORM_1M,
    Workload::new("uniform-10m", Crowd::Uniform(10_000_000), Act::Fifo(250_000)),
    Workload::new("zipf-1k", Crowd::Zipf(1_000), Act::Fifo(100)),
    Workload::new("zipf-1m", Crowd::Zipf(1_000_000), Act::Fifo(100_000)),
    Workload::new("zipf-10m", Crowd::Zipf(10_000_000), Act::Fifo(250_000)),
    Workload::new("handoff", Crowd::Own(256), Act::Handoff),
];
