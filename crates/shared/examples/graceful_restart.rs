//! A server restarts gracefully: the new generation listens while the old one serves its last connections, and both have
//! one limit.
//!
//! `cargo run -p connlimit-shared --example graceful_restart`

mod support;

use connlimit_shared::{Limits, SharedConfig, SharedLimiter};
use core::error::Error;
use core::net::Ipv4Addr;
use std::io::{Write as _, stdin};
use std::process::Stdio;
use std::thread;
use support::{Role, connect, connect_all, eventually, listen, reserve, serve};

const LIMIT: usize = 6;

fn config() -> SharedConfig {
    SharedConfig::new(Limits::new(6)).with_clients(10_000).with_processes(4)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, port, path] = &arguments[..] {
        return generation(port.parse()?, path);
    }
    // On a server: /run/app/connlimit, which outlives every generation and no boot.
    let directory = tempfile::tempdir_in("/dev/shm")?;
    let path = directory.path().join("connlimit");
    let reserved = reserve(0)?;
    let server = reserved.local_addr()?.as_socket().ok_or("no address")?;
    let (port, text) = (server.port().to_string(), path.display().to_string());
    let client = Ipv4Addr::new(127, 0, 0, 2);

    let mut old = Role::start(&[&port, &text], Stdio::piped())?;
    println!("the old generation listens on {server}, {LIMIT} connections for each client");
    let mut long_lived = connect_all(client, server)?;
    assert_eq!(long_lived.len(), LIMIT);

    let _new = Role::start(&[&port, &text], Stdio::piped())?;
    old.child.stdin.as_mut().ok_or("no input")?.write_all(b"drain\n")?;
    old.expect("draining")?;
    println!("the new generation listens, the old one drains");

    // To see the counts, the example is a third process for a moment.
    let watch = SharedLimiter::open(&path, &config())?;
    assert_eq!(watch.stats().processes.len(), 3);
    assert!(connect(client, server)?.is_err(), "the new generation counts what the old one has open");
    println!("the new generation rejects: the old one has {} connections open", watch.open_connections(client));

    long_lived.truncate(4);
    eventually("two connections end", || watch.open_connections(client) == 4);
    let new = connect_all(client, server)?;
    assert_eq!(new.len(), 2, "two of the old generation's are closed");

    drop(long_lived);
    // It ends by itself with its last connection.
    assert!(old.child.wait()?.success());
    eventually("what the old generation had is not counted", || watch.open_connections(client) == 2);
    let more = connect_all(client, server)?;
    assert_eq!(more.len(), LIMIT - 2);
    assert_eq!(watch.stats().processes.len(), 2, "the old generation has left");
    println!("the old generation is gone, and the limit was one all the time");
    Ok(())
}

fn generation(port: u16, path: &str) -> Result<(), Box<dyn Error>> {
    let limiter = SharedLimiter::create_or_open(path, &config())?;
    let listener = listen(port)?;
    let accepting = {
        let (listener, limiter) = (listener.try_clone()?, limiter.clone());
        thread::spawn(move || serve(&listener, &limiter))
    };
    println!("ready");
    if stdin().read_line(&mut String::new())? > 0 {
        // Linux: who waits in `accept` gets an error.
        socket2::SockRef::from(&listener).shutdown(std::net::Shutdown::Both)?;
        drop(listener);
        accepting.join().map_err(|_| "the accept loop panicked")?;
        println!("draining");
        let me = std::process::id();
        let held = || {
            limiter
                .stats()
                .processes
                .iter()
                .filter(|process| process.pid == me)
                .map(|process| process.open_connections)
                .sum::<u64>()
        };
        eventually("the last connection ends", || held() == 0);
    }
    Ok(())
}
