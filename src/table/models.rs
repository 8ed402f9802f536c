//! Models of the table: loom runs every interleaving (up to a bound on preemptions) of two or three threads on the
//! real code, with bins of two slots and levels of one bin, so that everything happens early.
//!
//! Two tiers. With `--cfg connlimit_ideal` the epoch is its own specification and as eager as that allows: the
//! protocol alone, explored deeply. Without, it is the real crossbeam-epoch on loom's atomics: fewer preemptions, but
//! nothing about reclamation is taken on trust. What is freed too early, or without everybody's accesses coming
//! before, is seen by [`Life`](crate::sync::Life); what is never freed, by loom's allocation tracking.
//!
//! Hash and key are the same number here: keys of one parity share a bin of a level of two.

use super::counter::Counter;
use super::*;
use crate::epoch::Anew;
use loom::thread;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// Explores `scenario` with one preemption, then with up to two, and so on: most faults need few, and what is cut in the
/// end is the least likely. The environment may set another bound (`LOOM_MAX_PREEMPTIONS`) or time (`LOOM_MAX_SECONDS`).
pub(crate) fn model(name: &str, ideal: usize, real: usize, scenario: impl Fn() + Send + Sync + 'static) {
    fn env<T: std::str::FromStr>(name: &str) -> Option<T> {
        std::env::var(name).ok()?.parse().ok()
    }
    let most = env("LOOM_MAX_PREEMPTIONS").unwrap_or(if cfg!(connlimit_ideal) { ideal } else { real });
    let limit = Duration::from_secs(env("LOOM_MAX_SECONDS").unwrap_or(60));
    let scenario = std::sync::Arc::new(scenario);
    let executions = std::sync::Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let mut end = "complete";
    let mut bound = 0;
    while bound < most && end == "complete" {
        bound += 1;
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(bound);
        builder.max_branches = 1_000_000;
        builder.max_duration = Some(limit.saturating_sub(start.elapsed()));
        // How often loom looks at the time.
        builder.checkpoint_interval = 500;
        let (scenario, executions) = (std::sync::Arc::clone(&scenario), std::sync::Arc::clone(&executions));
        builder.check(move || {
            executions.fetch_add(1, SeqCst);
            scenario();
        });
        if start.elapsed() >= limit {
            end = "cut";
        }
    }
    let (executions, took) = (executions.load(SeqCst), start.elapsed());
    eprintln!("model {name}: {executions} executions, {bound} preemptions, {end} in {took:.1?}");
    assert!(executions > most as u64, "explored nothing: is a cfg missing?");
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

    /// Kills the words without connections in the bin of client 0.
    fn stamp(&self, now: u32) {
        let guard = pin();
        let segment = self.table.roster.load(&guard).newest().segment(0, &guard).unwrap();
        segment.bins()[0].for_each(|_, counter| {
            counter.stamp(now);
        });
    }

    /// Kills them so that the slots are the next client's for the taking, though valid still.
    fn expire(&self) {
        self.stamp(self.table.clock.now());
        for _ in 0..clock::GRACE {
            self.table.clock.tick();
        }
    }

    /// Drains a few bins of the older level at `index`.
    fn drain(&self, index: usize) {
        let guard = pin();
        self.table.drain(self.table.roster.load(&guard), index, 4, &guard);
    }

    fn levels(&self) -> usize {
        self.table.roster.load(&pin()).levels().count()
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
            thread::spawn(move || world.acquire(key, 1))
        });
        let mine = world.acquire(0, 1);
        let [same, neighbour] = threads.map(|thread| thread.join().unwrap());
        assert!(mine.is_ok() != same.is_ok(), "one place, one permit");
        // While claims are out in both slots there is no room, though one of them is given back.
        match neighbour {
            Ok(_) => world.check(&[(0, 1), (2, 1)]),
            Err(refusal) => {
                assert_eq!(refusal, Refusal::Full);
                world.check(&[(0, 1)]);
            }
        }
    });
}

#[test]
fn two_admissions_for_one_place() {
    model("two_admissions_for_one_place", 5, 3, || {
        let world = World::new();
        let _held = world.acquire(0, 2).unwrap();
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || other.acquire(0, 2).ok());
        let mine = world.acquire(0, 2).ok();
        let theirs = thread.join().unwrap();
        assert!(mine.is_some() != theirs.is_some(), "one place, one permit");
        world.check(&[(0, 2)]);
    });
}

