//! Models of the table: loom runs every interleaving (up to a bound on preemptions) of two or three threads on the
//! real code, with bins of two slots and levels of one bin, so that everything happens early.
//!
//! Two tiers. With `--cfg connlimit_ideal` the epoch is its own specification and as eager as that allows: the
//! protocol alone, explored deeply. Without, it is the real crossbeam-epoch on loom's atomics: fewer preemptions, but
//! nothing about reclamation is taken on trust. What is freed too early, or without everybody's accesses coming
//! before, is seen by [`Life`](crate::sync::Life); what is never freed, by loom's allocation tracking.
//!
//! Hash and key are the same number here: keys of one parity share a bin of a level of two.

use super::*;
use crate::epoch::Anew;
use crate::sync::Arc;
use loom::thread;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// Explores `scenario`; the environment may set another bound (`LOOM_MAX_PREEMPTIONS`) or time (`LOOM_MAX_SECONDS`).
pub(crate) fn model(name: &str, ideal: usize, real: usize, scenario: impl Fn() + Send + Sync + 'static) {
    fn env<T: std::str::FromStr>(name: &str) -> Option<T> {
        std::env::var(name).ok()?.parse().ok()
    }
    let bound = env("LOOM_MAX_PREEMPTIONS").unwrap_or(if cfg!(connlimit_ideal) { ideal } else { real });
    let limit = Duration::from_secs(env("LOOM_MAX_SECONDS").unwrap_or(60));
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(bound);
    builder.max_branches = 1_000_000;
    builder.max_duration = Some(limit);
    let executions = std::sync::Arc::new(AtomicU64::new(0));
    let counted = std::sync::Arc::clone(&executions);
    let start = Instant::now();
    builder.check(move || {
        counted.fetch_add(1, SeqCst);
        scenario();
    });
    let (executions, took) = (executions.load(SeqCst), start.elapsed());
    let end = if took < limit { "complete" } else { "cut" };
    eprintln!("model {name}: {executions} executions, {bound} preemptions, {end} in {took:.1?}");
    assert!(executions > 1, "explored nothing: is a cfg missing?");
}

/// A table, and per key the permits that are certainly out.
struct World {
    table: Table<u32>,
    out: std::sync::Arc<[AtomicI32; 9]>,
}

/// A permit that is counted by the model as well.
struct Out {
    out: std::sync::Arc<[AtomicI32; 9]>,
    key: u32,
    held: Option<Held>,
}

impl World {
    fn new() -> Arc<Self> {
        Self::with(Table::new(usize::MAX / 2, false))
    }

    /// Never grows: the second client of a bin goes to its overflow block.
    fn fixed() -> Arc<Self> {
        let mut table = Table::new(usize::MAX / 2, false);
        table.fixed = true;
        Self::with(table)
    }

    fn with(table: Table<u32>) -> Arc<Self> {
        Arc::new(Self { table, out: Default::default() })
    }

    fn acquire(&self, key: u32, limit: u32) -> Result<Out, Refusal> {
        let (held, _) = self.table.acquire(key, limit, Anew)?;
        let out = self.out[key as usize].fetch_add(1, SeqCst) + 1;
        assert!(out <= limit.cast_signed(), "{out} permits for a limit of {limit}");
        Ok(Out { out: std::sync::Arc::clone(&self.out), key, held: Some(held) })
    }

    fn open(&self, key: u32) -> u32 {
        self.table.open(key, &pin())
    }

    /// What a walk shows.
    fn walk(&self) -> Vec<(u32, u32)> {
        let (mut place, mut seen) = (self.table.start(), Vec::new());
        while self.table.see_segment(&mut place, |key, open| seen.push((key, open))) {}
        seen
    }

    fn grow(&self) {
        let guard = pin();
        self.table.grow(self.table.roster.load(&guard), &guard);
    }

