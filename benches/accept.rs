//! Accepted connections per second of a Tokio server on loopback: without a limiter, with connlimit, and with the
//! mutexed map that servers write for themselves.
//!
//! ```text
//! cargo bench -p connlimit-benches --bench accept
//! ```
//!
//! Rounds are interleaved and medians reported, so that whatever else the machine does meets all of them alike. Two
//! threads connect from 64 addresses each; the server runs on one thread and drops each connection as soon as it has
//! it. Most of the time goes to the kernel, which is the point: it says what a limiter costs where it is used.

use connlimit::{Config, Limiter};
use connlimit_tokio::LimitedListener;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use socket2::{Domain, Socket, Type};
use std::collections::HashMap;
use std::io::{self, Read as _};
use std::sync::{Arc, Mutex};
use std::{env, thread, time::Instant};
use tokio::net::TcpListener;

const CLIENT_THREADS: usize = 2;
const LIMIT: u32 = 100;

#[derive(Clone, Copy)]
enum Variant {
    Unlimited,
    Connlimit,
    MutexedMap,
}

const VARIANTS: [(&str, Variant); 3] =
    [("no limiter", Variant::Unlimited), ("connlimit", Variant::Connlimit), ("Mutex<HashMap>", Variant::MutexedMap)];

fn main() -> io::Result<()> {
    // `cargo test --benches` passes `--test` and wants to see that it runs; `cargo bench` passes `--bench`.
    let measure = env::args().any(|arg| arg == "--bench");
    let (rounds, connections) = if measure { (15, 10_000) } else { (1, 100) };

    let mut rates = [const { Vec::new() }; VARIANTS.len()];
    for round in 0..rounds {
        for step in 0..VARIANTS.len() {
            // Each round begins with another variant.
            let index = (round + step) % VARIANTS.len();
            let taken = accept_all(VARIANTS[index].1, connections)?;
            #[expect(clippy::cast_precision_loss, reason = "far below 2^52 connections")]
            rates[index].push(connections as f64 / taken.as_secs_f64());
        }
    }

    println!("accepted connections per second, {connections} connections, {rounds} rounds");
    println!("{:<16} {:>10} {:>10} {:>10}", "", "median", "lowest", "highest");
    for ((name, _), rates) in VARIANTS.iter().zip(&mut rates) {
        rates.sort_by(f64::total_cmp);
        let median = rates[rates.len() / 2];
        println!("{name:<16} {median:>10.0} {:>10.0} {:>10.0}", rates[0], rates[rates.len() - 1]);
    }
    Ok(())
}

/// How long a server takes to accept `connections` from clients that keep its backlog filled.
fn accept_all(variant: Variant, connections: usize) -> io::Result<Duration> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let socket = TcpListener::bind("127.0.0.1:0").await?;
        let addr = socket.local_addr()?;
        let clients: Vec<_> = (0..CLIENT_THREADS)
            .map(|thread| thread::spawn(move || connect(thread, connections / CLIENT_THREADS, addr)))
            .collect();
        let start = Instant::now();
        match variant {
            Variant::Unlimited => {
                for _ in 0..connections {
                    drop(socket.accept().await?);
                }
            }
            Variant::Connlimit => {
                let limiter = Limiter::new(Config::new(LIMIT));
                let mut listener = LimitedListener::new(socket, limiter);
                for _ in 0..connections {
                    drop(listener.accept().await?);
                }
            }
            Variant::MutexedMap => {
                let map = MutexedMap::default();
                for _ in 0..connections {
                    let (stream, peer) = socket.accept().await?;
                    let guard = map.try_acquire(peer.ip());
                    drop((stream, guard.ok_or(io::ErrorKind::QuotaExceeded)?));
                }
            }
        }
        let taken = start.elapsed();
        for client in clients {
            client.join().map_err(|_| io::Error::other("a client thread panicked"))??;
        }
        Ok(taken)
    })
}

fn connect(thread: usize, connections: usize, server: SocketAddr) -> io::Result<()> {
    for connection in 0..connections {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        let [third, fourth] = [thread, connection % 64].map(|part| u8::try_from(part).unwrap_or(0));
        let from = Ipv4Addr::new(127, 8, third, fourth + 1);
        socket.bind(&SocketAddr::new(from.into(), 0).into())?;
        socket.connect(&server.into())?;
        // Waits for the server to be done with it, and then resets, so that no TIME_WAIT piles up on either side.
        let mut stream = std::net::TcpStream::from(socket);
        let _ended = stream.read(&mut [0])?;
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    }
    Ok(())
}

#[derive(Clone, Default)]
struct MutexedMap(Arc<Mutex<HashMap<IpAddr, u32>>>);

struct Guard(MutexedMap, IpAddr);

impl MutexedMap {
    fn try_acquire(&self, client: IpAddr) -> Option<Guard> {
        let mut counts = self.0.lock().ok()?;
        let count = counts.entry(client).or_insert(0);
        if *count >= LIMIT {
            return None;
        }
        *count += 1;
        Some(Guard(self.clone(), client))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Ok(mut counts) = self.0.0.lock() else {
            return;
        };
        if let Some(count) = counts.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.1);
            }
        }
    }
}
