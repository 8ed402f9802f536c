//! Models: loom runs every interleaving of two or three threads, each thread a process, with every value that the memory
//! orderings let it read.
//!
//! Each model is of one race, over a group of two records. `LOOM_MAX_SECONDS` bounds each; one that needs longer says that
//! it was cut.

use super::*;
use crate::sync::crash;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};
use core::time::Duration;
use loom::cell::UnsafeCell;
use loom::thread;
use std::env;
use std::sync::Arc;
use std::time::Instant;

/// Clients that prefer the first record, and one group is all there is.
const A: u128 = 1;
const B: u128 = 2;
const C: u128 = 3;
/// A process whose lane is in another word than those of processes 0 to 3.
const OTHER: u8 = 5;

fn model(name: &str, preemptions: usize, scenario: impl Fn() + Sync + Send + 'static) {
    let seconds = env::var("LOOM_MAX_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let executions = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&executions);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 100_000;
    builder.max_duration = Some(Duration::from_secs(seconds));
    builder.checkpoint_interval = 500;
    let start = Instant::now();
    builder.check(move || {
        counted.fetch_add(1, SeqCst);
        scenario();
    });
    let (executions, took) = (executions.load(SeqCst), start.elapsed());
    let end = if took < Duration::from_secs(seconds) { "all" } else { "cut" };
    eprintln!("model {name}: {executions} executions, {preemptions} preemptions, {end} in {took:.1?}");
    assert!(executions > 1 || name.contains("dead after"), "explored nothing: is a cfg missing?");
}

/// A world that all threads of an execution have, and how many permits of each client are certainly out.
struct Shared {
    world: World,
    out: [AtomicU32; 4],
}

impl Shared {
    fn new() -> Arc<Self> {
        Arc::new(Self { world: World::new(1), out: Default::default() })
    }

    /// With clients that have a record and no connection.
    fn with(clients: &[u128]) -> Arc<Self> {
        let shared = Self::new();
        for client in clients {
            shared.world.acquire(0, *client, 9).unwrap().release();
        }
        shared
    }

    fn acquire(&self, me: u8, client: u128, limit: u32) -> Option<Lane<'_>> {
        let lane = self.world.acquire(me, client, limit).ok()?;
        let out = self.out[client as usize].fetch_add(1, SeqCst) + 1;
        assert!(out <= limit, "{out} permits for a limit of {limit}");
        Some(lane)
    }

    fn release(&self, client: u128, lane: Lane<'_>) {
        self.out[client as usize].fetch_sub(1, SeqCst);
        lane.release();
    }

    /// When all is still, the table counts what is out.
    fn check(&self) {
        self.world.check();
        for client in [A, B, C] {
            assert_eq!(self.world.open(client), self.out[client as usize].load(SeqCst), "client {client}");
        }
    }
}

fn spawn(shared: &Arc<Shared>, act: impl FnOnce(&Shared) + 'static) -> thread::JoinHandle<()> {
    let shared = Arc::clone(shared);
    thread::spawn(move || act(&shared))
}

/// Raise and sum against raise and sum.
#[test]
fn two_raises_meet_at_the_limit() {
    model("two_raises_meet_at_the_limit", 3, || {
        let shared = Shared::with(&[A]);
        let other = spawn(&shared, |shared| {
            shared.acquire(1, A, 1);
        });
        shared.acquire(OTHER, A, 1);
        other.join().unwrap();
        shared.check();
    });
}

/// The same with lanes in one word: these two are decided, one gets the place.
#[test]
fn two_raises_of_one_process_give_the_place_to_one() {
    model("two_raises_of_one_process_give_the_place_to_one", 3, || {
        let shared = Shared::with(&[A]);
        let other = spawn(&shared, |shared| {
            shared.acquire(1, A, 1);
        });
        shared.acquire(1, A, 1);
        other.join().unwrap();
        assert_eq!(shared.out[A as usize].load(SeqCst), 1, "one place, one permit");
        shared.check();
    });
}

