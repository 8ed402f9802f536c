//! What the table takes from the allocator, counted: bounded, small per client, and given back.
#![cfg(not(any(connlimit_model, miri)))]

use connlimit::{Config, Limiter, Permit, Rejected, config::WhenFull};
use core::alloc::{GlobalAlloc, Layout};
use core::cell::Cell;
use core::net::{Ipv4Addr, Ipv6Addr};
use core::sync::atomic::{AtomicIsize, Ordering::Relaxed};
use std::alloc::System;
use std::sync::{Barrier, Mutex};
use std::thread;

struct Counting;

#[expect(clippy::cast_possible_wrap, reason = "no allocation is larger than `isize::MAX`")]
const fn signed(bytes: usize) -> isize {
    bytes as isize
}

static BYTES: AtomicIsize = AtomicIsize::new(0);
static CALLS: AtomicIsize = AtomicIsize::new(0);

std::thread_local! {
    /// The allocator has nothing left for tables, as far as this thread is concerned.
    static EMPTY: Cell<bool> = const { Cell::new(false) };
}

/// Whether there is memory for it. What crossbeam-epoch takes by itself is not denied: the nodes of its queue, of two
/// kibibytes and a bit, and a part of its own for each new thread, which is aligned to 128 bytes.
fn may_have(layout: Layout) -> bool {
    let epoch = (2048..2304).contains(&layout.size()) || layout.align() == 128;
    epoch || !EMPTY.get()
}

fn count(layout: Layout) {
    BYTES.fetch_add(signed(layout.size()), Relaxed);
    CALLS.fetch_add(1, Relaxed);
}

