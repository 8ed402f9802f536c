//! The shared limiter beside the limiter of one process, and beside what one would write else: a hash table in shared
//! memory under a robust process-shared mutex. All in one run, in turns; medians of nanoseconds.
//!
//! `cargo bench -p connlimit-shared`

#![expect(clippy::cast_precision_loss, reason = "figures for people")]
#![expect(clippy::multiple_unsafe_ops_per_block, reason = "the rival is unsafe from end to end")]

use connlimit::{Config, Limiter};
use connlimit_shared::{Limits, SharedConfig, SharedLimiter};
use core::cell::UnsafeCell;
use core::hint::black_box;
use core::net::Ipv4Addr;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use std::env;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

const ROUNDS: usize = 15;
const TURNS: u32 = 200_000;

fn main() {
    if env::var_os("CONNLIMIT_VICTIM").is_some() {
        return victim();
    }
    // `cargo test --benches` wants to know that it runs, not how fast.
    let rounds = if env::args().any(|arg| arg == "--bench") { ROUNDS } else { 1 };
    println!(
        "{:<28} {:>10} {:>10} {:>10} {:>10} {:>8}",
        "ns per call", "floor", "in process", "shared", "mutex", "ratio"
    );
    for (name, clients) in [("pair, one client", 1), ("pair, 1,000 clients", 1000), ("pair, 20,000 clients", 20_000)] {
        pairs(name, clients, rounds);
    }
    rejections(rounds);
    two("pair, two processes", 1, rounds);
    two("pair, two, 20,000 clients", 20_000, rounds);
    newcomers();
    sweep();
}

fn client(turn: u32, clients: u32) -> Ipv4Addr {
    // Any order that no prefetcher guesses.
    Ipv4Addr::from_bits(0x0a00_0000 + (turn.wrapping_mul(0x9e37_79b9) >> 7) % clients)
}

fn time(mut call: impl FnMut(u32)) -> f64 {
    let start = Instant::now();
    (0..TURNS).for_each(&mut call);
    start.elapsed().as_nanos() as f64 / f64::from(TURNS)
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_unstable_by(f64::total_cmp);
    samples[samples.len() / 2]
}

fn report(name: &str, rounds: usize, mut contestants: [&mut dyn FnMut() -> f64; 4]) {
    let mut samples = [const { Vec::new() }; 4];
    // The first round warms up.
    for round in 0..=rounds {
        for (contestant, samples) in contestants.iter_mut().zip(&mut samples) {
            let sample = contestant();
            if round > 0 {
                samples.push(sample);
            }
        }
    }
    let [floor, alone, shared, mutex] = samples.map(median);
    println!("{name:<28} {floor:>10.1} {alone:>10.1} {shared:>10.1} {mutex:>10.1} {:>7.2}x", shared / alone);
}

fn config(clients: u32) -> SharedConfig {
    SharedConfig::new(Limits::new(1000)).with_clients((clients as usize).max(10_000))
}

fn pairs(name: &str, clients: u32, rounds: usize) {
    let floor: Vec<AtomicU32> = (0..clients).map(|_| AtomicU32::new(0)).collect();
    let alone = Limiter::new(Config::new(1000));
    let shared = SharedLimiter::create_unnamed(&config(clients)).unwrap();
    let mutex = Locked::new(1000);
    report(
        name,
        rounds,
        [
            &mut || {
                time(|turn| {
                    let word = &floor[(client(turn, clients).to_bits() - 0x0a00_0000) as usize];
                    let seen = word.load(Ordering::Relaxed);
                    assert!(
                        black_box(word.compare_exchange(seen, seen + 1, Ordering::Acquire, Ordering::Relaxed)).is_ok()
                    );
                    word.fetch_sub(1, Ordering::Release);
                })
            },
            &mut || time(|turn| drop(black_box(alone.try_acquire(client(turn, clients))))),
            &mut || time(|turn| drop(black_box(shared.try_acquire(client(turn, clients))))),
            &mut || {
                time(|turn| {
                    let client = client(turn, clients);
                    if black_box(mutex.acquire(client)) {
                        mutex.release(client);
                    }
                })
            },
        ],
    );
}

