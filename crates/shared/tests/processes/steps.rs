//! A process is killed after each instruction of a script that inserts, revives, is rejected, takes places over, and
//! releases; and so is the one that sweeps after it.
//!
//! A single-stepped run tells what the region contains after each instruction. All that a death leaves is that content
//! (and a lock that is free), so each *different* content is checked in a copy of the region, first with the lock taken,
//! as if the process had been stopped, then without. And real processes are killed with `SIGKILL` at those places, all
//! of them when `CONNLIMIT_KILLS=all`.

use crate::child::Process;
use crate::{LIMIT, check_no_record_is_lost, client, eventually, reap, small, trial};
use connlimit_shared::{SharedLimiter, SharedPermit};
use libtest_mimic::Trial;
use std::env;
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("after_every_instruction_others_go_on_and_a_sweep_makes_counts_exact", every_instruction),
        trial("killed_with_sigkill_at_the_changes_that_single_steps_find", killed),
        trial("killed_and_the_sweeper_killed_as_well", sweeper_killed),
    ]
}

/// Whether this system lets a process trace its child.
pub(crate) fn is_possible() -> bool {
    let mut traced = Traced::start("traced", None);
    traced.step()
}

/// A process that goes one instruction at a time.
struct Traced {
    process: Process,
}

impl Traced {
    fn start(role: &str, limiter: Option<&SharedLimiter>) -> Self {
        let process = match limiter {
            Some(limiter) => Process::start(role, limiter, &[]),
            None => Process::alone(role, &[]),
        };
        let traced = Self { process };
        let status = traced.wait();
        if !libc::WIFSTOPPED(status) {
            println!("the process to be traced ended: {status:x}");
        }
        traced
    }

    fn wait(&self) -> i32 {
        let mut status = 0;
        // SAFETY: `status` is written.
        unsafe { libc::waitpid(self.process.pid(), &raw mut status, 0) };
        status
    }

    /// One instruction. `false` if it was the last.
    fn step(&mut self) -> bool {
        // SAFETY: the process is this thread's to trace, and stopped.
        if unsafe { libc::ptrace(libc::PTRACE_SINGLESTEP, self.process.pid(), 0, 0) } != 0 {
            return false;
        }
        let status = self.wait();
        if libc::WIFEXITED(status) {
            self.process.was_waited_for();
            assert_eq!(libc::WEXITSTATUS(status), 0, "the script failed");
            return false;
        }
        assert!(libc::WIFSTOPPED(status) && libc::WSTOPSIG(status) == libc::SIGTRAP, "{status:x}");
        true
    }

    fn kill(mut self) {
        self.process.signal(libc::SIGKILL);
        let status = self.wait();
        assert!(libc::WIFSIGNALED(status), "{status:x}");
        self.process.was_waited_for();
    }
}

/// A region in which clients 0 to 4 have a connection of this process, and 5 to 9 had one.
struct Scene {
    limiter: SharedLimiter,
    file: File,
    kept: Vec<(u32, SharedPermit)>,
}

impl Scene {
    fn new() -> Self {
        let limiter = SharedLimiter::create_unnamed(&small()).unwrap();
        let file = limiter.descriptor().unwrap().into();
        let mut kept: Vec<_> = (0..10).map(|n| (n, limiter.try_acquire(client(n)).unwrap())).collect();
        kept.truncate(5);
        Self { limiter, file, kept }
    }

    fn content(&self) -> Vec<u8> {
        let mut content = vec![0; small().memory().unwrap()];
        self.file.read_exact_at(&mut content, 0).unwrap();
        content
    }

    /// Steps until the content of the region has changed `changes` times. `false` if it ends before.
    fn step_to(&self, traced: &mut Traced, changes: u32) -> bool {
        let mut seen = self.content();
        let mut left = changes;
        while left > 0 {
            if !traced.step() {
                return false;
            }
            let now = self.content();
            if now != seen {
                left -= 1;
                seen = now;
            }
        }
        true
    }
}

const WATCHED: [u32; 10] = [0, 1, 2, 5, 9, 100, 101, 105, 109, 200];

/// What others may do while the traces of a dead or stopped process are there: they get answers, never above the limit.
fn go_on(limiter: &SharedLimiter, kept: &[u32], permits: &mut Vec<(u32, SharedPermit)>) {
    for number in WATCHED {
        for _ in 0..=LIMIT {
            permits.extend(limiter.try_acquire(client(number)).map(|permit| (number, permit)));
        }
        let held = count(permits, number) + kept.iter().filter(|kept| **kept == number).count();
        assert!(
            held <= LIMIT as usize && limiter.open_connections(client(number)) as usize >= held,
            "client {number}: {held}"
        );
    }
}