// SAFETY: everything is passed on to the system's allocator, or denied.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !may_have(layout) {
            return core::ptr::null_mut();
        }
        count(layout);
        // SAFETY: the caller's duties are those of the callee.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !may_have(layout) {
            return core::ptr::null_mut();
        }
        count(layout);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.fetch_sub(signed(layout.size()), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One test at a time: the allocator counts for all of them.
static ALONE: Mutex<()> = Mutex::new(());

const MIB: isize = 1 << 20;

fn alone(test: impl FnOnce()) {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    test();
}

fn crowd(limiter: &Limiter, clients: u32) -> Vec<Permit> {
    let mut permits = Vec::with_capacity(clients as usize);
    permits.extend((0..clients).map(|client| limiter.try_acquire(Ipv4Addr::from_bits(client)).unwrap()));
    permits
}

/// Bytes that `limiter` and what else is alive take, permits in `permits` aside.
fn bytes(permits: &Vec<Permit>) -> isize {
    BYTES.load(Relaxed) - signed(permits.capacity() * size_of::<Permit>())
}

/// A few new clients come and go.
fn some_traffic(limiter: &Limiter, connections: u32) {
    for client in 0..connections {
        drop(limiter.try_acquire(Ipv4Addr::from_bits(0x8000_0000 | client)));
    }
}

#[test]
fn a_crowd_of_a_million_takes_less_than_64_bytes_each_and_gives_them_back_in_passing() {
    alone(|| {
        let limiter = Limiter::new(Config::new(1));
        let before = BYTES.load(Relaxed);
        let mut permits = crowd(&limiter, 1_000_000);
        let each = (bytes(&permits) - before) / 1_000_000;
        assert!((8..64).contains(&each), "{each} bytes per client");
        permits = Vec::new();
        // Nobody calls for it: newcomers do it, each a little.
        some_traffic(&limiter, 600_000);
        let left = bytes(&permits) - before;
        assert!(left < MIB, "{left} bytes are left of the crowd");
        assert_eq!(limiter.open_connections(Ipv4Addr::from_bits(7)), 0);
    });
}

#[test]
fn reclaiming_gives_a_crowds_memory_back_at_once() {
    alone(|| {
        let limiter = Limiter::new(Config::new(1));
        let before = BYTES.load(Relaxed);
        drop(crowd(&limiter, 300_000));
        limiter.reclaim();
        let left = BYTES.load(Relaxed) - before;
        assert!(left < MIB, "{left} bytes are left of the crowd");
    });
}

#[test]
fn clients_that_stay_hold_their_segments_and_no_more() {
    alone(|| {
        let limiter = Limiter::new(Config::new(1));
        let before = BYTES.load(Relaxed);
        let mut permits = crowd(&limiter, 300_000);
        let full = bytes(&permits) - before;
        permits.truncate(3);
        limiter.reclaim();
        let left = bytes(&permits) - before;
        assert!(left < MIB && left < full / 4, "{left} of {full} bytes are left for three clients");
        for client in 0..3 {
            assert_eq!(limiter.open_connections(Ipv4Addr::from_bits(client)), 1);
            assert!(limiter.try_acquire(Ipv4Addr::from_bits(client)).is_err());
        }
    });
}

#[test]
fn the_bound_holds_and_clients_that_are_tracked_do_not_notice() {
    alone(|| {
        let before = BYTES.load(Relaxed);
        let limiter = Limiter::new(Config::new(2).with_table_memory(1 << 20));
        let regular = limiter.try_acquire(Ipv6Addr::LOCALHOST).unwrap();
        let mut permits = Vec::with_capacity(1 << 20);
        let mut full = 0;
        for client in 0..1 << 20 {
            match limiter.try_acquire(Ipv4Addr::from_bits(client)) {
                Ok(permit) => permits.push(permit),
                Err(rejected) => {
                    assert_eq!(rejected, Rejected::TableFull);
                    full += 1;
                }
            }
        }
        let taken = bytes(&permits) - before;
        assert!(taken <= MIB + MIB / 16, "{taken} bytes under a bound of 1 MiB");
        assert!(full > 0 && permits.len() > 10_000, "{} admitted, {full} rejected", permits.len());
        // The other family is not crowded out, and who is in is counted on.
        let second = limiter.try_acquire(Ipv6Addr::LOCALHOST).unwrap();
        assert_eq!(limiter.try_acquire(Ipv6Addr::LOCALHOST).unwrap_err(), Rejected::ClientLimit);
        assert!(limiter.try_acquire(Ipv4Addr::from_bits(0)).is_ok());
        drop((regular, second));

        limiter.set_config(Config::new(2).with_when_full(WhenFull::AdmitUntracked)).unwrap();
        let newcomer = (0xc000_0000..).map(Ipv4Addr::from_bits);
        let untracked = newcomer.map(|client| limiter.try_acquire(client).unwrap()).find(|permit| !permit.is_tracked());
        assert!(untracked.is_some());
    });
}

#[test]
fn a_preallocated_table_allocates_nothing_for_its_clients() {
    alone(|| {
        let config = Config::new(1).with_table_memory(8 << 20).with_preallocation(true);
        let limiter = Limiter::new(config);
        some_traffic(&limiter, 1); // this thread's part in the epoch
        let mut permits = Vec::with_capacity(1 << 20);
        let before = bytes(&permits);
        permits.extend((0..40_000).map(|client| limiter.try_acquire(Ipv4Addr::from_bits(client)).unwrap()));
        // The epoch's bags of deferred functions come and go; the table would need two megabytes for so many clients.
        let taken = bytes(&permits) - before;
        assert!(taken < MIB / 16, "{taken} bytes for 40,000 clients");
    });
}

#[test]
fn permits_of_a_limiter_that_is_gone_free_its_memory() {
    alone(|| {
        let before = BYTES.load(Relaxed);
        let limiter = Limiter::new(Config::new(1));
        let permits = crowd(&limiter, 100_000);
        drop(limiter);
        assert!(bytes(&permits) - before > MIB, "the counters are still there");
        drop(permits);
        let left = BYTES.load(Relaxed) - before;
        assert!(left < MIB / 4, "{left} bytes are left of a limiter that is gone");
    });
}

/// Not the process is the victim of an allocator that has nothing left, but newcomers are, and nobody else.
#[test]
fn an_allocation_that_fails_rejects_newcomers_and_nobody_else() {
    alone(|| {
        let limiter = Limiter::new(Config::new(2));
        let mut permits = Vec::with_capacity(100_000);
        permits.extend((0..300).map(|client| limiter.try_acquire(Ipv4Addr::from_bits(client)).unwrap()));
        let mut full = 0;
        EMPTY.set(true);
        for client in 0..50_000_u32 {
            match limiter.try_acquire(Ipv4Addr::from_bits(1 << 28 | client)) {
                Ok(permit) => permits.push(permit),
                Err(Rejected::TableFull) => full += 1,
                // No text can be made of it now.
                Err(_) => full = -1,
            }
        }
        let second = limiter.try_acquire(Ipv4Addr::from_bits(7)).is_ok();
        let again: usize = (0..300).filter(|&client| limiter.try_acquire(Ipv4Addr::from_bits(client)).is_ok()).count();
        EMPTY.set(false);
        assert!(full > 10_000 && second && again == 300, "{full} full, {second}, {again}");
        let before = permits.len();
        let newcomers = (2 << 28..(2 << 28) + 50_000).map(Ipv4Addr::from_bits);
        permits.extend(newcomers.map(|client| limiter.try_acquire(client).unwrap()));
        assert_eq!(permits.len(), before + 50_000);
    });
}

/// A thread that was in the table once and is idle is looked at by whoever flushes. So newcomers flush the less often the
/// more threads there are. Each flush with something to do allocates.
#[test]
fn newcomers_beside_many_threads_flush_rarely() {
    const THREADS: usize = 500;
    alone(|| {
        let limiter = Limiter::new(Config::new(1));
        let (arrived, leave) = (Barrier::new(THREADS + 1), Barrier::new(THREADS + 1));
        thread::scope(|scope| {
            for _ in 0..THREADS {
                thread::Builder::new()
                    .stack_size(64 << 10)
                    .spawn_scoped(scope, || {
                        assert_eq!(limiter.open_connections(Ipv4Addr::LOCALHOST), 0);
                        arrived.wait();
                        leave.wait();
                    })
                    .unwrap();
            }
            arrived.wait();
            some_traffic(&limiter, 20_000);
            let before = CALLS.load(Relaxed);
            (1 << 16..(1 << 16) + 20_000).for_each(|client| drop(limiter.try_acquire(Ipv4Addr::from_bits(client))));
            let calls = CALLS.load(Relaxed) - before;
            leave.wait();
            assert!(calls < 20_000 / 10, "{calls} allocations for 20,000 newcomers");
        });
    });
}

/// What an open batch costs beyond the bound: a few kibibytes for each thread that ends meanwhile, and no longer than it is
/// open.
#[test]
fn threads_that_end_beside_an_open_batch_leave_less_than_six_kibibytes_each() {
    const THREADS: isize = 300;
    alone(|| {
        let limiter = Limiter::new(Config::new(0));
        some_traffic(&limiter, 1000);
        let come_and_go = || {
            for _ in 0..THREADS {
                thread::scope(|scope| _ = scope.spawn(|| drop(limiter.try_acquire(Ipv4Addr::LOCALHOST))));
            }
        };
        come_and_go();
        let before = BYTES.load(Relaxed);
        let batch = limiter.batch();
        come_and_go();
        let left = (BYTES.load(Relaxed) - before) / THREADS;
        assert!(left < 6 << 10, "{left} bytes for each thread");
        drop(batch);
        some_traffic(&limiter, 100_000);
        let left = BYTES.load(Relaxed) - before;
        assert!(left < 256 << 10, "{left} bytes are left of more than a MiB");
    });
}

/// What the system gives is little more than what was asked for, also where it comes in pieces. In a process of its own:
/// what other tests have given back to the allocator would be taken again.
#[test]
#[cfg(target_os = "linux")]
fn a_preallocated_limiter_resides_in_its_bound() {
    fn resident() -> isize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<isize>().unwrap() << 10
    }
    const ITSELF: &str = "CONNLIMIT_RESIDES_BY_ITSELF";
    if std::env::var_os(ITSELF).is_none() {
        let this = std::env::current_exe().unwrap();
        let mut itself = std::process::Command::new(this);
        itself.args(["--exact", "a_preallocated_limiter_resides_in_its_bound"]).env(ITSELF, "1");
        assert!(itself.status().unwrap().success());
        return;
    }
    let before = resident();
    let config = Config::new(1).with_table_memory(128 << 20).with_preallocation(true);
    let limiter = Limiter::new(config);
    let taken = resident() - before;
    assert!(taken < 128 * MIB * 11 / 10, "{} MiB for a bound of 128", taken / MIB);
    assert!(taken > 100 * MIB, "{} MiB of a bound of 128", taken / MIB);
    drop(limiter);
}
