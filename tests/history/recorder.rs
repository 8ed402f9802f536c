//! Threads that use a limiter, each writing down what it asked and what it was told, with the time before and after.

use connlimit::Client;
use core::net::Ipv4Addr;
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Barrier, Mutex};
use std::thread;

const THREADS: usize = 3;
pub(crate) const CLIENTS: u32 = 2;
const OPERATIONS: usize = if cfg!(miri) { 40 } else { 250 };

/// What can be recorded: a limiter, or something that pretends to be one.
pub(crate) trait Subject: Sync {
    type Held: Send;

    fn try_acquire(&self, client: Client) -> Option<Self::Held>;
    fn open_connections(&self, client: Client) -> u32;
}

/// One operation: when it was called, when it had returned, and what the answer was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) called: u64,
    pub(crate) returned: u64,
    pub(crate) answer: Answer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A permit, by the limit `most` or one below it.
    Admitted {
        most: u32,
    },
    /// No permit, by the limit `least` or one above it.
    Rejected {
        least: u32,
    },
    Released,
    Open(u32),
}

/// What each thread wrote down, in its own order.
pub(crate) struct History {
    threads: Vec<Vec<(u32, Event)>>,
}

/// The limits of a run that changes them: each with the times before it was set and after the next was.
pub(crate) struct Changes {
    limits: Vec<InForce>,
}

struct InForce {
    limit: u32,
    from: u64,
    until: u64,
}

impl History {
    /// One client's part, thread by thread.
    pub(crate) fn of(&self, client: u32) -> Vec<Vec<Event>> {
        let part = |thread: &Vec<(u32, Event)>| {
            let own = thread.iter().filter(|(of, _)| *of == client);
            own.map(|(_, event)| *event).collect()
        };
        self.threads.iter().map(part).collect()
    }

    /// The same history, in which an acquire may have used any limit that was in force while it ran.
    pub(crate) fn under(mut self, changes: &Changes) -> Self {
        for (_, event) in self.threads.iter_mut().flatten() {
            let limits = changes.between(event.called, event.returned);
            match &mut event.answer {
                Answer::Admitted { most } => *most = limits.max().expect("always a limit"),
                Answer::Rejected { least } => *least = limits.min().expect("always a limit"),
                Answer::Released | Answer::Open(_) => {}
            }
        }
        self
    }
}

impl Changes {
    pub(crate) fn starting_with(limit: u32) -> Self {
        let limits = vec![InForce { limit, from: 0, until: u64::MAX }];
        Self { limits }
    }

    /// While `set` runs, the old limit and the new one are both in force.
    pub(crate) fn record(&mut self, limit: u32, set: impl FnOnce()) {
        let from = now();
        set();
        self.limits.last_mut().expect("never empty").until = now();
        self.limits.push(InForce { limit, from, until: u64::MAX });
    }

    fn between(&self, called: u64, returned: u64) -> impl Iterator<Item = u32> {
        let first = self.limits.partition_point(|limit| limit.until < called);
        let overlapping = self.limits[first..].iter();
        overlapping.take_while(move |limit| limit.from <= returned).map(|limit| limit.limit)
    }
}

/// A clock that all threads agree on: what returned before another was called has the smaller reading.
fn now() -> u64 {
    static CLOCK: AtomicU64 = AtomicU64::new(0);
    CLOCK.fetch_add(1, SeqCst)
}

/// Records one run against `subject`, whose limit is `limit`. Permits change hands between the threads, and at
/// the end one thread fills each client to the limit and takes everything off again.
pub(crate) fn record<S: Subject>(subject: &S, limit: u32, seed: u64) -> History {
    let table: Mutex<Vec<(u32, S::Held)>> = Mutex::default();
    let start = Barrier::new(THREADS);
    let mut threads: Vec<_> = thread::scope(|scope| {
        let spawned: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (table, start) = (&table, &start);
                let seed = seed * 8 + thread as u64;
                scope.spawn(move || {
                    let mut scribe = Scribe::new(subject, limit);
                    let mut random = fastrand::Rng::with_seed(seed);
                    let mut held: Vec<(u32, S::Held)> = Vec::new();
                    start.wait();
                    for _ in 0..OPERATIONS {
                        let client = random.u32(0..CLIENTS);
                        match random.u8(0..8) {
                            0..4 => held.extend(scribe.acquire(client)),
                            4 => scribe.open_connections(client),
                            5 if !held.is_empty() => {
                                let taken = held.swap_remove(random.usize(..held.len()));
                                table.lock().unwrap().push(taken);
                            }
                            6 => {
                                let found = table.lock().unwrap().pop();
                                if let Some(found) = found {
                                    scribe.release(found);
                                }
                            }
                            _ => held.pop().into_iter().for_each(|held| scribe.release(held)),
                        }
                    }
                    for held in held {
                        scribe.release(held);
                    }
                    scribe.written
                })
            })
            .collect();
        spawned.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut scribe = Scribe::new(subject, limit);
    let left = table.into_inner().unwrap();
    for found in left {
        scribe.release(found);
    }
    for client in 0..CLIENTS {
        scribe.open_connections(client);
        let full: Vec<_> = (0..=limit).filter_map(|_| scribe.acquire(client)).collect();
        scribe.open_connections(client);
        for held in full {
            scribe.release(held);
        }
        scribe.open_connections(client);
    }
    threads.push(scribe.written);
    History { threads }
}

/// Does what one thread asks for, and writes it down.
struct Scribe<'a, S> {
    subject: &'a S,
    limit: u32,
    written: Vec<(u32, Event)>,
}

impl<'a, S: Subject> Scribe<'a, S> {
    const fn new(subject: &'a S, limit: u32) -> Self {
        Self { subject, limit, written: Vec::new() }
    }

    fn acquire(&mut self, client: u32) -> Option<(u32, S::Held)> {
        let called = now();
        let held = self.subject.try_acquire(address(client));
        let answer = match &held {
            Some(_) => Answer::Admitted { most: self.limit },
            None => Answer::Rejected { least: self.limit },
        };
        self.write(client, called, answer);
        held.map(|held| (client, held))
    }

    fn release(&mut self, (client, held): (u32, S::Held)) {
        let called = now();
        drop(held);
        self.write(client, called, Answer::Released);
    }

    fn open_connections(&mut self, client: u32) {
        let called = now();
        let open = self.subject.open_connections(address(client));
        self.write(client, called, Answer::Open(open));
    }

    fn write(&mut self, client: u32, called: u64, answer: Answer) {
        let returned = now();
        let event = Event { called, returned, answer };
        self.written.push((client, event));
    }
}

fn address(client: u32) -> Client {
    Ipv4Addr::from_bits(0xc000_0200 + client).into()
}
