//! One thread's part of a workload.

use super::streams::Stream;
use super::{Act, Workload};
use crate::peers::Peer;
use core::hint::black_box;
use core::net::IpAddr;
use std::sync::mpsc::{Receiver, Sender, channel};

/// Operations between two looks at the clock, and in one batch.
const BATCH: u64 = 64;

/// Loops over its stream, holding what its act says.
pub(crate) struct Worker<'p, P: Peer> {
    peer: &'p P,
    act: Act,
    stream: Stream,
    next: usize,
    /// Connections that stay open throughout.
    open: Vec<Option<P::Permit<'p>>>,
    /// The connections of [`Act::Fifo`], as a ring.
    held: Vec<Option<P::Permit<'p>>>,
    oldest: usize,
    neighbours: Neighbours<P::Permit<'p>>,
    operations: u64,
    admitted: u64,
}

/// The ends of the two channels that join a thread to its neighbours, for [`Act::Handoff`].
struct Neighbours<T> {
    to: Sender<Vec<T>>,
    from: Receiver<Vec<T>>,
    spare: Vec<Vec<T>>,
}

/// A worker for each stream.
pub(crate) fn crew<'p, P: Peer>(peer: &'p P, workload: &Workload, streams: Vec<Stream>) -> Vec<Worker<'p, P>> {
    let (mut to, from): (Vec<_>, Vec<_>) = streams.iter().map(|_| channel()).unzip();
    to.rotate_left(1);
    let ends = to.into_iter().zip(from);
    let worker = |(stream, (to, from))| Worker {
        peer,
        act: workload.act,
        stream,
        next: 0,
        open: Vec::new(),
        held: Vec::new(),
        oldest: 0,
        neighbours: Neighbours { to, from, spare: Vec::new() },
        operations: 0,
        admitted: 0,
    };
    streams.into_iter().zip(ends).map(worker).collect()
}

impl<'p, P: Peer> Worker<'p, P> {
    /// Opens the connections that the act presupposes.
    pub(crate) fn prepare(&mut self) {
        match self.act {
            Act::Pair { open: true } | Act::Rejected => {
                let mut batch = self.peer.batch();
                for index in 0..self.stream.len() {
                    let client = IpAddr::V4(self.stream[index]);
                    self.open.push(self.peer.try_acquire(&mut batch, client));
                }
            }
            Act::Fifo(held) => {
                while self.held.len() < held {
                    let mut batch = self.peer.batch();
                    for _ in 0..BATCH.min((held - self.held.len()) as u64) {
                        let client = self.next_client();
                        self.held.push(self.peer.try_acquire(&mut batch, client));
                    }
                }
                // Filling is not the steady state, nor is a table that still changes size: let every connection be
                // replaced a few times. (What growing costs is the business of `latency`.)
                self.run(5 * held as u64);
            }
            Act::Pair { open: false } | Act::Handoff => {}
        }
    }

    /// At least `operations`, which is rounded up to whole batches; returns how many.
    pub(crate) fn run(&mut self, operations: u64) -> u64 {
        let batches = operations.div_ceil(BATCH);
        for _ in 0..batches {
            let mut batch = self.peer.batch();
            match self.act {
                Act::Pair { .. } | Act::Rejected => self.pairs(&mut batch),
                Act::Fifo(_) => self.fifo(&mut batch),
                Act::Handoff => self.handoff(&mut batch),
            }
        }
        self.operations += batches * BATCH;
        batches * BATCH
    }

    /// Fails when the peer did not do the work that was timed.
    pub(crate) fn verify(&self) {
        let expected = match self.act {
            Act::Rejected => 0,
            _ => self.operations,
        };
        assert_eq!(self.admitted, expected, "admissions of {}", P::NAME);
    }

    fn pairs(&mut self, batch: &mut P::Batch<'p>) {
        for _ in 0..BATCH {
            let client = self.next_client();
            let permit = self.peer.try_acquire(batch, client);
            self.admitted += u64::from(permit.is_some());
            drop(black_box(permit));
        }
    }

    fn fifo(&mut self, batch: &mut P::Batch<'p>) {
        for _ in 0..BATCH {
            let client = self.next_client();
            let permit = self.peer.try_acquire(batch, client);
            self.admitted += u64::from(permit.is_some());
            self.held[self.oldest] = permit;
            self.oldest = following(self.oldest, self.held.len());
        }
    }

    fn handoff(&mut self, batch: &mut P::Batch<'p>) {
        let mut permits = self.neighbours.spare.pop().unwrap_or_default();
        for _ in 0..BATCH {
            let client = self.next_client();
            permits.extend(self.peer.try_acquire(batch, client));
        }
        self.admitted += permits.len() as u64;
        self.neighbours.to.send(permits).unwrap_or_else(|_| unreachable!("workers stay to the end"));
        for mut received in self.neighbours.from.try_iter() {
            received.clear();
            self.neighbours.spare.push(received);
        }
    }

    fn next_client(&mut self) -> IpAddr {
        let client = self.stream[self.next];
        self.next = following(self.next, self.stream.len());
        IpAddr::V4(black_box(client))
    }
}

const fn following(index: usize, length: usize) -> usize {
    if index + 1 == length { 0 } else { index + 1 }
}