    /// At rest: no claim is left behind, each key has at most one live word, and the counts are `expected`.
    fn check(&self, expected: &[(u32, u32)]) {
        let guard = pin();
        let mut live = Vec::new();
        for level in self.table.roster.load(&guard).levels() {
            for index in 0..level.segments() {
                let level::Spot::There(segment) = level.spot(index, &guard) else { continue };
                for bin in segment.bins() {
                    let header = bin.header_at_rest();
                    assert_eq!(header.free() | header.valid(), (1 << header::MAX_SLOTS) - 1, "a claim was left behind");
                    bin.for_each(|key, counter| {
                        let count = counter.observe();
                        if !count.is_dead() {
                            live.push((key, count.open()));
                        }
                    });
                }
            }
        }
        live.sort_unstable();
        assert!(live.windows(2).all(|pair| pair[0].0 != pair[1].0), "two live words for one key: {live:?}");
        live.retain(|&(_, open)| open > 0);
        assert_eq!(live, expected, "counts at rest");
        drop(guard);
        for &(key, open) in expected {
            assert_eq!(self.open(key), open);
        }
    }
}

impl Drop for Out {
    fn drop(&mut self) {
        self.out[self.key as usize].fetch_sub(1, SeqCst);
        drop(self.held.take());
    }
}

/// Lets deferred functions that are due run within the model.
fn flush() {
    for _ in 0..4 {
        pin().flush();
    }
}

/// Makes the clock move `ticks` times, as far as the other threads' pins allow.
fn tick(world: &World, ticks: usize) {
    for _ in 0..ticks {
        Clock::request_tick(&world.table.clock, &pin());
        flush();
    }
}

#[test]
fn two_inserts_of_one_key() {
    model("two_inserts_of_one_key", 5, 3, || {
        let world = World::new();
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || other.acquire(0, 1).ok());
        let mine = world.acquire(0, 1).ok();
        let theirs = thread.join().unwrap();
        assert!(mine.is_some() != theirs.is_some(), "one place, one permit");
        world.check(&[(0, 1)]);
    });
}

#[test]
fn two_inserts_share_a_bin() {
    model("two_inserts_share_a_bin", 5, 3, || {
        let world = World::fixed();
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || other.acquire(2, 1).expect("there is room"));
        let _mine = world.acquire(0, 1).expect("there is room");
        let _theirs = thread.join().unwrap();
        world.check(&[(0, 1), (2, 1)]);
    });
}

#[test]
fn three_inserts_of_one_key_and_its_neighbour() {
    model("three_inserts_of_one_key_and_its_neighbour", 3, 1, || {
        let world = World::fixed();
        let threads = [0, 2].map(|key| {
            let world = Arc::clone(&world);
            thread::spawn(move || world.acquire(key, 1).ok())
        });
        let mine = world.acquire(0, 1).ok();
        let [same, neighbour] = threads.map(|thread| thread.join().unwrap());
        assert!(mine.is_some() != same.is_some(), "one place, one permit");
        assert!(neighbour.is_some(), "a claim that is given back is no reason to refuse");
        world.check(&[(0, 1), (2, 1)]);
    });
}

#[test]
fn release_at_the_limit() {
    model("release_at_the_limit", 5, 3, || {
        let world = World::new();
        let held = world.acquire(0, 1).unwrap();
        let thread = thread::spawn(move || drop(held));
        let mine = world.acquire(0, 1);
        thread.join().unwrap();
        world.check(if mine.is_ok() { &[(0, 1)] } else { &[] });
    });
}

#[test]
fn below_the_limit_nobody_is_refused() {
    model("below_the_limit_nobody_is_refused", 5, 3, || {
        let world = World::new();
        let first = world.acquire(0, 3).unwrap().held.take();
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || drop(other.acquire(0, 3).expect("two permits of three at most")));
        drop(world.acquire(0, 3).expect("two permits of three at most"));
        drop(first);
        drop(world.acquire(0, 3).expect("two permits of three at most"));
        thread.join().unwrap();
        world.check(&[]);
    });
}

