//! The worst that can happen to one caller: single calls while the table grows from nothing to a million clients.
//!
//! `cargo bench -p connlimit-benches --bench latency`; see `benches/README.md`. Beside the peers stands `nothing`: the same loop around no
//! call at all. What it shows is the timer (p50) and the machine taking the processor away (p99.99, max). A single
//! maximum may be such an interruption, so the column to compare is the smallest of the rounds' maxima: an
//! interruption does not come back in each round, a table that is copied does.

use core::hint::black_box;
use core::net::IpAddr;
use hdrhistogram::Histogram;
use peers::{Connlimit, Dash, InBatch, Map, Mapped, Papaya, ParkingLot, Peer, Scc, StdMutex, client};
use rand::{SeedableRng, rngs::SmallRng, seq::SliceRandom};
use report::{Options, Results, markdown, provenance};
use std::io;
use std::time::Instant;

#[allow(dead_code, unused_imports, unused_macros, reason = "shared with the other benchmarks")]
mod peers;
#[allow(dead_code, reason = "shared with the other benchmarks")]
mod report;

const OPTIONS: &[&str] = &["rounds", "clients", "peers", "save"];

fn main() -> io::Result<()> {
    let options = Options::parse(OPTIONS);
    let rounds = options.number("rounds", if options.measured { 10 } else { 1 });
    let clients = options.number("clients", if options.measured { 1_000_000 } else { 1_000 });
    let mut arrivals: Vec<IpAddr> = (0..clients).map(|index| client(index).into()).collect();
    arrivals.shuffle(&mut SmallRng::seed_from_u64(0));

    let mut peers: Vec<Entry> = [
        entry::<Nothing>(),
        entry::<Connlimit>(),
        entry::<InBatch>(),
        entry::<Mapped<Dash<IpAddr>>>(),
        entry::<Mapped<Scc>>(),
        entry::<Mapped<Papaya>>(),
        entry::<Mapped<ParkingLot>>(),
        entry::<Mapped<StdMutex>>(),
    ]
    .into_iter()
    .filter(|peer| options.selects("peers", peer.name) || peer.name == Nothing::NAME)
    .collect();

    let columns = "peer,round,call,p50_ns,p99_ns,p99.99_ns,max_ns";
    let mut results = options.measured.then(|| Results::create("latency", &options, columns)).transpose()?;
    for round in 0..rounds {
        for peer in &mut peers {
            let calls = (peer.run)(&arrivals);
            for (summary, calls) in [&mut peer.admit, &mut peer.release].into_iter().zip(&calls) {
                summary.all.add(calls).expect("histograms of one kind");
                summary.least_max = summary.least_max.min(calls.max());
            }
            for (call, calls) in ["admit", "release"].iter().zip(&calls) {
                if let Some(results) = &mut results {
                    let [p50, p99, p99_99] = quantiles(calls);
                    results.row(&[&peer.name, &round, call, &p50, &p99, &p99_99, &calls.max()])?;
                }
            }
        }
        eprintln!("round {} of {rounds}", round + 1);
    }
    print(&peers);
    results.map_or(Ok(()), Results::close)
}

struct Entry {
    name: &'static str,
    run: fn(&[IpAddr]) -> [Histogram<u64>; 2],
    admit: Summary,
    release: Summary,
}

/// Over all rounds.
struct Summary {
    all: Histogram<u64>,
    least_max: u64,
}

fn entry<P: Peer>() -> Entry {
    let summary = || Summary { all: histogram(), least_max: u64::MAX };
    Entry { name: P::NAME, run: run::<P>, admit: summary(), release: summary() }
}

/// Nanoseconds up to a minute, with three significant digits.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(60_000_000_000, 3).expect("three digits are possible")
}

/// Admits every client once, then releases them in the order of their arrival.
fn run<P: Peer>(arrivals: &[IpAddr]) -> [Histogram<u64>; 2] {
    let peer = P::new(16, u32::try_from(arrivals.len()).expect("few clients"));
    // Filled once before, so that no page of it is touched for the first time while the clock runs.
    let mut open: Vec<Option<P::Permit<'_>>> = Vec::new();
    open.resize_with(arrivals.len(), || None);

    let [mut admit, mut release] = [histogram(), histogram()];
    for (arrived, permits) in arrivals.chunks(64).zip(open.chunks_mut(64)) {
        let mut batch = peer.batch();
        for (&client, permit) in arrived.iter().zip(permits) {
            let begin = Instant::now();
            let admitted = peer.try_acquire(&mut batch, black_box(client));
            let end = Instant::now();
            *permit = black_box(admitted);
            admit.saturating_record(nanoseconds(begin, end));
        }
    }
    for permit in &mut open {
        let permit = permit.take().expect("nobody is at the limit");
        let begin = Instant::now();
        drop(black_box(permit));
        let end = Instant::now();
        release.saturating_record(nanoseconds(begin, end));
    }
    [admit, release]
}

fn nanoseconds(begin: Instant, end: Instant) -> u64 {
    u64::try_from((end - begin).as_nanos()).unwrap_or(u64::MAX)
}

fn quantiles(calls: &Histogram<u64>) -> [u64; 3] {
    [0.5, 0.99, 0.9999].map(|quantile| calls.value_at_quantile(quantile))
}

fn print(peers: &[Entry]) {
    for (what, text) in provenance("latency") {
        println!("- {what}: {text}");
    }
    for call in ["admit", "release"] {
        println!("\nns for one call, {call}:\n");
        let columns = ["p50", "p99", "p99.99", "max", "smallest max of a round"];
        markdown(["peer"].into_iter().chain(columns));
        markdown(["---", "---:", "---:", "---:", "---:", "---:"]);
        for peer in peers {
            let summary = match call {
                "admit" => &peer.admit,
                _ => &peer.release,
            };
            let [p50, p99, p99_99] = quantiles(&summary.all);
            let values = [p50, p99, p99_99, summary.all.max(), summary.least_max];
            let name = [peer.name.to_owned()].into_iter();
            markdown(name.chain(values.map(|value| value.to_string())));
        }
    }
}

/// Does nothing, for the timer and the noise of the machine.
#[derive(Default)]
struct Idle;

type Nothing = Mapped<Idle>;

impl Map for Idle {
    const NAME: &'static str = "nothing";

    fn raise(&self, _: IpAddr, _: u32) -> bool {
        true
    }

    fn lower(&self, _: IpAddr) {}
}
