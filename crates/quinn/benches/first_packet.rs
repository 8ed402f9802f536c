//! What a first packet costs the server, by what becomes of it: the time from the decision until quinn has answered.
//!
//! `cargo bench -p connlimit-quinn --bench first_packet`. Packets are whole and valid, and all are waiting when the clock
//! starts. Each line is the median of the rounds, with the least and the most.

use connlimit::{Config, Limiter};
use connlimit_quinn::{LimitedConnecting, LimitedEndpoint};
use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;
use quinn::{ClientConfig, Endpoint, Incoming, ServerConfig};
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Instant;

const PACKETS: u8 = 255;
const ROUNDS: usize = 21;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    let tls = Tls::new();
    println!("{PACKETS} packets, {ROUNDS} rounds, microseconds for each");
    report("quinn: ignore", || runtime.block_on(round(&tls, |_, incoming| incoming.ignore())));
    report("quinn: retry", || runtime.block_on(round(&tls, |_, incoming| incoming.retry().unwrap())));
    report("connlimit-quinn: retry", || {
        runtime.block_on(round(&tls, |endpoint, incoming| assert!(endpoint.admit(incoming).is_none())))
    });
    let mut begun: Vec<LimitedConnecting> = Vec::new();
    report("connlimit-quinn: retry, 64 places taken", || {
        begun.clear();
        let places = |endpoint: LimitedEndpoint| endpoint.with_unvalidated_handshakes(64);
        runtime.block_on(measure(&tls, places, 64, &mut begun, |endpoint, incoming| {
            assert!(endpoint.admit(incoming).is_none());
        }))
    });
    let mut connecting = Vec::new();
    report("quinn: accept (TLS begins)", || {
        connecting.clear();
        runtime.block_on(round(&tls, |_, incoming| connecting.push(incoming.accept().unwrap())))
    });
}

fn report(what: &str, mut round: impl FnMut() -> Duration) {
    let mut rounds: Vec<f64> = (0..ROUNDS).map(|_| round().as_secs_f64() * 1e6 / f64::from(PACKETS)).collect();
    rounds.sort_by(f64::total_cmp);
    println!("{what:40} {:8.2} ({:.2} to {:.2})", rounds[ROUNDS / 2], rounds[0], rounds[ROUNDS - 1]);
}

async fn round(tls: &Tls, act: impl FnMut(&LimitedEndpoint, Incoming)) -> Duration {
    measure(tls, |endpoint| endpoint, 0, &mut Vec::new(), act).await
}

/// Lets `first` handshakes begin, and then times what `act` does with each of the packets.
async fn measure(
    tls: &Tls,
    set: impl FnOnce(LimitedEndpoint) -> LimitedEndpoint,
    first: u8,
    begun: &mut Vec<LimitedConnecting>,
    mut act: impl FnMut(&LimitedEndpoint, Incoming),
) -> Duration {
    let endpoint = Endpoint::server(tls.server.clone(), (Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let addr = endpoint.local_addr().unwrap();
    let endpoint = set(LimitedEndpoint::new(endpoint, Limiter::new(Config::new(1))).unwrap());
    let forger = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut waiting = Vec::new();
    for packet in initials(usize::from(first) + usize::from(PACKETS), addr, &tls.client) {
        forger.send_to(&packet, addr).unwrap();
        waiting.push(endpoint.get_ref().accept().await.unwrap());
    }
    for incoming in waiting.drain(..usize::from(first)) {
        begun.push(endpoint.admit(incoming).expect("a place"));
    }
    let start = Instant::now();
    for incoming in waiting {
        act(&endpoint, incoming);
    }
    start.elapsed()
}

fn initials(number: usize, server: SocketAddr, config: &ClientConfig) -> Vec<Vec<u8>> {
    let mut endpoint = quinn_proto::Endpoint::new(Arc::default(), None, true, None);
    let initial = |_| {
        let now = Instant::now();
        let (_, mut connection) = endpoint.connect(now, config.clone(), server, "localhost").unwrap();
        let mut packet = Vec::new();
        let sent = connection.poll_transmit(now, 1, &mut packet).unwrap();
        assert_eq!(sent.size, packet.len());
        packet
    };
    (0..number).map(initial).collect()
}

struct Tls {
    server: ServerConfig,
    client: ClientConfig,
}

impl Tls {
    /// An ECDSA key on P-256, as most servers have.
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        Self {
            server: ServerConfig::with_single_cert(vec![made.cert.der().clone()], key.into()).unwrap(),
            client: ClientConfig::with_root_certificates(Arc::new(roots)).unwrap(),
        }
    }
}