/// I6: however many attempts fail, none makes another one fail.
#[test]
fn a_refused_attempt_changes_nothing() {
    model("a_refused_attempt_changes_nothing", 5, 2, || {
        let world = World::new();
        let held = world.table.acquire(0, 2, Anew).unwrap().0;
        let other = Arc::clone(&world);
        // By a limit of one this client is full: refused at every moment until the release.
        let thread = thread::spawn(move || drop(other.acquire(0, 1)));
        drop(held);
        drop(world.acquire(0, 2).expect("one permit of two at most"));
        thread.join().unwrap();
        world.check(&[]);
    });
}

#[test]
fn revive_meets_stamp() {
    model("revive_meets_stamp", 4, 3, || {
        let world = World::new();
        drop(world.acquire(0, 1).unwrap());
        let other = Arc::clone(&world);
        // Its insert into the same bin stamps the other's word.
        let thread = thread::spawn(move || other.acquire(2, 1).expect("there is room"));
        let _mine = world.acquire(0, 1).expect("it has no other connection");
        let _theirs = thread.join().unwrap();
        world.check(&[(0, 1), (2, 1)]);
    });
}

/// I4, the short way: a slot passes from a client to the next while the first one comes back.
#[test]
fn revive_meets_reuse() {
    model("revive_meets_reuse", 3, 2, || {
        let world = World::new();
        drop(world.acquire(0, 1).unwrap());
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || other.acquire(0, 1).expect("it has no other connection"));
        drop(world.acquire(2, 1));
        tick(&world, 3);
        drop(world.acquire(4, 1));
        let _theirs = thread.join().unwrap();
        world.check(&[(0, 1)]);
    });
}

/// I4, the long way: a tick is on its way when the stamping thread reads the clock, the next one is deferred before
/// its stamp lands, and the late admission pins in between. With a grace of two this is the hole.
#[test]
#[cfg(connlimit_ideal)]
fn stamp_meets_two_ticks() {
    model("stamp_meets_two_ticks", 4, 1, || {
        let world = World::fixed();
        drop(world.acquire(0, 1).unwrap());
        let early = pin();
        Clock::request_tick(&world.table.clock, &early);
        let stamper = {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                let bin_owner = world.acquire(2, 1); // stamps client 0
                drop(bin_owner);
                drop(world.acquire(4, 1)); // takes over its slot, if that may be
            })
        };
        let late = {
            let world = Arc::clone(&world);
            thread::spawn(move || world.acquire(0, 1))
        };
        drop(early);
        Clock::request_tick(&world.table.clock, &pin());
        stamper.join().unwrap();
        let _late = late.join().unwrap();
        assert!(world.open(2) == 0 && world.open(4) == 0, "a permit landed on another client's word");
    });
}

#[test]
fn a_stamp_expires_and_the_slot_serves_again() {
    model("a_stamp_expires_and_the_slot_serves_again", 2, 1, || {
        let world = World::fixed();
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || drop(other.acquire(0, 1)));
        drop(world.acquire(2, 1));
        thread.join().unwrap();
        // Both slots are used up; two more clients need them back.
        let mut held = Vec::new();
        for key in [4, 6] {
            for _ in 0..8 {
                match world.acquire(key, 1) {
                    Ok(out) => {
                        held.push(out);
                        break;
                    }
                    Err(_) => tick(&world, 1),
                }
            }
        }
        // The real epoch may stand still: loom lets a thread read another one's old pin for ever.
        assert!(held.len() == 2 || !cfg!(connlimit_ideal), "the clock does not move");
        world.check(&held.iter().map(|out| (out.key, 1)).collect::<Vec<_>>());
    });
}

#[test]
fn insert_meets_growth() {
    model("insert_meets_growth", 4, 2, || {
        let world = World::new();
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || {
            let guard = pin();
            other.table.grow(other.table.roster.load(&guard), &guard);
            drop(guard);
            other.acquire(0, 1).ok()
        });
        let mine = world.acquire(0, 1).ok();
        let theirs = thread.join().unwrap();
        assert!(mine.is_some() != theirs.is_some(), "one place, one permit");
        world.check(&[(0, 1)]);
    });
}

