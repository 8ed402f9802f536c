//! Models of the table: loom runs every interleaving (up to a bound on preemptions) of two or three threads on the
//! real code, with bins of two slots and levels of one bin, so that everything happens early.
//!
//! Two tiers. With `--cfg connlimit_ideal` the epoch is its own specification, as eager and as weak as that allows: the
//! protocol alone, explored deeply. Without, it is the real crossbeam-epoch on loom's atomics: fewer preemptions, but
//! nothing about reclamation is taken on trust. What is freed too early, or without everybody's accesses coming
//! before, is seen by [`Life`](crate::sync::Life); what is never freed, by loom's allocation tracking.
//!
//! Hash and key are the same number here: keys that are equal modulo four share a bin of the second level. (What a key has
//! above its low byte is the hash's upper half: the ticket by which inserts drain in passing. It is zero for most, and they do.)

#![cfg_attr(connlimit_wide, allow(dead_code, reason = "there are few of those models"))]

#[cfg(not(connlimit_wide))]
mod counter;
#[cfg(not(connlimit_wide))]
mod end;
#[cfg(not(connlimit_wide))]
mod full;
#[cfg(not(connlimit_wide))]
mod insert;
#[cfg(not(connlimit_wide))]
mod levels;
#[cfg(not(connlimit_wide))]
mod look;
#[cfg(not(connlimit_wide))]
mod reuse;
#[cfg(connlimit_wide)]
mod wide;

#[cfg(not(connlimit_wide))]
use super::counter::Counter;
use super::*;
use crate::epoch::PinNow;
use loom::thread;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// Explores `scenario` with one preemption, then with up to two, and so on: most faults need few, and what is cut in the
/// end is the least likely. The environment may set another bound (`LOOM_MAX_PREEMPTIONS`) or time (`LOOM_MAX_SECONDS`, and
/// `LOOM_FIRST_SECONDS` for one preemption).
pub(crate) fn model(name: &str, ideal: usize, real: usize, scenario: impl Fn() + Send + Sync + 'static) {
    fn env<T: std::str::FromStr>(name: &str) -> Option<T> {
        std::env::var(name).ok()?.parse().ok()
    }
    let most = env("LOOM_MAX_PREEMPTIONS").unwrap_or(if cfg!(connlimit_ideal) { ideal } else { real });
    let limit = Duration::from_secs(env("LOOM_MAX_SECONDS").unwrap_or(60));
    // With one preemption a model has longer: cut before that, it says little.
    let first = limit.max(Duration::from_secs(env("LOOM_FIRST_SECONDS").unwrap_or(300)));
    let scenario = std::sync::Arc::new(scenario);
    let executions = std::sync::Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let mut end = "complete";
    let bounds = if most == UNBOUNDED { most..=most } else { 1..=most };
    let mut reached = 0;
    for bound in bounds.clone() {
        reached = bound;
        let limit = if bound == 1 { first } else { limit };
        if start.elapsed() >= limit {
            end = "cut";
            break;
        }
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(bound).filter(|&bound| bound != UNBOUNDED);
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
            break;
        }
    }
    let (executions, took) = (executions.load(SeqCst), start.elapsed());
    let reached = if reached == UNBOUNDED { "any number of".to_owned() } else { reached.to_string() };
    eprintln!("model {name}: {executions} executions, {reached} preemptions, {end} in {took:.1?}");
    assert!(executions > bounds.count() as u64, "explored nothing: is a cfg missing?");
}

/// As many preemptions as there can be. For models of a word or two.
const UNBOUNDED: usize = 99;

/// A table, and per key the permits that are certainly out.
struct World {
    table: Table<u32>,
    out: std::sync::Arc<[AtomicI32; 32]>,
}

/// A permit that is counted by the model as well.
struct Out {
    out: std::sync::Arc<[AtomicI32; 32]>,
    key: u32,
    held: Option<CountGuard>,
}

