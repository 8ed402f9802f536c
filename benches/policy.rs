//! What a policy costs: an admission and its release with one limit, and with more beside it.
//!
//! `cargo bench -p connlimit-benches --bench policy`; see `benches/README.md`. Each thread has a client of its own, in an IPv4 /24 of its own,
//! with another connection open: whatever the threads share, the configuration makes them share.

#![allow(clippy::cast_precision_loss, reason = "counts of operations are far below 2^52")]

use connlimit::{Config, Limiter, Permit};
use core::net::Ipv4Addr;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use core::time::Duration;
use report::{Options, Results, markdown, median, provenance};
use std::io;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

#[allow(dead_code, reason = "shared with the other benchmarks")]
mod report;

const OPTIONS: &[&str] = &["rounds", "ms", "only", "threads", "save"];

/// Out of reach: nobody is rejected.
const MOST: u32 = 1 << 20;
/// Operations between two looks at the clock's flag.
const BATCH: u32 = 64;

fn policies() -> Vec<(&'static str, Config)> {
    let plain = || Config::new(MOST);
    let tiers = |config: Config, prefixes: &[u8]| {
        prefixes.iter().fold(config, |config, &prefix| {
            let tier = config.with_tier(prefix, 64, MOST);
            tier.expect("narrow before wide")
        })
    };
    #[cfg_attr(not(feature = "rules"), expect(unused_mut, reason = "rules are one more"))]
    let mut policies = vec![
        ("plain", plain()),
        ("counting", plain().with_counting(true)),
        ("tier /24", tiers(plain(), &[24])),
        ("tiers /24 /16", tiers(plain(), &[24, 16])),
        ("tiers /24 /16 /8", tiers(plain(), &[24, 16, 8])),
        ("total", plain().with_max_total(MOST)),
        ("tier /24, total", tiers(plain(), &[24]).with_max_total(MOST)),
        ("shadow", plain().with_shadow(Config::new(MOST / 2))),
        ("dry run", plain().with_dry_run(true)),
    ];
    #[cfg(feature = "rules")]
    policies.push(("10,000 rules", with_rules(plain())));
    policies
}

/// Networks of all sizes, ten thousand of them; the clients' own is one.
#[cfg(feature = "rules")]
fn with_rules(config: Config) -> Config {
    use connlimit::config::Action;
    use ipnet::{IpNet, Ipv4Net};
    let network = |n: u32| {
        let addr = Ipv4Addr::from_bits(n.wrapping_mul(0x9E37_79B1));
        let prefix = 8 + u8::try_from(n % 25).expect("small");
        (IpNet::from(Ipv4Net::new_assert(addr, prefix).trunc()), Action::Limit(MOST))
    };
    config.with_rules((0..10_000).map(network)).expect("the same network has the same rule")
}

/// The client of a thread; all are in one /8, and no two in one /16.
fn client(thread: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, u8::try_from(thread).unwrap_or(u8::MAX), 0, 1)
}

fn main() -> io::Result<()> {
    let options = Options::parse(OPTIONS);
    let smoke = !options.measured;
    let rounds = options.number("rounds", if smoke { 1 } else { 7 });
    let time = Duration::from_millis(options.number("ms", if smoke { 1 } else { 100 }));
    let threads = options.numbers("threads", if smoke { &[2] } else { &[1, 2, 4] });
    let policies: Vec<_> = policies().into_iter().filter(|(name, _)| options.selects("only", name)).collect();

    let mut table = vec![vec![Vec::new(); threads.len()]; policies.len()];
    let mut results =
        options.measured.then(|| Results::create("policy", &options, "policy,threads,round,ns_per_op")).transpose()?;
    for round in 0..rounds {
        for (cells, (name, config)) in table.iter_mut().zip(&policies) {
            for (cell, &threads) in cells.iter_mut().zip(&threads) {
                let ns = run(config, threads, time);
                cell.push(ns);
                if let Some(results) = &mut results {
                    // The names have commas, which separate columns here.
                    let name = name.replace(',', " and");
                    results.row(&[&name, &threads, &round, &format_args!("{ns:.2}")])?;
                }
            }
        }
    }
    print(&policies, &threads, &table);
    results.map_or(Ok(()), Results::close)
}

/// The time that one admission with its release takes a thread, in nanoseconds: the mean over all threads.
fn run(config: &Config, threads: usize, time: Duration) -> f64 {
    let limiter = Limiter::new(config.clone());
    let held: Vec<Permit> =
        (0..threads).map(|thread| limiter.try_acquire(client(thread)).expect("nobody is rejected")).collect();
    let (ready, measuring, stop) = (Barrier::new(threads + 1), AtomicBool::new(false), AtomicBool::new(false));
    let work = |thread| {
        let client = client(thread);
        let batch = || (0..BATCH).for_each(|_| drop(limiter.try_acquire(client).expect("nobody is rejected")));
        ready.wait();
        while !measuring.load(Relaxed) {
            batch();
        }
        let mut ops = 0_u64;
        while !stop.load(Relaxed) {
            batch();
            ops += u64::from(BATCH);
        }
        ops
    };
    let ns_per_op = thread::scope(|scope| {
        let work = &work;
        let running: Vec<_> = (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
        ready.wait();
        thread::sleep(time / 5);
        let begin = Instant::now();
        measuring.store(true, Relaxed);
        thread::sleep(time);
        stop.store(true, Relaxed);
        let window = begin.elapsed();
        let ops: u64 = running.into_iter().map(|running| running.join().expect("no worker panics")).sum();
        window.as_secs_f64() * 1e9 * threads as f64 / ops as f64
    });
    // What was measured is what was meant: each permit counted, and each was given back.
    assert!(held.iter().all(Permit::is_tracked));
    assert!(limiter.stats().tiers.iter().all(|tier| tier.open_connections == threads as u64));
    ns_per_op
}

fn print(policies: &[(&str, Config)], threads: &[usize], table: &[Vec<Vec<f64>>]) {
    for (what, text) in provenance("policy") {
        println!("- {what}: {text}");
    }
    println!("\nns per admission and release, per thread; in brackets, times plain:\n");
    markdown(["policy".to_owned()].into_iter().chain(threads.iter().map(|threads| format!("threads: {threads}"))));
    markdown(["---"].into_iter().chain(threads.iter().map(|_| "---:")));
    let plain = policies.iter().position(|(name, _)| *name == "plain");
    for ((name, _), cells) in policies.iter().zip(table) {
        let cells = cells.iter().enumerate().map(|(column, rounds)| {
            let ns = median(rounds);
            let ratio = plain.map(|row| format!(" ({:.1})", ns / median(&table[row][column])));
            format!("{ns:.1}{}", ratio.unwrap_or_default())
        });
        markdown([(*name).to_owned()].into_iter().chain(cells));
    }
}