#[test]
fn three_inserts_meet_growth() {
    model("three_inserts_meet_growth", 2, 1, || {
        let world = World::new();
        let grower = {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                let guard = pin();
                world.table.grow(world.table.roster.load(&guard), &guard);
            })
        };
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || other.acquire(0, 1).ok());
        let mine = world.acquire(0, 1).ok();
        let theirs = thread.join().unwrap();
        assert!(mine.is_some() != theirs.is_some(), "one place, one permit");
        grower.join().unwrap();
        world.check(&[(0, 1)]);
    });
}

#[test]
fn two_threads_grow() {
    model("two_threads_grow", 4, 2, || {
        let world = World::new();
        let _first = world.acquire(0, 1);
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || other.acquire(4, 1).unwrap());
        let _mine = world.acquire(8, 1).unwrap();
        let _theirs = thread.join().unwrap();
        world.check(&[(0, 1), (4, 1), (8, 1)]);
    });
}

/// A client returns to an older level while that level is drained and unlinked.
#[test]
fn drain_meets_admission() {
    model("drain_meets_admission", 3, 2, || {
        let world = World::new();
        drop(world.acquire(0, 1).unwrap());
        let guard = pin();
        world.table.grow(world.table.roster.load(&guard), &guard);
        drop(guard);
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || {
            let guard = pin();
            other.table.drain(other.table.roster.load(&guard), 0, 4, &guard);
            drop(guard);
            flush();
        });
        let _mine = world.acquire(0, 1).expect("it has no other connection");
        thread.join().unwrap();
        world.check(&[(0, 1)]);
    });
}

/// The last connection in an older level ends while that level is drained: freed, once, after the release.
#[test]
fn drain_meets_release() {
    model("drain_meets_release", 3, 2, || {
        let world = World::new();
        let held = world.table.acquire(0, 1, Anew).unwrap().0;
        let guard = pin();
        world.table.grow(world.table.roster.load(&guard), &guard);
        drop(guard);
        let thread = thread::spawn(move || drop(held));
        for _ in 0..2 {
            let guard = pin();
            world.table.drain(world.table.roster.load(&guard), 0, 4, &guard);
        }
        flush();
        thread.join().unwrap();
        world.check(&[]);
    });
}

#[test]
fn two_threads_drain() {
    model("two_threads_drain", 3, 2, || {
        let world = World::new();
        drop(world.acquire(0, 1).unwrap());
        let guard = pin();
        world.table.grow(world.table.roster.load(&guard), &guard);
        drop(guard);
        let drain = |world: &World| {
            let guard = pin();
            world.table.drain(world.table.roster.load(&guard), 0, 4, &guard);
        };
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || {
            drain(&other);
            flush();
        });
        drain(&world);
        thread.join().unwrap();
        drain(&world);
        let guard = pin();
        assert_eq!(world.table.roster.load(&guard).levels().count(), 1, "the empty level is off the roster");
        drop(guard);
        world.check(&[]);
    });
}

/// An insert that still takes the old level for the newest meets the end of that level.
#[test]
fn insert_meets_unlink() {
    model("insert_meets_unlink", 3, 2, || {
        let world = World::new();
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || {
            let guard = pin();
            other.table.grow(other.table.roster.load(&guard), &guard);
            other.table.drain(other.table.roster.load(&guard), 0, 4, &guard);
            drop(guard);
            flush();
        });
        let _mine = world.acquire(0, 1).expect("it has no other connection");
        thread.join().unwrap();
        world.check(&[(0, 1)]);
    });
}