/// A claim that is given back has left its key in the slot: the next client's key comes after it.
#[test]
fn a_claim_given_back_meets_the_next_client() {
    model("a_claim_given_back_meets_the_next_client", 3, 1, || {
        let world = World::fixed();
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || other.acquire(4, 2).expect("one slot is enough"));
        let guard = pin();
        let first = world.table.acquire(4, 2, &guard).expect("one slot is enough");
        // Full while the other one's claim is out.
        let second = world.table.acquire(2, 1, &guard).ok();
        drop(guard);
        let _theirs = thread.join().unwrap();
        world.check(if second.is_some() { &[(2, 1), (4, 2)] } else { &[(4, 2)] });
        drop((first, second));
    });
}

/// One thread puts the overflow block there, another one uses it.
#[test]
fn two_inserts_meet_in_the_overflow_block() {
    model("two_inserts_meet_in_the_overflow_block", 4, 2, || {
        let world = World::fixed();
        let _held = world.acquire(0, 1).unwrap();
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || other.acquire(2, 2).ok());
        // Full while the other one's claim is out.
        let mine = world.acquire(2, 2).ok();
        let theirs = thread.join().unwrap();
        let open = u32::from(mine.is_some()) + u32::from(theirs.is_some());
        assert!(open > 0, "there is room for one client");
        world.check(&[(0, 1), (2, open)]);
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
        drop(world.acquire(0, 2).expect("one permit of two at most"));
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
/// its stamp lands, and the late admission pins in between. With a grace of two this is the hole; and so it is with one
/// of three if a tick can be deferred while another one is pending.
#[test]
#[cfg(connlimit_ideal)]
fn stamp_meets_two_ticks() {
    model("stamp_meets_two_ticks", 4, 1, || {
        let world = World::fixed();
        drop(world.acquire(0, 1).unwrap());
        let early = pin();
        Clock::request_tick(&world.table.clock, &early);
        Clock::request_tick(&world.table.clock, &early);
        let stamper = {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                drop(world.acquire(2, 1)); // stamps client 0
                drop(world.acquire(4, 1)); // takes over its slot, if that may be
            })
        };
        let late = {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                drop(early);
                Clock::request_tick(&world.table.clock, &pin());
                world.acquire(0, 1)
            })
        };
        stamper.join().unwrap();
        let _late = late.join().unwrap();
        assert!(world.open(2) == 0 && world.open(4) == 0, "a permit landed on another client's word");
    });
}

/// I4, the clock alone: a word, and whether a thread that saw it alive is still pinned.
#[cfg(connlimit_ideal)]
struct Grace {
    clock: Arc<Clock>,
    word: Counter,
    inside: std::sync::atomic::AtomicBool,
}

#[cfg(connlimit_ideal)]
impl Grace {
    fn new() -> Arc<Self> {
        Arc::new(Self { clock: Clock::new(), word: Counter::new(0), inside: false.into() })
    }

    fn request(&self) {
        Clock::request_tick(&self.clock, &pin());
    }

    /// A late admission, in another thread.
    fn late(this: &Arc<Self>) -> thread::JoinHandle<()> {
        let grace = Arc::clone(this);
        thread::spawn(move || {
            let guard = pin();
            grace.inside.store(!grace.word.observe().is_dead(), SeqCst);
            grace.word.peek(); // other threads may run here
            grace.inside.store(false, SeqCst);
            drop(guard);
        })
    }

    fn check(&self, stamp: u32) {
        if Clock::has_expired(stamp, self.clock.now()) {
            assert!(!self.inside.load(SeqCst), "a thread may still admit on the word");
        }
    }
}

#[test]
#[cfg(connlimit_ideal)]
fn a_stamp_outlasts_whoever_saw_the_word_alive() {
    model("a_stamp_outlasts_whoever_saw_the_word_alive", 4, 1, || {
        let grace = Grace::new();
        let early = pin();
        (0..3).for_each(|_| Clock::request_tick(&grace.clock, &early));
        let late = Grace::late(&grace);
        let stamps = pin();
        let now = grace.clock.now();
        drop(early);
        grace.request();
        grace.word.stamp(now);
        drop(stamps);
        grace.check(now);
        (0..3).for_each(|_| grace.request());
        grace.check(now);
        late.join().unwrap();
        (0..3).for_each(|_| grace.request());
        assert!(Clock::has_expired(now, grace.clock.now()), "the clock moves when nobody is pinned");
    });
}

