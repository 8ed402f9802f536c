//! Packets that name a victim. On loopback a socket at the victim's address stands for whoever forges it: the server
//! cannot tell the difference, as long as what it sends there is never answered.

mod loopback;

use connlimit::{Config, Limiter};
use connlimit_quinn::LimitedEndpoint;
use core::net::{Ipv4Addr, SocketAddr};
use core::pin::pin;
use core::time::Duration;
use futures_util::poll;
use loopback::{Server, ip, tls, until};
use quinn::{ClientConfig, Endpoint, VarInt};
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Instant;

const VICTIM: u8 = 66;
const BATCH: usize = 32;

/// First packets of real clients, whole and valid: a server that lets them in begins a TLS handshake.
fn initials(number: usize, server: SocketAddr, config: &ClientConfig) -> Vec<Vec<u8>> {
    let mut endpoint = quinn_proto::Endpoint::new(Arc::default(), None, true, None);
    (0..number)
        .map(|_| {
            let now = Instant::now();
            let (_, mut connection) = endpoint.connect(now, config.clone(), server, "localhost").unwrap();
            let mut packet = Vec::new();
            let sent = connection.poll_transmit(now, 1, &mut packet).expect("a first packet");
            assert_eq!(sent.size, packet.len());
            assert!(packet.len() >= 1200 && kind(&packet) == Kind::Initial);
            packet
        })
        .collect()
}

#[derive(Debug, PartialEq)]
enum Kind {
    Initial,
    Retry,
    Other,
}

/// What a packet is, by its first byte (RFC 9000, section 17.2).
fn kind(packet: &[u8]) -> Kind {
    match packet[0] & 0xf0 {
        0xc0 => Kind::Initial,
        0xf0 => Kind::Retry,
        _ => Kind::Other,
    }
}

struct Forger {
    socket: UdpSocket,
    initials: Vec<Vec<u8>>,
}

