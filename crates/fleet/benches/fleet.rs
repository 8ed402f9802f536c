//! What a fleet costs: an admission here, and the engine.
//!
//! ```text
//! cargo bench -p connlimit-fleet
//! ```
//!
//! 1. A local admission and release, within the share and by a lease, against the plain limiter's, side by side.
//! 2. A real engine under the load of 1 M connected clients and 20,000 admissions a second on ten machines, of which 5 %
//!    are of clients who have several connections per machine; and under the same load with the usual scheme: a sorted set
//!    per client with a member per connection, which is asked at each admission, told of each release, and refreshed. The
//!    usual scheme is treated well: its requests go in pipelines of 100.
//!
//! `CONNLIMIT_BENCH_CLIENTS`, `CONNLIMIT_BENCH_RATE` and `CONNLIMIT_BENCH_SECONDS` change the load.
#![allow(clippy::std_instead_of_core, reason = "a benchmark has the standard library")]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "numbers for people"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use connlimit::{Config, Limiter, Permit};
use connlimit_fleet::engine::{Memory, Redis};
use connlimit_fleet::{Fleet, Terms};
use std::hint::black_box;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};
use support::Server;
use tokio::runtime::{Builder, Runtime};

const MACHINES: u32 = 10;
const LIMIT: u32 = 100;
/// Of this many clients, each has some 20 connections.
const HEAVY: u32 = 2_000;
const HEAVY_CONNECTIONS: u32 = 40_000;

fn env(name: &str, usual: u32) -> u32 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(usual)
}

fn main() {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    local(&runtime);
    if env("CONNLIMIT_BENCH_SECONDS", 20) == 0 {
        return;
    }
    let load = Load {
        clients: env("CONNLIMIT_BENCH_CLIENTS", 1_000_000),
        rate: env("CONNLIMIT_BENCH_RATE", 20_000),
        time: Duration::from_secs(u64::from(env("CONNLIMIT_BENCH_SECONDS", 20))),
    };
    let Some(leases) = load.with_leases(&runtime) else { return };
    let Some(sets) = load.with_sorted_sets() else { return };
    println!(
        "\nthe usual scheme takes {:.0} x the requests, {:.0} x the commands and {:.0} x the engine's time",
        sets.requests / leases.requests,
        sets.commands / leases.commands,
        sets.busy / leases.busy,
    );
}

// The local part.

/// As many as the caches hold: what is compared is the work, not the memory.
const CLIENTS: u32 = 1 << 10;

/// What this thread has had of a processor: other processes do not count.
#[cfg(target_os = "linux")]
fn used() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).unwrap())
}