/// Raise and look against begin to take and sum.
#[test]
fn a_raise_meets_a_take_over() {
    model("a_raise_meets_a_take_over", 2, || {
        let shared = Shared::with(&[A]);
        let _busy = shared.acquire(0, B, 1).unwrap();
        let other = spawn(&shared, |shared| {
            shared.acquire(1, C, 1);
        });
        shared.acquire(OTHER, A, 1);
        other.join().unwrap();
        let out = |client: u128| shared.out[client as usize].load(SeqCst);
        assert_eq!(out(A) + out(C), 1, "one of them has the place");
        shared.check();
    });
}

/// A client that is looked for goes and another one comes to its place, and comes back to it perhaps.
#[test]
fn a_place_changes_hands() {
    model("a_place_changes_hands", 2, || {
        let shared = Shared::with(&[A]);
        let _busy = shared.acquire(0, B, 1).unwrap();
        let other = spawn(&shared, |shared| {
            for client in [C, A] {
                if let Some(lane) = shared.acquire(1, client, 1) {
                    shared.release(client, lane);
                }
            }
        });
        if let Some(lane) = shared.acquire(OTHER, A, 1) {
            assert!(shared.world.open(A) >= 1, "a held permit is counted for its client");
            shared.release(A, lane);
        }
        other.join().unwrap();
        shared.check();
    });
}

/// Two processes insert one client: it has one record, and both are counted there.
#[test]
fn a_publication_is_whole() {
    model("a_publication_is_whole", 3, || {
        let shared = Shared::new();
        let other = spawn(&shared, |shared| {
            shared.acquire(1, A, 2).unwrap();
        });
        shared.acquire(OTHER, A, 2).unwrap();
        other.join().unwrap();
        shared.check();
    });
}

/// Two processes insert one client at a limit of one.
#[test]
fn two_inserts_meet_at_the_limit() {
    model("two_inserts_meet_at_the_limit", 3, || {
        let shared = Shared::new();
        let other = spawn(&shared, |shared| {
            shared.acquire(1, A, 1);
        });
        shared.acquire(OTHER, A, 1);
        other.join().unwrap();
        assert_eq!(shared.out[A as usize].load(SeqCst), 1, "who publishes has the place");
        shared.check();
    });
}

/// Two clients want the one free record, and the loser takes what it had begun back.
#[test]
fn two_clients_meet_at_the_last_record() {
    model("two_clients_meet_at_the_last_record", 2, || {
        let shared = Shared::new();
        let _busy = shared.acquire(0, B, 1).unwrap();
        let other = spawn(&shared, |shared| {
            shared.acquire(1, A, 1);
        });
        shared.acquire(OTHER, C, 1);
        other.join().unwrap();
        assert!(shared.out[A as usize].load(SeqCst) + shared.out[C as usize].load(SeqCst) <= 1);
        shared.check();
    });
}

/// A client that is below its limit is not refused because the place it had belongs to a client that is not.
#[test]
fn a_refusal_is_about_its_own_client() {
    model("a_refusal_is_about_its_own_client", 2, || {
        let shared = Shared::with(&[A]);
        let _busy = shared.acquire(0, B, 1).unwrap();
        let other = spawn(&shared, |shared| {
            shared.acquire(1, C, 1);
        });
        let refused = shared.world.acquire(OTHER, A, 1).err();
        assert_ne!(refused, Some(Refusal::AtLimit), "nobody else has connections of this client");
        other.join().unwrap();
    });
}

/// What is read of a place is one client's, not the key of one and the lanes of another.
#[test]
fn a_count_is_of_its_own_client() {
    model("a_count_is_of_its_own_client", 3, || {
        let shared = Shared::new();
        let _busy = shared.acquire(0, B, 1).unwrap();
        for _ in 0..2 {
            shared.world.acquire(1, A, 2).unwrap();
        }
        let other = spawn(&shared, |shared| {
            for _ in 0..2 {
                shared.world.groups[0].records().nth(1).unwrap().1.lane(1).release();
            }
            shared.acquire(1, C, 1);
        });
        assert!(shared.world.open(C) <= 1, "the other client had two");
        other.join().unwrap();
        shared.check();
    });
}