fn count(permits: &[(u32, SharedPermit)], number: u32) -> usize {
    permits.iter().filter(|permit| permit.0 == number).count()
}

fn check_exact(limiter: &SharedLimiter, kept: &[u32], permits: &[(u32, SharedPermit)]) {
    for number in (0..10).chain(100..111).chain([200]) {
        let held = count(permits, number) + kept.iter().filter(|kept| **kept == number).count();
        assert_eq!(limiter.open_connections(client(number)) as usize, held, "client {number} after the sweep");
    }
}

/// A copy of a region: only who has locked its byte *there* is alive.
fn check_copy(content: &[u8]) {
    let copy = File::from(rustix::fs::memfd_create("copy", rustix::fs::MemfdFlags::CLOEXEC).unwrap());
    copy.write_all_at(content, 0).unwrap();
    // Process 0 is this test, and alive: its connections stay. Process 1 is the one that stopped half way.
    let kept = [0, 1, 2, 3, 4];
    lock(&copy, 0, libc::F_WRLCK);
    lock(&copy, 1, libc::F_WRLCK);
    let limiter = SharedLimiter::open_descriptor(&copy, &small()).unwrap();
    let mut permits = Vec::new();
    go_on(&limiter, &kept, &mut permits);
    lock(&copy, 1, libc::F_UNLCK);
    assert_eq!(reap(&limiter).processes, 1);
    check_exact(&limiter, &kept, &permits);
    drop(permits);
    lock(&copy, 0, libc::F_UNLCK);
    assert_eq!(reap(&limiter).connections, 5);
    check_no_record_is_lost(&limiter);
}

/// The byte that says that the process with this number is alive.
fn lock(file: &File, process: i64, kind: i32) {
    let lock = libc::flock {
        l_type: kind.try_into().unwrap(),
        l_whence: 0,
        l_start: (1 << 40) + 1 + process,
        l_len: 1,
        l_pid: 0,
    };
    // SAFETY: the command reads a `flock`.
    assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) }, 0);
}

/// The contents after each instruction, the repeated ones left out, and how many instructions there were.
fn contents(scene: &Scene) -> (Vec<Vec<u8>>, u64) {
    let mut traced = Traced::start("script", Some(&scene.limiter));
    let (mut contents, mut instructions) = (vec![scene.content()], 0);
    while traced.step() {
        instructions += 1;
        let content = scene.content();
        if contents.last() != Some(&content) {
            contents.push(content);
        }
    }
    (contents, instructions)
}

fn every_instruction() {
    let scene = Scene::new();
    let (contents, instructions) = contents(&scene);
    assert!(contents.len() > 60, "the script has become short: {} changes", contents.len());
    for content in &contents {
        check_copy(content);
    }
    println!("{instructions} instructions, {} different contents", contents.len());
    assert_eq!(scene.kept.len(), 5);
}

/// Which changes real processes are killed at.
fn chosen() -> impl Iterator<Item = u32> {
    let all = env::var("CONNLIMIT_KILLS").is_ok_and(|kills| kills == "all");
    (1..).step_by(if all { 1 } else { 13 })
}

fn killed() {
    kill_at(chosen(), false);
}

fn sweeper_killed() {
    kill_at(chosen().map(|change| change + 3), true);
}

fn kill_at(changes: impl Iterator<Item = u32>, sweeper_too: bool) {
    let mut kills = 0;
    let mut sweepers = 0;
    for change in changes {
        let scene = Scene::new();
        let kept: Vec<u32> = scene.kept.iter().map(|kept| kept.0).collect();
        let sweeper = sweeper_too.then(|| Traced::start("sweeper", Some(&scene.limiter)));
        let mut traced = Traced::start("script", Some(&scene.limiter));
        if !scene.step_to(&mut traced, change) {
            break;
        }
        traced.kill();
        kills += 1;
        let mut permits = Vec::new();
        if change % 2 == 0 {
            go_on(&scene.limiter, &kept, &mut permits);
        }
        if let Some(mut sweeper) = sweeper {
            // It is killed between the changes that it makes.
            if scene.step_to(&mut sweeper, 1 + change % 4) {
                sweeper.kill();
                sweepers += 1;
            }
        }
        eventually("all the dead are found", || {
            reap(&scene.limiter);
            scene.limiter.stats().processes.len() == 1
        });
        check_exact(&scene.limiter, &kept, &permits);
        drop((permits, scene.kept));
        check_no_record_is_lost(&scene.limiter);
    }
    println!("{kills} processes killed half way, {sweepers} sweepers too");
    assert!(kills > 4 && (sweepers > 2 || !sweeper_too));
}