#[cfg(not(target_os = "linux"))]
fn used() -> Duration {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

fn time(call: impl FnMut(u32)) -> f64 {
    const CALLS: u32 = CLIENTS * 512;
    let start = used();
    (0..CALLS).for_each(call);
    used().saturating_sub(start).as_nanos() as f64 / f64::from(CALLS)
}

fn local(runtime: &Runtime) {
    let terms = Terms::new(LIMIT).seats(10).share(2).ttl(Duration::from_secs(1)).flush(Duration::from_millis(1));
    let plain = Limiter::new(Config::new(2));
    let fleet = runtime.block_on(Fleet::join(Memory::new(), Limiter::new(Config::new(2)), terms)).unwrap();
    let client = |turn: u32| Ipv4Addr::from_bits(0x0a00_0000 | (turn.wrapping_mul(0x9e37_79b1) >> 22));
    // So that slots are there, and for a lease: more than the share.
    let plain_held: Vec<_> = (0..CLIENTS).map(|turn| plain.try_acquire(client(turn)).unwrap()).collect();
    let held: Vec<_> = (0..CLIENTS).map(|turn| fleet.try_acquire(client(turn)).unwrap()).collect();
    let leased = Ipv4Addr::new(192, 0, 2, 1);
    let mut lease = Vec::new();
    let end = Instant::now() + Duration::from_secs(20);
    while lease.len() < 10 && Instant::now() < end {
        lease.extend(fleet.try_acquire(leased));
        std::thread::sleep(Duration::from_millis(1));
    }
    lease.pop();

    let mut runs: [Vec<f64>; 4] = Default::default();
    for _ in 0..15 {
        runs[3].push(time(|turn| drop(black_box(plain.try_acquire_within(client(turn), black_box(2))))));
        runs[0].push(time(|turn| drop(black_box(plain.try_acquire(client(turn))))));
        runs[1].push(time(|turn| drop(black_box(fleet.try_acquire(client(turn))))));
        runs[2].push(time(|_| drop(black_box(fleet.try_acquire(leased)))));
    }
    let [plain_ns, share_ns, lease_ns, within_ns] = runs.map(|mut run| {
        run.sort_by(f64::total_cmp);
        run[run.len() / 2]
    });
    println!("admission and release, one thread, {CLIENTS} clients, medians of 15:");
    println!("  plain limiter        {plain_ns:6.1} ns");
    println!("  its `try_acquire_within` {within_ns:4.1} ns  {:.2} x", within_ns / plain_ns);
    println!("  fleet, within share  {share_ns:6.1} ns  {:.2} x", share_ns / plain_ns);
    println!(
        "  fleet, by a lease    {lease_ns:6.1} ns  {:.2} x (one client, so its counter stays in the cache)",
        lease_ns / plain_ns
    );
    drop((plain_held, held, lease));
}

// The engine.

struct Load {
    clients: u32,
    rate: u32,
    time: Duration,
}

/// Per second.
struct Cost {
    requests: f64,
    commands: f64,
    /// Of one core.
    busy: f64,
}

/// What the engine says of itself.
struct Meter {
    at: Instant,
    commands: f64,
    busy: f64,
}

impl Meter {
    fn read(server: &Server) -> Self {
        let number = |section, line| server.info(section, line).parse::<f64>().unwrap();
        Self {
            at: Instant::now(),
            commands: number("stats", "total_commands_processed"),
            busy: number("cpu", "used_cpu_user") + number("cpu", "used_cpu_sys"),
        }
    }
}

/// Calls `tick` so often per second, in bursts of a millisecond: how often it came to that.
fn pace(rate: u32, time: Duration, mut tick: impl FnMut(u64)) -> u64 {
    let (start, mut done) = (Instant::now(), 0);
    while start.elapsed() < time {
        let due = (start.elapsed().as_secs_f64() * f64::from(rate)) as u64;
        while done < due && start.elapsed() < time {
            tick(done);
            done += 1;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    done
}

fn heavy(client: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(0xc0a8_0000 + client)
}

fn light(random: &mut fastrand::Rng) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x0a00_0000 | random.u32(..1 << 24))
}

impl Load {
    fn with_leases(&self, runtime: &Runtime) -> Option<Cost> {
        let server = Server::start(&[])?;
        let url = format!("redis://{}/", server.address());
        let terms = || Terms::new(LIMIT).seats(MACHINES).share(1);
        let join = || runtime.block_on(Fleet::join(Redis::open(&*url).unwrap(), Limiter::new(Config::new(1)), terms()));
        let fleets: Vec<_> = (0..MACHINES).map(|_| join().unwrap()).collect();
        let mut random = fastrand::Rng::with_seed(1);
        let admit = |random: &mut fastrand::Rng, client: Ipv4Addr| -> Option<Permit> {
            fleets[random.usize(..MACHINES as usize)].try_acquire(client).ok()
        };
        // Everybody is connected.
        let mut lights: Vec<_> = (0..self.clients)
            .map(|_| {
                let client = light(&mut random);
                admit(&mut random, client)
            })
            .collect();
        let mut heavies: Vec<Option<Permit>> = (0..HEAVY_CONNECTIONS).map(|_| None).collect();
        let end = Instant::now() + Duration::from_secs(60);
        while heavies.iter().flatten().count() < heavies.len() * 99 / 100 && Instant::now() < end {
            for held in heavies.iter_mut().filter(|held| held.is_none()).take(2000) {
                *held = admit(&mut random, heavy(fastrand::u32(..HEAVY)));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let total: usize = [&lights, &heavies].into_iter().flatten().flatten().count();

        let (before, stats) = (Meter::read(&server), totals(&fleets));
        let (mut rejected, mut tried) = (0u64, 0u64);
        let done = pace(self.rate, self.time, |turn| {
            let (pool, client) = if turn % 20 == 0 {
                (&mut heavies, heavy(random.u32(..HEAVY)))
            } else {
                let client = light(&mut random);
                (&mut lights, client)
            };
            // One goes, one comes. Who is rejected tries once more later.
            let at = random.usize(..pool.len());
            pool[at] = None;
            pool[at] = admit(&mut random, client);
            tried += 1;
            rejected += u64::from(pool[at].is_none());
        });
        let (after, now) = (Meter::read(&server), totals(&fleets));
        let seconds = (after.at - before.at).as_secs_f64();
        let cost = Cost {
            requests: (now.0 - stats.0) as f64 / seconds,
            commands: (after.commands - before.commands) / seconds,
            busy: (after.busy - before.busy) / seconds,
        };
        println!(
            "\n{total} connections, {:.0} admissions a second on {MACHINES} machines, leases:",
            done as f64 / seconds
        );
        println!("  requests a second    {:8.0}", cost.requests);
        println!("  clients named a s    {:8.0}", (now.1 - stats.1) as f64 / seconds);
        println!("  commands a second    {:8.0} (those of the script included)", cost.commands);
        println!("  engine busy          {:8.2} % of a core", cost.busy * 100.0);
        println!("  rejected at first    {:8.2} % of admissions", 100.0 * rejected as f64 / tried as f64);
        Some(cost)
    }

    fn with_sorted_sets(&self) -> Option<Cost> {
        // The scheme as it is found in the wild, as one script: drop what has expired, count, add.
        const ADMIT: &str = "redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])
            if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[4]) then return 0 end
            redis.call('ZADD', KEYS[1], ARGV[2], ARGV[3]) redis.call('PEXPIRE', KEYS[1], 60000) return 1";
        const REFRESH: f64 = 30.0;
        const PIPELINE: usize = 100;
        let server = Server::start(&[])?;
        let client = redis::Client::open(format!("redis://{}/", server.address())).unwrap();
        let mut connection = client.get_connection().unwrap();
        let hash: String = redis::cmd("SCRIPT").arg("LOAD").arg(ADMIT).query(&mut connection).unwrap();
        let mut random = fastrand::Rng::with_seed(1);
        let expires = 4_000_000_000_000u64;
        let key = |client: Ipv4Addr| format!("limit:{client}");
        let mut id = 0u64;
        let mut open: Vec<(Ipv4Addr, u64)> = Vec::new();
        let mut pipe = redis::pipe();
        for turn in 0..self.clients + HEAVY_CONNECTIONS {
            id += 1;
            let client = if turn < self.clients { light(&mut random) } else { heavy(random.u32(..HEAVY)) };
            pipe.cmd("ZADD").arg(key(client)).arg(expires).arg(id).ignore();
            open.push((client, id));
            if turn % 1000 == 0 {
                pipe.exec(&mut connection).unwrap();
                pipe.clear();
            }
        }
        pipe.exec(&mut connection).unwrap();
        pipe.clear();

        let (total, before) = (open.len(), Meter::read(&server));
        let (mut requests, mut owed, mut next) = (0u64, 0.0, 0);
        let per_admission = total as f64 / REFRESH / f64::from(self.rate);
        let done = pace(self.rate, self.time, |turn| {
            let client = if turn % 20 == 0 { heavy(random.u32(..HEAVY)) } else { light(&mut random) };
            let at = random.usize(..open.len());
            let (gone, member) = open[at];
            pipe.cmd("ZREM").arg(key(gone)).arg(member).ignore();
            id += 1;
            pipe.cmd("EVALSHA").arg(&hash).arg(1).arg(key(client)).arg(1000).arg(expires).arg(id).arg(LIMIT).ignore();
            open[at] = (client, id);
            requests += 2;
            owed += per_admission;
            while owed >= 1.0 {
                owed -= 1.0;
                next = (next + 1) % open.len();
                let (client, member) = open[next];
                pipe.cmd("ZADD").arg(key(client)).arg("XX").arg(expires).arg(member).ignore();
                requests += 1;
            }
            if pipe.len() >= PIPELINE {
                pipe.exec(&mut connection).unwrap();
                pipe.clear();
            }
        });
        let after = Meter::read(&server);
        let seconds = (after.at - before.at).as_secs_f64();
        let cost = Cost {
            requests: requests as f64 / seconds,
            commands: (after.commands - before.commands) / seconds,
            busy: (after.busy - before.busy) / seconds,
        };
        println!("\n{total} connections, {:.0} admissions a second, a sorted set per client:", done as f64 / seconds);
        println!("  requests a second    {:8.0}", cost.requests);
        println!("  commands a second    {:8.0}", cost.commands);
        println!("  engine busy          {:8.2} % of a core", cost.busy * 100.0);
        Some(cost)
    }
}

/// Requests, and clients named in them.
fn totals(fleets: &[Fleet]) -> (u64, u64) {
    fleets
        .iter()
        .map(Fleet::stats)
        .fold((0, 0), |(requests, entries), stats| (requests + stats.requests, entries + stats.entries))
}