fn rejections(rounds: usize) {
    let client = Ipv4Addr::LOCALHOST;
    let floor = AtomicU32::new(1);
    let alone = Limiter::new(Config::new(1));
    let shared = SharedLimiter::create_unnamed(&SharedConfig::new(Limits::new(1))).unwrap();
    let mutex = Locked::new(1);
    let _held = (alone.try_acquire(client).unwrap(), shared.try_acquire(client).unwrap(), mutex.acquire(client));
    report(
        "rejection",
        rounds,
        [
            &mut || time(|_| assert!(black_box(floor.load(Ordering::Acquire)) == 1)),
            &mut || time(|_| assert!(black_box(alone.try_acquire(black_box(client))).is_err())),
            &mut || time(|_| assert!(black_box(shared.try_acquire(black_box(client))).is_err())),
            &mut || time(|_| assert!(!black_box(mutex.acquire(black_box(client))))),
        ],
    );
}

/// Two threads; each is a process of its own to the shared limiter.
fn two(name: &str, clients: u32, rounds: usize) {
    let floor: Vec<AtomicU32> = (0..clients).map(|_| AtomicU32::new(0)).collect();
    let alone = Limiter::new(Config::new(1000));
    let first = SharedLimiter::create_unnamed(&config(clients)).unwrap();
    let second = SharedLimiter::open_descriptor(first.descriptor().unwrap(), &config(clients)).unwrap();
    let mutex = Locked::new(1000);
    report(
        name,
        rounds,
        [
            &mut || {
                both(|_, turn| {
                    let word = &floor[(client(turn, clients).to_bits() - 0x0a00_0000) as usize];
                    word.fetch_add(1, Ordering::Acquire);
                    word.fetch_sub(1, Ordering::Release);
                })
            },
            &mut || both(|_, turn| drop(black_box(alone.try_acquire(client(turn, clients))))),
            &mut || {
                both(|me, turn| {
                    let limiter = if me == 0 { &first } else { &second };
                    drop(black_box(limiter.try_acquire(client(turn, clients))));
                })
            },
            &mut || {
                both(|_, turn| {
                    let client = client(turn, clients);
                    if black_box(mutex.acquire(client)) {
                        mutex.release(client);
                    }
                })
            },
        ],
    );
}

fn both(call: impl Fn(u32, u32) + Sync) -> f64 {
    let barrier = Barrier::new(2);
    let run = |me: u32| {
        barrier.wait();
        time(|turn| call(me, turn.wrapping_add(me << 20)))
    };
    thread::scope(|scope| {
        let other = scope.spawn(|| run(1));
        let mine = run(0);
        f64::midpoint(mine, other.join().unwrap())
    })
}

fn newcomers() {
    let clients = 100_000;
    let shared = SharedLimiter::create_unnamed(&config(clients)).unwrap();
    let start = Instant::now();
    let permits: Vec<_> = (0..clients).map(|n| shared.try_acquire(Ipv4Addr::from_bits(n))).collect();
    let each = start.elapsed().as_nanos() as f64 / f64::from(clients);
    let stats = shared.stats();
    let refused = permits.iter().filter(|permit| permit.is_err()).count();
    println!("\n{clients} new clients: {each:.0} ns each, {refused} refused as the table was full");
    println!(
        "memory: {} bytes for {} records, {:.1} each",
        stats.bytes,
        stats.records,
        stats.bytes as f64 / stats.records as f64
    );
}

