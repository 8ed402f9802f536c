//! What a tracked client costs in memory, and what stays when the crowd has gone.
//!
//! `cargo bench -p connlimit-benches --bench memory`; see `benches/README.md`. Each line is measured in a process of its own: one peer's
//! garbage, or what the allocator keeps of it, is not the next one's.

#![allow(clippy::cast_precision_loss, reason = "numbers of bytes are far below 2^52")]

use core::alloc::{GlobalAlloc, Layout};
use core::iter::{once, repeat_n};
use core::net::IpAddr;
use core::sync::atomic::{AtomicUsize, Ordering};
use peers::{Peer, client, each_peer};
use report::{Options, Results, markdown, provenance};
use std::alloc::System;
use std::collections::VecDeque;
use std::process::Command;
use std::{env, fs, io};

#[allow(dead_code, reason = "shared with the other benchmarks")]
mod peers;
#[allow(dead_code, reason = "shared with the other benchmarks")]
mod report;

const OPTIONS: &[&str] = &["clients", "traffic", "peers", "save", "child"];

/// Of the raw data; the sizes are in bytes, and the table prints them per client.
const COLUMNS: [&str; 8] = ["peer", "clients", "permit", "full", "left", "later", "resident full", "resident later"];

fn main() -> io::Result<()> {
    let options = Options::parse(OPTIONS);
    let measured = options.measured;
    let traffic = options.number("traffic", if measured { 200_000 } else { 1_000 });
    let crowds: &[u32] = if measured { &[1_000, 100_000, 1_000_000] } else { &[1_000] };
    let crowds = options.numbers("clients", crowds);
    let peers: Vec<Entry> = each_peer!(entry).into_iter().filter(|peer| options.selects("peers", peer.name)).collect();
    if options.text("child").is_some() {
        (peers[0].run)(crowds[0], traffic);
        return Ok(());
    }

    for (what, text) in provenance("memory") {
        println!("- {what}: {text}");
    }
    println!("\nBytes for each client:\n");
    markdown(COLUMNS);
    markdown(once("---").chain(repeat_n("---:", COLUMNS.len() - 1)));
    let mut results = measured.then(|| Results::create("memory", &options, &COLUMNS.join(","))).transpose()?;
    for clients in crowds {
        for peer in &peers {
            let row = in_a_process(peer.name, clients, traffic)?;
            let mut cells: Vec<String> = row.split(',').map(str::to_owned).collect();
            for bytes in &mut cells[3..] {
                let total: f64 = bytes.parse().expect("a child prints numbers");
                *bytes = format!("{:.1}", total / f64::from(clients));
            }
            markdown(cells);
            if let Some(results) = &mut results {
                results.row(&[&row])?;
            }
        }
    }
    results.map_or(Ok(()), Results::close)
}

/// Runs this program again for one line of the raw data.
fn in_a_process(peer: &str, clients: u32, traffic: u32) -> io::Result<String> {
    let output = Command::new(env::current_exe()?)
        .args(["--child", "yes", "--peers", peer])
        .args(["--clients", &clients.to_string()])
        .args(["--traffic", &traffic.to_string()])
        .output()?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(io::Error::other(message));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

struct Entry {
    name: &'static str,
    run: fn(u32, u32),
}

const fn entry<P: Peer>() -> Entry {
    Entry { name: P::NAME, run: run::<P> }
}

/// One connection for each client; then all leave; then `traffic` other clients come and go, 16 at a time.
fn run<P: Peer>(clients: u32, traffic: u32) {
    const LIMIT: u32 = 1 << 20;
    collect_garbage(); // what it needs itself is not the peer's
    let start = [allocated(), resident()];
    let peer = P::new(LIMIT, clients + traffic);
    let empty = [allocated(), resident()];
    // The permits belong to the server: their memory is written now, and not counted.
    let mut open: Vec<Option<P::Permit<'_>>> = Vec::new();
    open.resize_with(clients as usize, || None);
    let mut few = VecDeque::with_capacity(17);
    let permits = [allocated() - empty[0], resident().saturating_sub(empty[1])];
    let now = || [allocated().saturating_sub(start[0] + permits[0]), resident().saturating_sub(start[1] + permits[1])];

    let address = |index| IpAddr::V4(client(index));
    for (permit, index) in open.iter_mut().zip(0..) {
        *permit = peer.try_acquire(&mut peer.batch(), address(index));
    }
    let [full, resident_full] = now();

    for permit in &mut open {
        drop(permit.take());
    }
    let [left, _] = now();

    for index in clients..clients + traffic {
        few.push_back(peer.try_acquire(&mut peer.batch(), address(index)));
        if few.len() > 16 {
            few.pop_front();
        }
    }
    few.clear();
    collect_garbage();
    let [later, resident_later] = now();

    let permit = size_of::<P::Permit<'_>>();
    println!("{},{clients},{permit},{full},{left},{later},{resident_full},{resident_later}", P::NAME);
}

/// Gives what connlimit has retired time to be freed; a server that keeps admitting does this by itself.
fn collect_garbage() {
    for _ in 0..1_000 {
        crossbeam_epoch::pin().flush();
    }
}

/// Bytes that are allocated and not freed, whether they have been touched or not.
fn allocated() -> usize {
    ALLOCATED.load(Ordering::Relaxed)
}

/// Bytes of memory that this process occupies, as Linux sees it; 0 elsewhere.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<usize>().ok());
    kibibytes.unwrap_or(0) * 1024
}

/// The system's allocator, counted.
struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;
static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: each call is passed on to `System` unchanged, which is an allocator; the count beside it touches nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`, which is that of `System.alloc`.
        unsafe { System.alloc(layout) }
    }

    // Passed on too: the default would write the zeros, and pages that nobody touched would be resident.
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc_zeroed`, which is that of `System.alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: `block` came from `System` with this layout, since all the functions here ask `System`.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATED.fetch_add(size, Ordering::Relaxed);
        ALLOCATED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: `block` came from `System` with this layout, since all the functions here ask `System`.
        unsafe { System.realloc(block, layout, size) }
    }
}