impl Forger {
    fn new(named: Ipv4Addr, server: SocketAddr, initials: Vec<Vec<u8>>) -> Self {
        let socket = UdpSocket::bind((named, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        socket.connect(server).unwrap();
        Self { socket, initials }
    }

    /// Sends packets and waits until each has had its Retry, so that none is lost in a full buffer.
    fn send(&self, packets: impl Iterator<Item = usize>) -> usize {
        let mut sent = 0;
        for packet in packets {
            self.socket.send(&self.initials[packet % self.initials.len()]).unwrap();
            sent += 1;
        }
        let mut answer = [0; 2048];
        for _ in 0..sent {
            let bytes = self.socket.recv(&mut answer).expect("an answer to each packet");
            assert_eq!(kind(&answer[..bytes]), Kind::Retry);
            assert!(bytes * 3 < 1200, "{bytes} bytes amplify nothing");
        }
        sent
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_packets_that_name_a_victim_neither_reject_it_nor_cost_a_handshake() {
    const PACKETS: usize = 100_000;
    // One connection for the victim, and one for all: what one packet could use up is all there is.
    let server = Server::echo(Config::new(1).with_max_total(1), |endpoint| endpoint);
    let pool = initials(16 * BATCH, server.addr, &server.client_config);
    let addr = server.addr;
    let flood = tokio::task::spawn_blocking(move || {
        // Every other batch names the victim, the others all sorts of addresses.
        let victim = Forger::new(ip(VICTIM), addr, pool.clone());
        let mut sent = 0;
        while sent < PACKETS {
            let turn = sent / BATCH;
            let other = u8::try_from(turn % 250).unwrap();
            let range = sent..(sent + BATCH).min(PACKETS);
            sent += if turn % 2 == 0 {
                victim.send(range)
            } else {
                Forger::new(Ipv4Addr::new(127, 0, 7, other), addr, pool.clone()).send(range)
            };
        }
        sent
    });

    let mut connected = 0;
    while !flood.is_finished() {
        // With a port of its own each time, and without a token.
        let connection = server.client(VICTIM).connect().await.expect("the victim is admitted");
        assert_eq!(server.open(VICTIM), 1);
        connected += 1;
        connection.close(VarInt::from_u32(0), b"");
        until("its place is free", || server.open(VICTIM) == 0).await;
    }
    assert_eq!(flood.await.unwrap(), PACKETS);
    let _last = server.client(VICTIM).connect().await.expect("the victim is admitted");
    connected += 1;

    let counts = server.endpoint.counts();
    println!("{connected} connections of the victim meanwhile; {counts:?}");
    assert!(connected > 1, "the victim came in the midst of it");
    assert_eq!(server.handshakes(), connected, "TLS for the victim's own connections alone");
    assert_eq!((counts.admitted, counts.rejected, counts.failed), (connected, 0, 0), "{counts:?}");
    assert!(counts.retried >= PACKETS as u64 + connected, "{counts:?}");
    assert_eq!(server.endpoint.get_ref().stats().refused_handshakes, 0);
    assert!(server.told.lock().unwrap().is_empty(), "no name in a log");
    let clients: Vec<_> = server.limiter.top(8).into_iter().map(|count| count.client.ip()).collect();
    assert_eq!(clients, [Some(ip(VICTIM).into())], "and no other in the table");
}

/// What the test above would not notice if the packets were worth nothing: without validation each of them begins a
/// handshake and is counted, and the victim is locked out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_validation_the_same_packets_lock_the_victim_out() {
    let tls = tls();
    let endpoint = Endpoint::server(tls.server, (Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let addr = endpoint.local_addr().unwrap();
    let limiter = Limiter::new(Config::new(1));
    let initials = initials(10, addr, &tls.client);
    let forger = UdpSocket::bind((ip(VICTIM), 0)).unwrap();
    let mut kept = Vec::new();
    for (number, packet) in initials.iter().enumerate() {
        forger.send_to(packet, addr).unwrap();
        let incoming = endpoint.accept().await.unwrap();
        assert!(!incoming.remote_address_validated());
        match limiter.try_acquire(incoming.remote_address()) {
            Ok(permit) => kept.push((incoming.accept().expect("a valid packet"), permit)),
            Err(_) => incoming.refuse(),
        }
        assert_eq!(kept.len(), 1, "the first of {number} is counted for the victim");
    }
    assert_eq!(endpoint.stats().accepted_handshakes, 1);
    assert!(limiter.try_acquire(ip(VICTIM)).is_err(), "the victim is locked out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packets_take_the_places_and_nothing_else() {
    const PLACES: u8 = 8;
    const PACKETS: usize = 2_000;
    let set = |endpoint: LimitedEndpoint| {
        endpoint.with_handshake_deadline(Duration::from_secs(600)).with_unvalidated_handshakes(PLACES)
    };
    let server = Server::echo(Config::new(1), set);
    let (addr, config) = (server.addr, server.client_config.clone());
    let taking = initials(PLACES.into(), addr, &config);
    let taker = UdpSocket::bind((ip(VICTIM), 0)).unwrap();
    for packet in &taking {
        taker.send_to(packet, addr).unwrap();
    }
    until("the places are taken", || server.endpoint.counts().unvalidated == PLACES.into()).await;
    assert_eq!(server.open(VICTIM), 0, "and counted for nobody");

    tokio::task::spawn_blocking(move || {
        let forger = Forger::new(ip(VICTIM), addr, initials(PACKETS / 4, addr, &config));
        (0..PACKETS).step_by(BATCH).for_each(|start| {
            forger.send(start..(start + BATCH).min(PACKETS));
        });
    })
    .await
    .unwrap();
    let _victim = server.client(VICTIM).connect().await.expect("the victim is admitted");

    let counts = server.endpoint.counts();
    assert_eq!(server.handshakes(), u64::from(PLACES) + 1, "{counts:?}");
    assert_eq!((counts.unvalidated, counts.admitted, counts.rejected), (PLACES.into(), 1, 0), "{counts:?}");
    assert!(server.told.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_flood_leaves_other_tasks_their_turn() {
    let server = Server::bind(Config::new(1), |endpoint| endpoint);
    let forger = UdpSocket::bind((ip(VICTIM), 0)).unwrap();
    // Few enough at a time for the socket's buffer; quinn takes them in while this task waits.
    for batch in initials(160, server.addr, &server.client_config).chunks(BATCH) {
        for packet in batch {
            forger.send_to(packet, server.addr).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut accept = pin!(server.endpoint.accept());
    let mut retried = Vec::new();
    for _ in 0..3 {
        assert!(poll!(accept.as_mut()).is_pending());
        retried.push(server.endpoint.counts().retried);
    }
    assert_eq!(retried, [64, 128, 160]);
}
