//! Four worker processes on one port, one limit for each client; a worker is killed with `SIGKILL`, and the counts are
//! right again.
//!
//! `cargo run -p connlimit-shared --example four_workers`

mod support;

use connlimit_shared::{Limits, SharedConfig, SharedLimiter};
use core::error::Error;
use core::net::Ipv4Addr;
use std::io::{ErrorKind, stdin};
use std::net::TcpStream;
use std::process::Stdio;
use support::{Role, connect_all, listen, reserve, serve};

const LIMIT: usize = 12;

fn config() -> SharedConfig {
    SharedConfig::new(Limits::new(12)).with_clients(10_000).with_processes(8)
}

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(port) = std::env::args().nth(1) {
        return worker(port.parse()?);
    }
    // The supervisor makes the region, and each worker gets a descriptor of it as its standard input.
    let limiter = SharedLimiter::create_unnamed(&config())?;
    let reserved = reserve(0)?;
    let server = reserved.local_addr()?.as_socket().ok_or("no address")?;
    let port = server.port().to_string();
    let mut workers = (0..4)
        .map(|_| Role::start(&[&port], Stdio::from(limiter.descriptor()?)).map_err(Into::into))
        .collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    println!("four workers listen on {server}, {LIMIT} connections for each client");

    let client = Ipv4Addr::new(127, 0, 0, 2);
    let first = connect_all(client, server)?;
    assert_eq!(first.len(), LIMIT);
    show(&limiter);

    let (victim, lost) = workers
        .iter()
        .enumerate()
        .map(|(index, worker)| (index, held(&limiter, worker.child.id())))
        .max_by_key(|(_, held)| *held)
        .ok_or("no worker")?;
    let mut worker = workers.swap_remove(victim);
    println!("killing process {} with SIGKILL: it has {lost} of them", worker.child.id());
    worker.child.kill()?;
    worker.child.wait()?;

    // A supervisor knows at once. Without one, the next rejections would find out.
    let reaped = limiter.reap()?.ok_or("somebody else sweeps")?;
    println!("reaped {} process with {} connections", reaped.processes, reaped.connections);
    assert_eq!((reaped.processes, usize::try_from(reaped.connections)?), (1, lost));
    assert_eq!(limiter.open_connections(client) as usize, LIMIT - lost);
    show(&limiter);

    let again = connect_all(client, server)?;
    assert_eq!(again.len(), lost, "as many as were lost, and not one more");
    let other = connect_all(Ipv4Addr::new(127, 0, 0, 3), server)?;
    assert_eq!(other.len(), LIMIT, "another client has its own limit");
    show(&limiter);

    // The kernel has closed what the dead worker had, and nothing else.
    let closed = first.iter().filter(|stream| is_closed(stream)).count();
    assert_eq!(closed, lost);
    println!("all counts are right");
    Ok(())
}

fn worker(port: u16) -> Result<(), Box<dyn Error>> {
    let limiter = SharedLimiter::open_descriptor(stdin(), &config())?;
    let listener = listen(port)?;
    println!("ready");
    serve(&listener, &limiter);
    Ok(())
}

fn is_closed(stream: &TcpStream) -> bool {
    drop(stream.set_nonblocking(true));
    !matches!(stream.peek(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock)
}

fn held(limiter: &SharedLimiter, pid: u32) -> usize {
    let stats = limiter.stats();
    stats
        .processes
        .iter()
        .filter(|process| process.pid == pid)
        .map(|process| usize::try_from(process.open_connections).unwrap_or(0))
        .sum()
}

fn show(limiter: &SharedLimiter) {
    let stats = limiter.stats();
    println!("  {} connections of {} clients:", stats.open_connections, stats.clients);
    for process in stats.processes {
        println!("    process {:>7}: {:>3}", process.pid, process.open_connections);
    }
}
