//! Processes come and go, in every way there is.

use crate::child::Process;
use crate::{LIMIT, client, eventually, number, reap, small, trial};
use connlimit_shared::SharedLimiter;
use libtest_mimic::Trial;
use std::fs;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_killed_process_leaves_nothing", killed),
        trial("a_rejection_finds_the_dead_by_itself", by_itself),
        trial("whoever_opens_finds_the_dead", by_opening),
        trial("a_stopped_process_is_not_dead_and_delays_nobody", stopped),
        trial("processes_that_start_together_make_one_region", together),
        trial("a_forked_child_cannot_release_its_parents_permits", fork),
        trial("a_program_that_a_process_started_does_not_keep_it_alive", program),
        trial("processes_are_replaced_over_and_over_and_counts_stay_exact", replaced),
    ]
}

fn clients(list: &str) -> [(&'static str, String); 1] {
    [("CLIENTS", list.to_owned())]
}

fn killed() {
    let limiter = SharedLimiter::create_unnamed(&small()).unwrap();
    let mine = limiter.try_acquire(client(1)).unwrap();
    let mut holder = Process::start("holder", &limiter, &clients("1 1 2"));
    holder.line();
    assert_eq!((limiter.open_connections(client(1)), limiter.open_connections(client(2))), (LIMIT, 1));
    assert!(limiter.try_acquire(client(1)).is_err());
    assert_eq!(limiter.stats().processes.iter().map(|process| process.open_connections).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(reap(&limiter).processes, 0, "it is alive");
    holder.kill();
    let reaped = reap(&limiter);
    assert_eq!((reaped.processes, reaped.connections), (1, 3));
    assert_eq!((limiter.open_connections(client(1)), limiter.open_connections(client(2))), (1, 0));
    assert_eq!(limiter.stats().processes.len(), 1);
    drop(mine);
}

fn by_itself() {
    let limiter = SharedLimiter::create_unnamed(&small()).unwrap();
    let mut holder = Process::start("holder", &limiter, &clients("1 1 1"));
    holder.line();
    assert!(limiter.try_acquire(client(1)).is_err());
    holder.kill();
    // Nobody reaps. It takes the next look, which is within a second.
    eventually("a rejection looks for the dead", || limiter.try_acquire(client(1)).is_ok());
    assert_eq!(limiter.open_connections(client(1)), 0);
    assert_eq!(limiter.stats().processes.len(), 1);
}

fn by_opening() {
    let limiter = SharedLimiter::create_unnamed(&small()).unwrap();
    let mut holder = Process::start("holder", &limiter, &clients("1 1 1"));
    holder.line();
    holder.kill();
    let mut next = Process::start("holder", &limiter, &clients("1 1 1"));
    next.line();
    assert_eq!(limiter.open_connections(client(1)), LIMIT);
    assert_eq!(limiter.stats().processes.len(), 2);
    next.kill();
    reap(&limiter);
}

fn stopped() {
    let limiter = SharedLimiter::create_unnamed(&small()).unwrap();
    let mut holder = Process::start("holder", &limiter, &clients("1 1"));
    holder.line();
    holder.stop();
    assert_eq!(reap(&limiter).processes, 0);
    let mine = limiter.try_acquire(client(1)).unwrap();
    assert!(limiter.try_acquire(client(1)).is_err(), "its connections are open");
    for turn in 0..100_000 {
        drop(limiter.try_acquire(client(10 + turn % 13)).unwrap());
    }
    let mut newcomer = Process::start("holder", &limiter, &clients("9"));
    newcomer.line();
    holder.signal(libc::SIGCONT);
    drop(mine);
    holder.kill();
    newcomer.kill();
    assert_eq!(reap(&limiter).connections, 3);
}

fn together() {
    for _ in 0..5 {
        let directory = tempfile::tempdir_in("/dev/shm").unwrap();
        let (region, go) = (directory.path().join("region"), directory.path().join("go"));
        let settings = [("REGION", region.display().to_string()), ("GO", go.display().to_string())];
        let mut all: Vec<_> = (0..6).map(|_| Process::alone("opener", &settings)).collect();
        for process in &mut all {
            assert_eq!(process.line(), "ready");
        }
        fs::write(&go, "").unwrap();
        let admitted = all.iter_mut().map(Process::line).filter(|line| line == "admitted").count();
        // The weakness at the last place: it may be given to none of two that overlap.
        assert!((1..=LIMIT as usize).contains(&admitted), "{admitted} permits for a limit of {LIMIT}");
        let limiter = SharedLimiter::open(&region, &small()).unwrap();
        assert_eq!(limiter.open_connections(client(7)) as usize, admitted);
        assert_eq!(limiter.stats().processes.len(), 7);
        all.into_iter().for_each(Process::kill);
        reap(&limiter);
        assert_eq!(limiter.stats().open_connections, 0);
    }
}

fn fork() {
    let limiter = SharedLimiter::create_unnamed(&small()).unwrap();
    let mut forker = Process::start("forker", &limiter, &[]);
    assert_eq!(forker.line(), "ready");
    assert_eq!(limiter.open_connections(client(1)), 1);
    forker.kill();
    assert_eq!(reap(&limiter).connections, 1);
}

fn program() {
    let limiter = SharedLimiter::create_unnamed(&small()).unwrap();
    let mut parent = Process::start("parent", &limiter, &[]);
    let child: i32 = parent.line().parse().unwrap();
    parent.kill();
    let reaped = reap(&limiter);
    // SAFETY: the child is this test's own.
    unsafe { libc::kill(child, libc::SIGKILL) };
    assert_eq!((reaped.processes, reaped.connections), (1, 1));
}

fn replaced() {
    let times = number("CONNLIMIT_REPLACED", 1000);
    let limiter = SharedLimiter::create_unnamed(&small()).unwrap();
    let _mine = limiter.try_acquire(client(1)).unwrap();
    let mut holder = Process::start("holder", &limiter, &clients("1 2"));
    holder.line();
    for turn in 0..times {
        let end = ["drop", "exit", "abort", "kill"][turn as usize % 4];
        // All records are somebody's in the end, so places are taken over from the dead.
        let list = format!("1 {} {}", 3 + turn % 40, 3 + turn % 7);
        let settings = [("CLIENTS", list), ("END", end.to_owned())];
        let mut visitor = Process::start("visitor", &limiter, &settings);
        visitor.line();
        if end == "kill" {
            visitor.kill();
        } else {
            visitor.wait();
        }
        let reaped = reap(&limiter);
        assert_eq!(
            (reaped.processes, reaped.connections),
            if end == "drop" { (0, 0) } else { (1, 3) },
            "turn {turn}: {end}"
        );
        let open: Vec<_> = limiter.top(99).iter().map(|seen| (seen.client, seen.open_connections)).collect();
        assert_eq!(open, [(client(1).into(), 2), (client(2).into(), 1)], "turn {turn}: {end}");
    }
    println!("{times} processes came and went");
    assert_eq!(limiter.stats().processes.len(), 2);
    holder.kill();
    reap(&limiter);
}