impl World {
    fn new() -> Arc<Self> {
        Self::with(Table::new(usize::MAX / 2, false).unwrap())
    }

    /// Never grows: the second client of a bin goes to its overflow block.
    fn fixed() -> Arc<Self> {
        let mut table = Table::new(usize::MAX / 2, false).unwrap();
        table.fixed = true;
        Self::with(table)
    }

    /// With room for two levels, of one bin and of four, for one level of one bin beside them while the table shrinks, and
    /// for `blocks` overflow blocks.
    fn bounded(blocks: usize) -> Arc<Self> {
        let levels = 2 * Level::<u32>::bytes(1) + Level::<u32>::bytes(4);
        Self::with(Table::new(levels + blocks * size_of::<<u32 as Key>::Overflow>(), false).unwrap())
    }

    fn with(table: Table<u32>) -> Arc<Self> {
        Arc::new(Self { table, out: Default::default() })
    }

    fn acquire(&self, key: u32, limit: u32) -> Result<Out, Refusal> {
        let (held, _) = self.table.acquire(key, limit, PinNow)?;
        let out = self.out[place(key)].fetch_add(1, SeqCst) + 1;
        assert!(out <= limit.cast_signed(), "{out} permits for a limit of {limit}");
        Ok(Out { out: std::sync::Arc::clone(&self.out), key, held: Some(held) })
    }

    fn open(&self, key: u32) -> u32 {
        self.table.open(key, &pin())
    }

    /// What a walk shows.
    fn walk(&self) -> Vec<(u32, u32)> {
        let (mut place, mut seen) = (self.table.start(), Vec::new());
        while self.table.visit_segment(&mut place, |key, open| seen.push((key, open))) {}
        seen
    }

    /// Kills the words without connections in the bin of client 0.
    fn try_kill(&self, now: u32) {
        let guard = pin();
        let segment = self.table.levels.load(&guard).newest().segment(0, &guard).unwrap();
        segment.bins()[0].for_each(|_, counter| {
            counter.try_kill(now);
        });
    }

    /// Kills them so that the slots are the next client's for the taking, though valid still.
    fn expire(&self) {
        self.try_kill(self.table.clock.now());
        for _ in 0..clock::GRACE {
            self.table.clock.tick();
        }
    }

    /// Drains a few bins of the older level at `index`.
    fn drain(&self, index: usize) {
        let guard = pin();
        self.table.drain(self.table.levels.load(&guard), index, 4, &guard);
    }

    fn levels(&self) -> usize {
        self.table.levels.load(&pin()).levels().count()
    }

    fn grow(&self) {
        let guard = pin();
        self.table.grow(self.table.levels.load(&guard), 0, &guard);
    }

    /// At rest: no claim is left behind, each key has at most one live word, and the counts are `expected`.
    fn check(&self, expected: &[(u32, u32)]) {
        let guard = pin();
        let mut live = Vec::new();
        for level in self.table.levels.load(&guard).levels() {
            for index in 0..level.segments() {
                let level::SegmentState::Present(segment) = level.state(index, &guard) else { continue };
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
        self.out[place(self.key)].fetch_sub(1, SeqCst);
        drop(self.held.take());
    }
}

/// Where `key` is counted.
const fn place(key: u32) -> usize {
    (key & 0xff) as usize
}

/// `key` has one place left: this thread asks for it, and so does another one, after it has done `first`. One of them gets
/// it; the permits, for as long as the model wants them out.
fn one_permit(
    world: &Arc<World>,
    key: u32,
    limit: u32,
    first: impl FnOnce(&World) + Send + 'static,
) -> [Option<Out>; 2] {
    let other = Arc::clone(world);
    let thread = thread::spawn(move || {
        first(&other);
        other.acquire(key, limit).ok()
    });
    // With one preemption in here, the other thread runs to its end.
    let mine = world.acquire(key, limit).ok();
    let theirs = thread.join().unwrap();
    assert!(mine.is_some() != theirs.is_some(), "one place, one permit");
    [mine, theirs]
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