/// The same while a tick is half done: who asks for the next one then must not get ahead of it.
#[test]
#[cfg(connlimit_ideal)]
fn a_stamp_meets_half_a_tick() {
    model("a_stamp_meets_half_a_tick", 4, 1, || {
        let grace = Grace::new();
        let early = pin();
        Clock::request_tick(&grace.clock, &early);
        let ticker = thread::spawn(move || drop(early));
        let late = Grace::late(&grace);
        let asks = pin();
        Clock::request_tick(&grace.clock, &asks);
        let stamps = pin();
        let now = grace.clock.now();
        drop(asks);
        grace.request();
        grace.word.stamp(now);
        drop(stamps);
        ticker.join().unwrap();
        grace.check(now);
        late.join().unwrap();
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
                    // It has asked for a tick itself.
                    Err(_) => flush(),
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
        world.drain(0);
        assert_eq!(world.levels(), 1, "a client that comes back moves to the newest level");
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

fn two_drains(world: &Arc<World>) {
    world.grow();
    let other = Arc::clone(world);
    let thread = thread::spawn(move || {
        other.drain(0);
        flush();
    });
    world.drain(0);
    thread.join().unwrap();
    world.drain(0);
    assert_eq!(world.levels(), 1, "the empty level is off the roster");
    world.check(&[]);
}

#[test]
fn two_threads_drain() {
    model("two_threads_drain", 3, 2, || {
        let world = World::new();
        drop(world.acquire(0, 1).unwrap());
        two_drains(&world);
    });
}

/// A segment that nobody has touched is given up once.
#[test]
fn two_threads_drain_what_nobody_touched() {
    model("two_threads_drain_what_nobody_touched", 3, 2, || two_drains(&World::new()));
}

/// A segment that a client holds is passed over, and the level goes once that client has gone.
#[test]
fn a_held_segment_is_passed_over() {
    model("a_held_segment_is_passed_over", 2, 1, || {
        let world = World::new();
        world.grow();
        world.drain(0);
        let held = world.acquire(0, 1).unwrap();
        world.grow();
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || (0..3).for_each(|_| other.drain(0)));
        world.drain(0);
        drop(held);
        thread.join().unwrap();
        (0..8).for_each(|_| world.drain(0));
        assert_eq!(world.levels(), 1, "the empty level is off the roster");
    });
}

/// Growth upon growth: a client in the oldest level is found there, and so it is when the level in the middle has gone.
#[test]
fn growth_upon_growth_meets_admission() {
    model("growth_upon_growth_meets_admission", 2, 1, || {
        let world = World::new();
        let _held = world.acquire(0, 1).unwrap();
        world.grow();
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || assert!(other.acquire(0, 1).is_err(), "the limit is reached"));
        world.grow();
        (0..4).for_each(|_| world.drain(0));
        thread.join().unwrap();
        assert!(world.acquire(0, 1).is_err(), "the limit is reached");
        (0..4).for_each(|_| world.drain(0));
        assert_eq!(world.levels(), 2, "the level in the middle is off the roster");
        world.check(&[(0, 1)]);
    });
}

/// A client comes back by a roster from before the growth while it is looked for in the new level.
#[test]
fn revive_meets_growth() {
    model("revive_meets_growth", 3, 2, || {
        let world = World::new();
        drop(world.acquire(0, 1).unwrap());
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || {
            other.grow();
            other.acquire(0, 1).ok()
        });
        let mine = world.acquire(0, 1).ok();
        let theirs = thread.join().unwrap();
        assert!(mine.is_some() != theirs.is_some(), "one place, one permit");
        world.check(&[(0, 1)]);
    });
}