/// The roster shrinks while a client is admitted that has connections in the level that drains.
#[test]
fn shrink_meets_admission() {
    model("shrink_meets_admission", 3, 1, || {
        let world = World::new();
        let guard = pin();
        world.table.grow(world.table.roster.load(&guard), &guard);
        world.table.drain(world.table.roster.load(&guard), 0, 4, &guard);
        drop(guard);
        let first = world.acquire(1, 2).unwrap().held.take();
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || {
            let guard = pin();
            let roster = other.table.roster.load(&guard);
            assert!(other.table.shrink(roster, 2, &guard));
            assert_eq!(other.table.roster.load(&guard).newest().bins(), 1);
        });
        let second = world.acquire(1, 2).expect("two permits of two at most").held.take();
        thread.join().unwrap();
        world.check(&[(1, 2)]);
        drop((first, second));
    });
}

#[test]
fn the_limiter_goes_while_permits_are_released() {
    model("the_limiter_goes_while_permits_are_released", 5, 3, || {
        let table = Table::<u32>::new(usize::MAX / 2, false);
        let held = [0, 0, 4].map(|key| table.acquire(key, 2, Anew).unwrap().0);
        let threads = held.map(|held| thread::spawn(move || drop(held)));
        drop(table);
        threads.map(|thread| thread.join().unwrap());
    });
}

#[test]
fn a_permit_outlives_the_limiter() {
    model("a_permit_outlives_the_limiter", 5, 3, || {
        let table = Table::<u32>::new(usize::MAX / 2, false);
        let first = table.acquire(0, 2, Anew).unwrap().0;
        let second = table.acquire(0, 2, Anew).unwrap().0;
        drop(table);
        let thread = thread::spawn(move || drop(first));
        drop(second);
        thread.join().unwrap();
    });
}

#[test]
fn num_open_is_true_at_some_moment() {
    model("num_open_is_true_at_some_moment", 4, 2, || {
        let world = World::new();
        let _first = world.acquire(0, 3);
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || {
            let guard = pin();
            other.table.grow(other.table.roster.load(&guard), &guard);
            drop(guard);
            other.acquire(0, 3)
        });
        let seen = world.open(0);
        assert!((1..=2).contains(&seen), "{seen} of one or two");
        let _second = thread.join().unwrap();
        assert_eq!(world.open(0), 2);
    });
}

/// A reader that holds an old header meets a slot that changes hands: neither a key nor a count that it sees there
/// before publication may be trusted.
fn slot_changes_hands(key: u32) {
    let world = World::fixed();
    drop(world.acquire(0, 1).unwrap());
    // Stamped, and expired: the slot is valid still, and the next client's for the taking.
    let guard = pin();
    let level = world.table.roster.load(&guard).newest();
    let segment = level.segment(0, &guard).unwrap();
    segment.bins()[0].for_each(|_, counter| assert!(counter.stamp(world.table.clock.now())));
    drop(guard);
    for _ in 0..clock::GRACE {
        world.table.clock.tick();
    }
    let threads = [(); 2].map(|()| {
        let world = Arc::clone(&world);
        thread::spawn(move || world.acquire(key, 3).expect("one slot is enough"))
    });
    let _mine = world.acquire(key, 3).expect("one slot is enough");
    let _theirs = threads.map(|thread| thread.join().unwrap());
    world.check(&[(key, 3)]);
}

#[test]
fn a_slot_goes_to_another_client() {
    model("a_slot_goes_to_another_client", 3, 1, || slot_changes_hands(4));
}

#[test]
fn a_slot_goes_to_the_same_client_again() {
    model("a_slot_goes_to_the_same_client_again", 3, 1, || slot_changes_hands(0));
}

/// What a connection's thread did comes before what the connection admitted in its place does.
#[test]
fn release_happens_before_the_next_admission() {
    model("release_happens_before_the_next_admission", 4, 2, || {
        let world = World::new();
        let data = Arc::new(loom::cell::UnsafeCell::new(0));
        let threads = [1, 2].map(|value| {
            let (world, data) = (Arc::clone(&world), Arc::clone(&data));
            thread::spawn(move || {
                if let Ok(_held) = world.acquire(0, 1) {
                    data.with_mut(|data| {
                        // SAFETY: loom checks that the accesses are ordered; nothing but the permit orders them.
                        unsafe { *data = value }
                    });
                }
            })
        });
        threads.map(|thread| thread.join().unwrap());
    });
}

