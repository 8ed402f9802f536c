//! The short comparison, with criterion: how long an admission and its release take, beside the peers.
//!
//! `cargo bench -p connlimit-benches --bench admit`; see `benches/README.md`.

#![allow(clippy::cast_precision_loss, reason = "counts of operations are far below 2^52")]

use core::cell::{OnceCell, RefCell};
use core::time::Duration;
use criterion::{Criterion, criterion_group, criterion_main};
use peers::{Peer, each_peer};
use std::sync::Barrier;
use std::thread;
use std::time::Instant;
use workloads::{EXISTING, RECONNECT, REJECTED, SHARED, Streams, UNIFORM_1M, Worker, Workload, crew};

#[allow(dead_code, reason = "shared with the other benchmarks")]
mod peers;
#[allow(dead_code, reason = "shared with the other benchmarks")]
mod workloads;

/// Workloads, and the numbers of threads at which each is worth its time here; `matrix` has the rest.
const CASES: [(Workload, &[usize]); 5] =
    [(EXISTING, &[1, 2, 4]), (RECONNECT, &[1]), (SHARED, &[2, 4]), (REJECTED, &[1, 2, 4]), (UNIFORM_1M, &[1])];

fn admit(criterion: &mut Criterion) {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let streams = RefCell::new(Streams::new(1 << 22));
    for (workload, threads) in CASES {
        for &threads in threads.iter().filter(|&&threads| threads <= cores) {
            for run in each_peer!(entry) {
                run(criterion, &workload, threads, &streams);
            }
        }
    }
}

type Entry = fn(&mut Criterion, &Workload, usize, &RefCell<Streams>);

fn entry<P: Peer>() -> Entry {
    |criterion, workload, threads, streams| {
        // Made when the first sample asks for them, so a filtered run does not pay for the others.
        let peer = OnceCell::new();
        let mut workers = Vec::new();
        let mut group = criterion.benchmark_group(format!("{}/{threads}", workload.name));
        group.bench_function(P::NAME, |bencher| {
            if workers.is_empty() {
                let peer = peer.get_or_init(|| P::new(workload.limit, workload.clients(threads)));
                let streams = streams.borrow_mut().of(workload.crowd, threads);
                workers = crew(peer, workload, streams);
                workers.iter_mut().for_each(Worker::prepare);
            }
            bencher.iter_custom(|operations| time(&mut workers, operations));
        });
        group.finish();
        workers.iter().for_each(Worker::verify);
    }
}

/// How long the slowest thread takes for about `operations`, scaled to exactly that many.
fn time<P: Peer>(workers: &mut [Worker<'_, P>], operations: u64) -> Duration {
    let start = Barrier::new(workers.len());
    let clock = |worker: &mut Worker<'_, P>| {
        start.wait();
        let begin = Instant::now();
        let done = worker.run(operations);
        begin.elapsed().div_f64(done as f64 / operations as f64)
    };
    if let [worker] = workers {
        return clock(worker);
    }
    thread::scope(|scope| {
        let running: Vec<_> = workers.iter_mut().map(|worker| scope.spawn(|| clock(worker))).collect();
        let times = running.into_iter().map(|running| running.join().expect("no worker panics"));
        times.max().unwrap_or_default()
    })
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .without_plots()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(800))
        .sample_size(20);
    targets = admit
}
criterion_main!(benches);