/// A client comes back by a roster from before the growth while its segment is drained.
#[test]
fn revive_meets_unlink() {
    model("revive_meets_unlink", 3, 2, || {
        let world = World::new();
        drop(world.acquire(0, 1).unwrap());
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || {
            other.grow();
            other.drain(0);
            flush();
        });
        let mine = world.acquire(0, 1).expect("it has no other connection");
        thread.join().unwrap();
        world.check(&[(0, 1)]);
        drop(mine);
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
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// Two words of one segment: whoever ends last frees it, after all that the other one did.
#[test]
fn two_clients_of_one_segment_outlive_the_limiter() {
    model("two_clients_of_one_segment_outlive_the_limiter", 5, 3, || {
        let mut table = Table::<u32>::new(usize::MAX / 2, false);
        table.fixed = true;
        let held = [0, 2].map(|key| table.acquire(key, 1, Anew).unwrap().0);
        let threads = held.map(|held| thread::spawn(move || drop(held)));
        drop(table);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
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

/// A client with a connection is seen however busy its bin is.
#[test]
fn num_open_meets_neighbours() {
    model("num_open_meets_neighbours", 3, 2, || {
        let world = World::fixed();
        let _held = world.acquire(0, 1).unwrap();
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || {
            drop(other.acquire(2, 1).expect("there is room"));
            other.expire();
            drop(other.acquire(4, 1).expect("there is room"));
        });
        assert_eq!(world.open(0), 1);
        thread.join().unwrap();
    });
}

/// A walk that has to look at a bin again does not show what it has shown.
#[test]
fn a_walk_looks_again() {
    model("a_walk_looks_again", 3, 2, || {
        let world = World::fixed();
        let _held = world.acquire(0, 1).unwrap();
        drop(world.acquire(2, 1).unwrap());
        world.expire();
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || other.acquire(4, 1).expect("there is room"));
        let seen = world.walk();
        assert_eq!(times(&seen, 0, 1), 1, "a client that stays is seen once: {seen:?}");
        let _theirs = thread.join().unwrap();
    });
}

/// A reader that holds an old header meets a slot that changes hands: neither a key nor a count that it sees there
/// before publication may be trusted.
fn slot_changes_hands(key: u32) {
    let world = World::fixed();
    drop(world.acquire(0, 1).unwrap());
    world.expire();
    let threads = [(); 2].map(|()| {
        let world = Arc::clone(&world);
        thread::spawn(move || world.acquire(key, 3))
    });
    let mine = world.acquire(key, 3);
    let [first, second] = threads.map(|thread| thread.join().unwrap());
    // While the other two have claims in both slots, a third one finds no room, in a table that cannot grow.
    let answers = [&mine, &first, &second];
    let admitted = answers.iter().filter(|answer| answer.is_ok()).count();
    assert!(
        admitted >= 2 && answers.iter().all(|answer| answer.as_ref().err().is_none_or(|why| *why == Refusal::Full))
    );
    world.check(&[(key, u32::try_from(admitted).unwrap())]);
}

/// A collector reads the clock, the clock moves, and another thread stamps a word with the new time: to the first one that
/// stamp is from the future, not from long ago.
#[test]
#[cfg(connlimit_ideal)]
fn a_clock_that_is_behind_meets_a_fresh_stamp() {
    model("a_clock_that_is_behind_meets_a_fresh_stamp", 3, 1, || {
        let world = World::fixed();
        let _neighbour = world.acquire(2, 1).unwrap();
        drop(world.acquire(0, 1).unwrap()); // both slots are taken, and no insert has stamped this one
        let early = pin();
        Clock::request_tick(&world.table.clock, &early);
        let newcomer = {
            let world = Arc::clone(&world);
            thread::spawn(move || drop(world.acquire(4, 1)))
        };
        let returning = {
            let world = Arc::clone(&world);
            thread::spawn(move || world.acquire(0, 1))
        };
        drop(early);
        let _third = world.acquire(6, 1); // stamps client 0 with the new time, and finds no room
        newcomer.join().unwrap();
        let _returning = returning.join().unwrap();
        assert_eq!(world.open(4), 0, "a permit landed on another client's word");
    });
}

/// A client comes back to a slot that is on its way to another one: the old header does not vouch for the new count.
#[test]
fn an_old_header_meets_a_new_client() {
    model("an_old_header_meets_a_new_client", 4, 2, || {
        let world = World::fixed();
        drop(world.acquire(0, 1).unwrap());
        world.expire();
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || other.acquire(4, 3).expect("there are two slots"));
        let _mine = world.acquire(0, 3).expect("there are two slots");
        let _theirs = thread.join().unwrap();
        world.check(&[(0, 1), (4, 1)]);
    });
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
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// The same for a word that is there already.
#[test]
fn a_release_happens_before_the_admission_in_its_place() {
    model("a_release_happens_before_the_admission_in_its_place", 5, 3, || {
        let world = World::new();
        drop(world.acquire(0, 1).unwrap());
        let data = Arc::new(loom::cell::UnsafeCell::new(0));
        let write = |world: &World, data: &loom::cell::UnsafeCell<u32>| {
            if let Ok(_held) = world.acquire(0, 1) {
                // SAFETY: loom checks that the accesses are ordered; nothing but the permit orders them.
                data.with_mut(|data| unsafe { *data += 1 });
            }
        };
        let (other, others) = (Arc::clone(&world), Arc::clone(&data));
        let thread = thread::spawn(move || write(&other, &others));
        write(&world, &data);
        thread.join().unwrap();
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

/// An insert that knows one level meets one that knows three: the oldest level too is closed before the newest is written.
#[test]
fn insert_meets_growth_twice() {
    model("insert_meets_growth_twice", 3, 1, || {
        let world = World::new();
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || other.acquire(0, 1).ok());
        world.grow();
        world.grow();
        let mine = world.acquire(0, 1).ok();
        let theirs = thread.join().unwrap();
        assert!(mine.is_some() != theirs.is_some(), "one place, one permit");
        world.check(&[(0, 1)]);
    });
}