/// What it takes to make the counts right after a process was killed.
fn sweep() {
    // 100,000 records are 25,000 expected clients' share.
    let config = SharedConfig::new(Limits::new(10)).with_clients(25_000);
    let limiter = SharedLimiter::create_unnamed(&config).unwrap();
    let mut times = Vec::new();
    let mut connections = 0;
    for _ in 0..9 {
        let mut child = Command::new(env::current_exe().unwrap())
            .env("CONNLIMIT_VICTIM", "1")
            .stdin(Stdio::from(limiter.descriptor().unwrap()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let start = Instant::now();
        let reaped = limiter.reap().unwrap().unwrap();
        times.push(start.elapsed().as_secs_f64() * 1000.0);
        connections = reaped.connections;
        assert!(reaped.processes == 1 && limiter.stats().open_connections == 0);
    }
    let records = limiter.stats().records;
    println!("sweep of {records} records after a process with {connections} connections: {:.2} ms", median(times));
    let start = Instant::now();
    let looks = 1000;
    for _ in 0..looks {
        limiter.reap().unwrap();
    }
    println!(
        "a look for dead processes, one other alive: {:.1} µs",
        start.elapsed().as_secs_f64() * 1e6 / f64::from(looks)
    );
}

fn victim() {
    let config = SharedConfig::new(Limits::new(10));
    let limiter = SharedLimiter::open_descriptor(std::io::stdin(), &config).unwrap();
    let _permits: Vec<_> = (0..25_000).map(|n| limiter.try_acquire(Ipv4Addr::from_bits(n))).collect();
    std::io::stdout().write_all(b"!").unwrap();
    std::io::stdout().flush().unwrap();
    thread::sleep(Duration::from_secs(60));
}

/// A hash table in shared memory, open addressing, under one mutex that survives its owner. (The counts do not.)
struct Locked {
    shared: *mut Shared,
    limit: u32,
}

const SLOTS: usize = 1 << 17;

#[repr(C)]
struct Shared {
    mutex: UnsafeCell<libc::pthread_mutex_t>,
    slots: UnsafeCell<[Slot; SLOTS]>,
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Slot {
    key: u32,
    used: u32,
    count: u32,
}

// SAFETY: what it points to is accessed under the mutex only.
unsafe impl Sync for Locked {}

impl Locked {
    fn new(limit: u32) -> Self {
        // SAFETY: an anonymous mapping at an address of the kernel's choice, and a mutex in it that is set up before it is
        // used.
        let shared = unsafe {
            let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
            let shared = libc::mmap(core::ptr::null_mut(), size_of::<Shared>(), access, flags, -1, 0).cast::<Shared>();
            assert!(shared.cast() != libc::MAP_FAILED);
            let mut attributes = core::mem::zeroed();
            assert_eq!(libc::pthread_mutexattr_init(&raw mut attributes), 0);
            assert_eq!(libc::pthread_mutexattr_setpshared(&raw mut attributes, libc::PTHREAD_PROCESS_SHARED), 0);
            assert_eq!(libc::pthread_mutexattr_setrobust(&raw mut attributes, libc::PTHREAD_MUTEX_ROBUST), 0);
            assert_eq!(libc::pthread_mutex_init((*shared).mutex.get(), &raw const attributes), 0);
            shared
        };
        Self { shared, limit }
    }

    fn acquire(&self, client: Ipv4Addr) -> bool {
        self.with(client, |slot| {
            let room = slot.count < self.limit;
            slot.count += u32::from(room);
            room
        })
    }

    fn release(&self, client: Ipv4Addr) {
        self.with(client, |slot| {
            slot.count -= 1;
            true
        });
    }

    fn with(&self, client: Ipv4Addr, act: impl FnOnce(&mut Slot) -> bool) -> bool {
        let key = client.to_bits();
        // SAFETY: the mutex is set up, and what is between its lock and its unlock is this thread's alone.
        unsafe {
            assert_eq!(libc::pthread_mutex_lock((*self.shared).mutex.get()), 0);
            let slots = &mut *(*self.shared).slots.get();
            // Fibonacci hashing: cheaper than the secret hash that peers who choose their addresses would ask for.
            let mut at = (key.wrapping_mul(0x9e37_79b9) >> 15) as usize;
            while slots[at].used == 1 && slots[at].key != key {
                at = (at + 1) % SLOTS;
            }
            slots[at].used = 1;
            slots[at].key = key;
            let done = act(&mut slots[at]);
            assert_eq!(libc::pthread_mutex_unlock((*self.shared).mutex.get()), 0);
            done
        }
    }
}
