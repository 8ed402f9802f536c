//! Listeners and streams of the other crates, with this limiter in place of the core's. Two limiters of one region stand for
//! two processes.

use connlimit::net::LimitedListener;
use connlimit_shared::{Limits, SharedConfig, SharedLimiter, SharedPermit};
use core::net::{Ipv4Addr, SocketAddr};
use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::thread;
use tokio::io::AsyncReadExt as _;

fn two() -> [SharedLimiter; 2] {
    let config = SharedConfig::new(Limits::new(2));
    let first = SharedLimiter::create_unnamed(&config).unwrap();
    let second = SharedLimiter::open_descriptor(first.descriptor().unwrap(), &config).unwrap();
    [first, second]
}

/// Whether the server closes the connection at once.
fn is_rejected(client: &mut TcpStream) -> bool {
    client.set_read_timeout(Some(core::time::Duration::from_millis(100))).unwrap();
    match client.read(&mut [0]) {
        Ok(0) => true,
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => true,
        Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => false,
        other => panic!("{other:?}"),
    }
}

#[test]
fn blocking_listeners_of_two_processes_have_one_limit() {
    let limiters = two();
    let mut servers: Vec<(SocketAddr, thread::JoinHandle<_>)> = Vec::new();
    for limiter in &limiters {
        let mut listener = LimitedListener::new(TcpListener::bind("127.0.0.1:0").unwrap(), limiter.clone());
        let addr = listener.get_ref().local_addr().unwrap();
        // Each hands out the first connection it admits.
        servers.push((addr, thread::spawn(move || (listener.accept().unwrap().0, listener))));
    }
    let [first, second] = [servers[0].0, servers[1].0].map(|addr| TcpStream::connect(addr).unwrap());
    let accepted: Vec<_> = servers.into_iter().map(|(_, server)| server.join().unwrap()).collect();
    assert_eq!(limiters[0].open_connections(Ipv4Addr::LOCALHOST), 2);

    let (mut streams, mut listeners): (Vec<_>, Vec<_>) = accepted.into_iter().unzip();
    let mut listener = listeners.pop().unwrap();
    let addr = listener.get_ref().local_addr().unwrap();
    let server = thread::spawn(move || listener.accept().unwrap().0);
    assert!(is_rejected(&mut TcpStream::connect(addr).unwrap()), "the other process has the place");

    drop(streams.remove(0));
    assert_eq!(limiters[1].open_connections(Ipv4Addr::LOCALHOST), 1);
    let third = TcpStream::connect(addr).unwrap();
    let _stream = server.join().unwrap();
    assert_eq!(limiters[0].open_connections(Ipv4Addr::LOCALHOST), 2);
    drop((first, second, third));
}

#[tokio::test]
async fn tokio_listeners_of_two_processes_have_one_limit() {
    let limiters = two();
    let mut listeners = Vec::new();
    for limiter in &limiters {
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listeners.push(connlimit_tokio::LimitedListener::new(socket, limiter.clone()));
    }
    let addrs: Vec<_> = listeners.iter().map(|listener| listener.get_ref().local_addr().unwrap()).collect();
    let mut clients = Vec::new();
    let mut streams = Vec::new();
    for (listener, addr) in listeners.iter_mut().zip(&addrs) {
        clients.push(tokio::net::TcpStream::connect(addr).await.unwrap());
        streams.push(listener.accept().await.unwrap().0);
    }
    assert_eq!(limiters[0].open_connections(Ipv4Addr::LOCALHOST), 2);

    let mut listener = listeners.pop().unwrap();
    let server = tokio::spawn(async move { listener.accept().await.unwrap().0 });
    let mut rejected = tokio::net::TcpStream::connect(addrs[1]).await.unwrap();
    assert!(matches!(rejected.read(&mut [0]).await, Ok(0) | Err(_)), "the other process has the place");

    // Both halves are one permit.
    let (reader, writer) = streams.remove(0).into_split();
    drop(writer);
    assert_eq!(limiters[1].open_connections(Ipv4Addr::LOCALHOST), 2);
    drop(reader);
    assert_eq!(limiters[1].open_connections(Ipv4Addr::LOCALHOST), 1);
    let _third = tokio::net::TcpStream::connect(addrs[1]).await.unwrap();
    let stream = server.await.unwrap();
    let _permit: &SharedPermit = stream.permit();
    assert_eq!(limiters[0].open_connections(Ipv4Addr::LOCALHOST), 2);
}

#[test]
fn permits_and_limiters_go_to_any_thread() {
    fn check<T: Send + Sync + Unpin + 'static>() {}
    check::<SharedLimiter>();
    check::<SharedPermit>();
    assert_eq!(size_of::<Option<SharedPermit>>(), 2 * size_of::<usize>());
}