/// How often `key` is in `seen`, each time with `open` connections.
fn times(seen: &[(u32, u32)], key: u32, open: u32) -> usize {
    let seen_key = seen.iter().filter(|&&(other, _)| other == key);
    assert!(seen_key.clone().all(|&(_, count)| count == open), "a count that client {key} never had: {seen:?}");
    seen_key.count()
}

/// One client stays, another one comes to the level that is put in front meanwhile.
#[test]
fn a_walk_meets_growth() {
    model("a_walk_meets_growth", 4, 2, || {
        let world = World::new();
        let _stays = world.acquire(0, 2).unwrap();
        let _stays_too = world.acquire(0, 2).unwrap();
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || {
            other.grow();
            other.acquire(4, 1).expect("there is room")
        });
        let seen = world.walk();
        assert_eq!(times(&seen, 0, 2), 1, "a client that stays is seen once: {seen:?}");
        assert!(times(&seen, 4, 1) <= 1);
        let _new = thread.join().unwrap();
        assert_eq!(times(&world.walk(), 4, 1), 1);
    });
}

/// One client stays while the level behind its own, where it was before, is drained and freed.
#[test]
fn a_walk_meets_a_drain() {
    model("a_walk_meets_a_drain", 4, 2, || {
        let world = World::new();
        drop(world.acquire(0, 1).unwrap());
        world.grow();
        let _stays = world.acquire(0, 1).unwrap();
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || {
            let guard = pin();
            other.table.drain(other.table.roster.load(&guard), 0, 4, &guard);
            drop(guard);
            flush();
        });
        let seen = world.walk();
        assert_eq!(times(&seen, 0, 1), 1, "a client that stays is seen once: {seen:?}");
        thread.join().unwrap();
        assert_eq!(world.walk(), [(0, 1)]);
    });
}

/// One client stays in the level at the back while the level in the middle goes, and with it the walk's place.
#[test]
fn a_walk_loses_its_level() {
    model("a_walk_loses_its_level", 3, 1, || {
        let world = World::new();
        let _stays = world.acquire(0, 1).unwrap();
        world.grow();
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || {
            other.grow();
            let guard = pin();
            let middle = other.table.roster.load(&guard).levels().nth(1).unwrap();
            for _ in 0..middle.segments() {
                other.table.drain(other.table.roster.load(&guard), 0, 4, &guard);
            }
            assert_eq!(other.table.roster.load(&guard).levels().count(), 2, "the level in the middle is gone");
            drop(guard);
            flush();
        });
        let seen = world.walk();
        assert_eq!(seen, [(0, 1)], "a client that stays is seen once");
        thread.join().unwrap();
    });
}

/// What a walk shows for a slot that changes hands is the one client or the other, with a count of its own.
#[test]
fn a_walk_meets_a_slot_that_changes_hands() {
    model("a_walk_meets_a_slot_that_changes_hands", 4, 2, || {
        let world = World::fixed();
        // Three connections that have ended, and a walk that must see none of them.
        drop([(); 3].map(|()| world.acquire(0, 3).unwrap()));
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || {
            let guard = pin();
            let level = other.table.roster.load(&guard).newest();
            let segment = level.segment(0, &guard).unwrap();
            segment.bins()[0].for_each(|_, counter| assert!(counter.stamp(other.table.clock.now())));
            drop(guard);
            for _ in 0..clock::GRACE {
                other.table.clock.tick();
            }
            other.acquire(4, 1).expect("the slot is free")
        });
        let seen = world.walk();
        assert!(times(&seen, 4, 1) == seen.len(), "not what client 4 has: {seen:?}");
        let _after = thread.join().unwrap();
        assert_eq!(world.walk(), [(4, 1)]);
    });
}
