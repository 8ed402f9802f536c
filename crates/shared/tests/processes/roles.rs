//! What the started processes do.

use crate::{LIMIT, client, small};
use connlimit::Rejected;
use connlimit_shared::{SharedLimiter, SharedPermit};
use core::hint::black_box;
use core::time::Duration;
use std::env;
use std::fs::OpenOptions;
use std::io::{Write as _, stdin, stdout};
use std::os::unix::fs::FileExt as _;
use std::process::Command;
use std::thread::sleep;

pub(crate) fn play(role: &str) {
    // The one that started this may be killed as well.
    // SAFETY: it sets an attribute of this process.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    match role {
        "holder" => holder(),
        "visitor" => visitor(),
        "worker" => worker(),
        "script" => {
            let limiter = join();
            trace_me();
            script(&limiter);
        }
        "sweeper" => {
            let limiter = join();
            trace_me();
            limiter.reap().unwrap();
            std::process::exit(0);
        }
        "traced" => trace_me(),
        "opener" => opener(),
        "forker" => forker(),
        "parent" => parent(),
        "idle" => forever(),
        other => panic!("no such role: {other}"),
    }
}

fn join() -> SharedLimiter {
    SharedLimiter::open_descriptor(stdin(), &small()).unwrap()
}

fn say(line: &str) {
    println!("{line}");
    stdout().flush().unwrap();
}

fn forever() {
    loop {
        sleep(Duration::from_secs(60));
    }
}

fn setting(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

fn acquire_all(limiter: &SharedLimiter) -> Vec<SharedPermit> {
    let clients = setting("CLIENTS");
    clients.split_whitespace().map(|n| limiter.try_acquire(client(n.parse().unwrap())).unwrap()).collect()
}

/// Has connections, and waits to be killed.
fn holder() {
    let limiter = join();
    let _permits = acquire_all(&limiter);
    say("ready");
    forever();
}

/// Comes, has connections, and goes in the way it is told to.
fn visitor() {
    let limiter = join();
    let permits = acquire_all(&limiter);
    say("ready");
    match setting("END").as_str() {
        "drop" => drop((permits, limiter)),
        // Nothing is dropped.
        "exit" => std::process::exit(0),
        "abort" => std::process::abort(),
        _ => forever(),
    }
}

/// Connections come and go. A file knows of each that is certainly there.
fn worker() {
    let limiter = join();
    let me: u64 = setting("NUMBER").parse().unwrap();
    let clients: usize = setting("CLIENTS").parse().unwrap();
    let known = OpenOptions::new().write(true).open(setting("KNOWN")).unwrap();
    let mut counts = vec![0_u32; clients];
    let mut note = |client: usize, change: i32| {
        counts[client] = counts[client].checked_add_signed(change).unwrap();
        let at = (me * clients as u64 + client as u64) * 4;
        known.write_all_at(&counts[client].to_ne_bytes(), at).unwrap();
    };
    let mut random = fastrand::Rng::with_seed(setting("SEED").parse().unwrap());
    let mut permits: Vec<(usize, SharedPermit)> = Vec::new();
    say("ready");
    loop {
        if random.u8(..100) < 55 && permits.len() < 12 {
            let number = random.usize(..clients);
            if let Ok(permit) = limiter.try_acquire(client(u32::try_from(number).unwrap())) {
                note(number, 1);
                permits.push((number, permit));
            }
        } else if !permits.is_empty() {
            let (number, permit) = permits.swap_remove(random.usize(..permits.len()));
            note(number, -1);
            drop(permit);
        }
    }
}

/// Stops, to be stepped on by the one that started this.
fn trace_me() {
    // SAFETY: it changes the state of this process only.
    assert_eq!(unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) }, 0);
    // SAFETY: likewise.
    unsafe { libc::raise(libc::SIGSTOP) };
}

/// Every kind of step at least once. Clients 0 to 4 have a connection in another process, 5 to 9 had one.
#[inline(never)]
fn script(limiter: &SharedLimiter) {
    let acquire = |number| black_box(limiter.try_acquire(client(number)));
    let first = acquire(0).unwrap();
    let second = acquire(100).unwrap();
    let _third = acquire(101).unwrap();
    drop(second);
    let _revived = acquire(100).unwrap();
    drop(first);
    let (fourth, _fifth) = (acquire(1).unwrap(), acquire(1).unwrap());
    assert_eq!(acquire(1).unwrap_err(), Rejected::ClientLimit, "of {LIMIT}");
    // Three records are free yet; then newcomers take the places of clients 5 to 9.
    let _newcomers: Vec<_> = (102..110).map(|number| acquire(number).unwrap()).collect();
    assert_eq!(acquire(110).unwrap_err(), Rejected::TableFull);
    drop(fourth);
    let _sixth = acquire(1).unwrap();
    std::process::exit(0);
}

/// Makes the region or opens it, with others at the same time.
fn opener() {
    say("ready");
    let path = setting("REGION");
    // All start when the file is there.
    while !std::path::Path::new(&setting("GO")).exists() {
        core::hint::spin_loop();
    }
    let limiter = SharedLimiter::create_or_open(path, &small().with_processes(20)).unwrap();
    let permit = limiter.try_acquire(client(7));
    say(if permit.is_ok() { "admitted" } else { "rejected" });
    forever();
}

/// A child of a fork, without `exec`, tries to release what its parent holds.
fn forker() {
    let limiter = join();
    let permit = limiter.try_acquire(client(1)).unwrap();
    // SAFETY: this process has one thread.
    let child = unsafe { libc::fork() };
    if child == 0 {
        drop(permit);
        // SAFETY: the child ends here, and runs nothing that its parent has set up.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: `status` is written.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGSEGV, "{status:x}");
    assert_eq!(limiter.open_connections(client(1)), 1);
    say("ready");
    forever();
}

/// Starts another program, as a server may.
fn parent() {
    let limiter = join();
    let _permit = limiter.try_acquire(client(1)).unwrap();
    #[expect(clippy::zombie_processes, reason = "the child must outlive this process, which is killed")]
    let child = Command::new(env::current_exe().unwrap()).env("CONNLIMIT_ROLE", "idle").spawn().unwrap();
    say(&child.id().to_string());
    forever();
}
