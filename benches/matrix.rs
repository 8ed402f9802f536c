//! The published comparison: every workload, on several numbers of threads, for every peer.
//!
//! `cargo bench -p connlimit-benches --bench matrix`; see `benches/README.md`. Each round runs all peers of a cell one after the other, and
//! the rounds go over the whole matrix, so that a disturbance of seconds hits one round of many cells and not many
//! rounds of one. What counts is the median of the rounds.

#![allow(clippy::cast_precision_loss, reason = "counts of operations are far below 2^52")]

use core::sync::atomic::{AtomicU8, Ordering};
use core::time::Duration;
use peers::{Peer, each_peer};
use report::{Options, Results, markdown, median, provenance};
use std::collections::HashMap;
use std::io;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;
use workloads::{ALL, Streams, Worker, Workload, crew};

#[allow(dead_code, reason = "shared with the other benchmarks")]
mod peers;
#[allow(dead_code, reason = "shared with the other benchmarks")]
mod report;
#[allow(dead_code, reason = "shared with the other benchmarks")]
mod workloads;

const OPTIONS: &[&str] = &["rounds", "ms", "only", "threads", "peers", "save"];

/// The rows of the tables: a workload at a number of threads.
type Row = (&'static str, usize);

fn main() -> io::Result<()> {
    let options = Options::parse(OPTIONS);
    let smoke = !options.measured;
    let rounds = options.number("rounds", if smoke { 1 } else { 5 });
    let time = Duration::from_millis(options.number("ms", if smoke { 1 } else { 100 }));
    let threads = options.numbers("threads", if smoke { &[2] } else { &[1, 2, 4] });
    let cases: Vec<(Workload, usize)> = ALL
        .iter()
        .filter(|workload| options.selects("only", workload.name))
        .filter(|workload| !smoke || workload.clients(1) <= 10_000)
        .flat_map(|workload| threads.iter().map(|&threads| (*workload, threads)))
        .filter(|(workload, threads)| *threads >= workload.min_threads)
        .collect();
    let peers: Vec<Entry> = each_peer!(entry).into_iter().filter(|peer| options.selects("peers", peer.name)).collect();

    let mut streams = Streams::new(if smoke { 1 << 12 } else { 1 << 22 });
    let mut table = HashMap::<(Row, &str), Vec<f64>>::new();
    let columns = "workload,threads,peer,round,ns_per_op,ops";
    let mut results = options.measured.then(|| Results::create("matrix", &options, columns)).transpose()?;
    for round in 0..rounds {
        for (workload, threads) in &cases {
            let streams = streams.of(workload.crowd, *threads);
            for turn in 0..peers.len() {
                // Nobody is always the first, or always after the same neighbour's heat.
                let peer = &peers[(turn + round) % peers.len()];
                let measured = (peer.run)(workload, streams.clone(), time);
                let row = (workload.name, *threads);
                let rounds = table.entry((row, peer.name)).or_default();
                rounds.push(measured.ns_per_op);
                if let Some(results) = &mut results {
                    results.row(&[
                        &workload.name,
                        threads,
                        &peer.name,
                        &round,
                        &format_args!("{:.2}", measured.ns_per_op),
                        &measured.ops,
                    ])?;
                }
            }
        }
        eprintln!("round {} of {rounds}", round + 1);
    }
    print(&cases, &peers, &table);
    results.map_or(Ok(()), Results::close)
}

struct Entry {
    name: &'static str,
    run: fn(&Workload, Vec<Stream>, Duration) -> Measured,
}

type Stream = std::sync::Arc<[core::net::Ipv4Addr]>;

const fn entry<P: Peer>() -> Entry {
    Entry { name: P::NAME, run: run::<P> }
}

struct Measured {
    /// The time that a thread takes for one operation, waiting included: the mean over all operations.
    ns_per_op: f64,
    ops: u64,
}

const WARM_UP: u8 = 0;
const MEASURE: u8 = 1;
const STOP: u8 = 2;

/// Starts from an empty limiter, prepares and warms up on all threads, then counts for `time`.
fn run<P: Peer>(workload: &Workload, streams: Vec<Stream>, time: Duration) -> Measured {
    let threads = streams.len();
    let peer = P::new(workload.limit, workload.clients(threads));
    // They stay to the end: the open connections of one are part of what the others meet.
    let mut workers = crew(&peer, workload, streams);
    let (phase, ready) = (AtomicU8::new(WARM_UP), Barrier::new(threads + 1));
    let work = |worker: &mut Worker<'_, P>| {
        worker.prepare();
        ready.wait();
        while phase.load(Ordering::Relaxed) == WARM_UP {
            worker.run(1);
        }
        let mut ops = 0;
        while phase.load(Ordering::Relaxed) == MEASURE {
            ops += worker.run(1);
        }
        ops
    };
    let (window, ops): (Duration, u64) = thread::scope(|scope| {
        let work = &work;
        let running: Vec<_> = workers.iter_mut().map(|worker| scope.spawn(move || work(worker))).collect();
        ready.wait();
        thread::sleep(time / 5);
        // One window for all: a thread that a lock keeps waiting has spent its time, too.
        let begin = Instant::now();
        phase.store(MEASURE, Ordering::Relaxed);
        thread::sleep(time);
        phase.store(STOP, Ordering::Relaxed);
        let window = begin.elapsed();
        let ops = running.into_iter().map(|running| running.join().expect("no worker panics"));
        (window, ops.sum())
    });
    workers.iter().for_each(Worker::verify);
    Measured { ns_per_op: window.as_secs_f64() * 1e9 * threads as f64 / ops as f64, ops }
}

fn print(cases: &[(Workload, usize)], peers: &[Entry], table: &HashMap<(Row, &str), Vec<f64>>) {
    for (what, text) in provenance("matrix") {
        println!("- {what}: {text}");
    }
    let cell = |row, peer| table.get(&(row, peer)).map(|rounds| median(rounds));
    let tables =
        [("ns per operation and thread", None), ("Times the floor", Some("floor")), ("Times dashmap", Some("dashmap"))];
    for (title, reference) in tables {
        if reference.is_some_and(|name| peers.iter().all(|peer| peer.name != name)) {
            continue;
        }
        println!("\n{title}:\n");
        let names = peers.iter().map(|peer| peer.name);
        markdown(["workload", "threads"].into_iter().chain(names));
        markdown(["---"].into_iter().chain(core::iter::repeat_n("---:", peers.len() + 1)));
        for (workload, threads) in cases {
            let row = (workload.name, *threads);
            let unit = reference.map_or(Some(1.0), |reference| cell(row, reference));
            let decimals = if reference.is_some() { 2 } else { 1 };
            let cells = peers.iter().map(|peer| {
                let value = cell(row, peer.name).zip(unit).map(|(ns, unit)| ns / unit);
                value.map_or(String::new(), |value| format!("{value:.decimals$}"))
            });
            let head = [workload.name.to_owned(), threads.to_string()];
            markdown(head.into_iter().chain(cells));
        }
    }
}
