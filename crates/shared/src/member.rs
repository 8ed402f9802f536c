//! A process among those that have the region: its number, its lock, and its share in finding the dead.

use crate::OpenError;
use crate::locks::{Byte, ByteLock};
use crate::region::Region;
use crate::sync::{AtomicU64, Relaxed};
use crate::table::{Swept, Table};
use core::mem::ManuallyDrop;
use core::time::Duration;
use rustix::time::{ClockId, clock_gettime};
use std::io;
use std::os::fd::AsFd as _;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::thread::sleep;
use std::time::Instant;

/// How long opening waits for a number while another process sweeps.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often a process looks for dead ones, at most, when it refuses.
const LOOK: u64 = 1_000_000_000;

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) region: Arc<Region>,
    /// The number of this process.
    pub(crate) me: u8,
    /// One's own lock does not stand in the way, so two threads of a process exclude each other by this.
    sweeping: Mutex<()>,
    /// When a refusal looks for the dead again, in nanoseconds of the coarse clock.
    next_look: AtomicU64,
}

/// What was left by processes that died.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reaped {
    /// Processes that have died and were not swept after before.
    pub processes: u32,
    /// Connections they had open, which are not counted any more.
    pub connections: u64,
}

impl Member {
    /// Takes a number, and with it clean lanes. What dead processes left is swept on the way.
    pub(crate) fn join(region: Region) -> Result<Self, OpenError> {
        let start = Instant::now();
        loop {
            // Before a number is taken, so that this sweep is nobody's.
            let swept = sweep(&region, None).map_err(|error| OpenError::Io("look for dead processes", error))?;
            if let Some(me) = take_number(&region).map_err(|error| OpenError::Io("lock a number", error))? {
                let (sweeping, next_look) = (Mutex::new(()), AtomicU64::new(now() + LOOK));
                return Ok(Self { region: region.into(), me, sweeping, next_look });
            }
            // Somebody else sweeps, and numbers may become free by that.
            if swept.is_some() || start.elapsed() > PATIENCE {
                return Err(OpenError::TooManyProcesses(region.shape.processes));
            }
            sleep(Duration::from_millis(1));
        }
    }

    /// Sweeps after the dead. `None` if another thread or process is at it.
    pub(crate) fn reap(&self) -> io::Result<Option<Reaped>> {
        let _one_at_a_time = match self.sweeping.try_lock() {
            Ok(guard) => guard,
            // What it guards is elsewhere, and any state of it can be swept.
            Err(TryLockError::Poisoned(poisoned)) => PoisonError::into_inner(poisoned),
            Err(TryLockError::WouldBlock) => return Ok(None),
        };
        sweep(&self.region, Some(self.me))
    }

    /// Looks for the dead if nobody in this process has done so in the last second; says whether there were any.
    #[inline]
    pub(crate) fn look_now_and_then(&self) -> bool {
        // ORDERING: Relaxed, also below: it is a time, and nothing depends on it but how often is looked.
        let next = self.next_look.load(Relaxed);
        let now = now();
        now >= next && self.look(next, now)
    }

    #[cold]
    fn look(&self, next: u64, now: u64) -> bool {
        // ORDERING: Relaxed: see above. One thread gets it.
        self.next_look.compare_exchange(next, now + LOOK, Relaxed, Relaxed).is_ok()
            && matches!(self.reap(), Ok(Some(reaped)) if reaped.processes > 0)
    }

    /// Gives the number back, if nothing is held. Else the process stays a member until it ends.
    pub(crate) fn leave(&self, holds_nothing: bool) {
        if holds_nothing {
            self.region.head().leave(self.me);
        } else {
            let _until_the_process_ends = ManuallyDrop::new(Arc::clone(&self.region));
        }
    }
}

/// Nanoseconds since some point in the past, some milliseconds coarse, and cheap.
fn now() -> u64 {
    let time = clock_gettime(ClockId::MonotonicCoarse);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// A number that is free, locked until the region's file is closed.
fn take_number(region: &Region) -> io::Result<Option<u8>> {
    let head = region.head();
    for number in 0..region.shape.processes {
        if head.member(number).is_used() {
            continue;
        }
        let Some(lock) = ByteLock::try_new(region.file.as_fd(), Byte::Process(number))? else { continue };
        // Again, under the lock. If it is used, its process died just now, and has not been swept after.
        if head.member(number).is_used() {
            continue;
        }
        lock.keep();
        head.join(number, std::process::id());
        return Ok(Some(number));
    }
    Ok(None)
}

fn sweep(region: &Region, me: Option<u8>) -> io::Result<Option<Reaped>> {
    let file = region.file.as_fd();
    let Some(_sweeper) = ByteLock::try_new(file, Byte::Sweeper)? else { return Ok(None) };
    let head = region.head();
    let mut dead = Vec::new();
    for number in (0..region.shape.processes).filter(|number| Some(*number) != me) {
        if head.member(number).is_used() {
            dead.extend(ByteLock::try_new(file, Byte::Process(number))?.map(|lock| (number, lock)));
        }
    }
    if dead.is_empty() {
        return Ok(Some(Reaped::default()));
    }
    let numbers = dead.iter().fold(0, |numbers, (number, _)| numbers | 1 << number);
    let swept = sweep_table(region, numbers);
    let processes = dead.len().try_into().unwrap_or(u32::MAX);
    for (number, _lock) in dead {
        // The lanes are clean: the number may be taken, as soon as the lock goes.
        head.leave(number);
    }
    Ok(Some(Reaped { processes, connections: swept.connections }))
}

fn sweep_table(region: &Region, numbers: u64) -> Swept {
    let secret = region.shape.secret;
    match region.shape.words {
        5 => Table { groups: region.groups::<5>(), secret, me: 0 }.sweep(numbers),
        _ => Table { groups: region.groups::<13>(), secret, me: 0 }.sweep(numbers),
    }
}