/// The same, the other way round: a client without connections, whose place goes to one that has some.
#[test]
fn a_client_without_connections_counts_none() {
    model("a_client_without_connections_counts_none", 3, || {
        let shared = Shared::with(&[B, A]);
        let _busy = shared.acquire(0, B, 1).unwrap();
        let other = spawn(&shared, |shared| {
            shared.acquire(1, C, 1);
        });
        assert_eq!(shared.world.open(A), 0);
        other.join().unwrap();
        shared.check();
    });
}

/// What was done before a release is seen by who is admitted in its place.
#[test]
fn a_release_happens_before_the_next_admission() {
    model("a_release_happens_before_the_next_admission", 3, || {
        let shared = Shared::new();
        let work = Arc::new(Work(UnsafeCell::new(0)));
        let theirs = Arc::clone(&work);
        shared.acquire(1, A, 1).unwrap();
        let other = spawn(&shared, move |shared| {
            theirs.0.with_mut(|value| {
                // SAFETY: loom reports accesses that may coincide.
                unsafe { *value = 1 };
            });
            shared.out[A as usize].fetch_sub(1, SeqCst);
            shared.world.groups[0].records().next().unwrap().1.lane(1).release();
        });
        if shared.acquire(OTHER, A, 1).is_some() {
            // SAFETY: as above.
            work.0.with(|value| assert_eq!(unsafe { *value }, 1));
        }
        other.join().unwrap();
        shared.check();
    });
}

struct Work(UnsafeCell<u32>);

// SAFETY: loom lets one thread run at a time, and reports accesses that may coincide.
unsafe impl Sync for Work {}
// SAFETY: likewise.
unsafe impl Send for Work {}

/// A process died after any of its accesses; one process sweeps after it while another goes on.
#[test]
fn a_sweep_meets_admissions() {
    for (name, dying, client) in [("raises", A, A), ("takes a place", C, A), ("takes a place that is wanted", C, C)] {
        let died = Arc::new(AtomicBool::new(true));
        for accesses in 0.. {
            if !died.load(SeqCst) {
                break;
            }
            let noted = Arc::clone(&died);
            model(&format!("a_sweep_meets_admissions ({name}, dead after {accesses})"), 2, move || {
                let shared = Shared::with(&[A]);
                let _busy = shared.world.acquire(0, B, 9).unwrap();
                let done = crash::after(accesses, || shared.world.acquire(3, dying, 9).is_ok());
                noted.store(done.is_none(), SeqCst);
                let other = spawn(&shared, |shared| {
                    shared.world.table(0).sweep(1 << 3);
                });
                shared.acquire(OTHER, client, 9);
                other.join().unwrap();
                shared.world.check();
                assert_eq!(shared.world.open(client), shared.out[client as usize].load(SeqCst));
                assert_eq!(shared.world.open(B), 1);
            });
        }
    }
}

/// A walk sees who has connections all the while, once, and nothing that is not there.
#[test]
fn a_walk_meets_a_place_that_changes_hands() {
    model("a_walk_meets_a_place_that_changes_hands", 2, || {
        let shared = Shared::with(&[A]);
        let _busy = shared.acquire(0, B, 1).unwrap();
        let other = spawn(&shared, |shared| {
            shared.acquire(1, C, 1);
        });
        let mut seen = Vec::new();
        shared.world.table(OTHER).for_each(|key, open| seen.push((key.bits(), open)));
        assert!(seen.iter().all(|seen| *seen == (B, 1) || *seen == (C, 1)), "{seen:?}");
        assert_eq!(seen.iter().filter(|seen| seen.0 == B).count(), 1);
        other.join().unwrap();
    });
}
