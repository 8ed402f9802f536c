//! Limits before the TLS handshake, while it is under way, and after it; the permit lives as long as the TLS connection.

mod loopback;

use connlimit::{Config, Limiter};
use connlimit_tokio::{Handshakes, LimitedListener, Reject};
use core::net::SocketAddr;
use core::time::Duration;
use loopback::{PATIENCE, client, dial, eventually, listen, until_closed, within};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};

fn tls() -> (TlsAcceptor, TlsConnector) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let server = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], signing_key.into())
        .unwrap();
    let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    (TlsAcceptor::from(Arc::new(server)), TlsConnector::from(Arc::new(client)))
}

async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<()> {
    loop {
        let byte = stream.read_u8().await?;
        stream.write_u8(byte).await?;
        stream.flush().await?;
    }
}

/// Claims the permit of the session before the handshake.
async fn serve(max: u32, acceptor: TlsAcceptor) -> (SocketAddr, Limiter) {
    let (socket, addr) = listen().await;
    let limiter = Limiter::new(Config::new(max));
    let mut listener = LimitedListener::new(socket, limiter.clone());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move { echo(acceptor.accept(stream).await?).await });
        }
    });
    (addr, limiter)
}

/// A server with phases.
struct Phases {
    addr: SocketAddr,
    before: Limiter,
    sessions: Limiter,
}

impl Phases {
    async fn serve(before: u32, sessions: u32, deadline: Duration, acceptor: TlsAcceptor) -> Self {
        let (socket, addr) = listen().await;
        let (before, sessions) = (Limiter::new(Config::new(before)), Limiter::new(Config::new(sessions)));
        let handshakes =
            Handshakes::new(socket, before.clone(), move |stream| acceptor.accept(stream)).with_deadline(deadline);
        let mut listener =
            LimitedListener::new(handshakes, sessions.clone()).reject_with(Reject::Http429 { retry_after: None });
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(echo(stream));
            }
        });
        Self { addr, before, sessions }
    }
}

async fn shake(connector: &TlsConnector, addr: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = dial(client(1), addr).await;
    let name = "localhost".try_into().unwrap();
    within("the handshake", connector.connect(name, stream)).await
}

async fn say(stream: &mut TlsStream<TcpStream>, byte: u8) {
    stream.write_u8(byte).await.unwrap();
    stream.flush().await.unwrap();
    assert_eq!(within("an echo", stream.read_u8()).await.unwrap(), byte);
}

#[tokio::test]
async fn the_permit_is_claimed_before_the_handshake_and_released_after_the_last_byte() {
    let (acceptor, connector) = tls();
    let (addr, limiter) = serve(1, acceptor).await;

    let silent = dial(client(1), addr).await;
    eventually("the claim", || limiter.open_connections(client(1)) == 1).await;
    shake(&connector, addr).await.unwrap_err();

    drop(silent);
    eventually("the failed handshake's release", || limiter.open_connections(client(1)) == 0).await;
    let mut stream = shake(&connector, addr).await.unwrap();
    for byte in 0..10 {
        say(&mut stream, byte).await;
        assert_eq!(limiter.open_connections(client(1)), 1);
    }
    drop(stream);
    eventually("the release", || limiter.open_connections(client(1)) == 0).await;
}

#[tokio::test]
async fn a_client_that_speaks_no_tls_gives_its_slot_back() {
    let (acceptor, connector) = tls();
    let (addr, limiter) = serve(1, acceptor).await;
    let mut stream = dial(client(1), addr).await;
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    until_closed(&mut stream).await;
    eventually("the release", || limiter.open_connections(client(1)) == 0).await;
    shake(&connector, addr).await.unwrap();
}

#[tokio::test]
async fn a_client_over_its_limit_reads_the_429_inside_tls() {
    let (acceptor, connector) = tls();
    let server = Phases::serve(4, 1, PATIENCE * 4, acceptor).await;
    let mut first = shake(&connector, server.addr).await.unwrap();
    say(&mut first, 1).await;
    assert_eq!((server.before.open_connections(client(1)), server.sessions.open_connections(client(1))), (0, 1));

    let mut second = shake(&connector, server.addr).await.expect("the handshake is done for it");
    second.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let answer = until_closed(&mut second).await;
    assert!(answer.starts_with(b"HTTP/1.1 429 "), "{}", answer.escape_ascii());
    say(&mut first, 2).await;
    drop(second);
    eventually("the end of the rejected one", || server.before.open_connections(client(1)) == 0).await;
    assert_eq!(server.sessions.open_connections(client(1)), 1);
}

#[tokio::test]
async fn silent_clients_have_a_limit_before_tls_which_ends_at_the_deadline() {
    let (acceptor, connector) = tls();
    let server = Phases::serve(1, 1, Duration::from_secs(1), acceptor).await;
    let mut silent = dial(client(1), server.addr).await;
    eventually("the claim", || server.before.open_connections(client(1)) == 1).await;
    // By then the deadline may have passed, on a machine that stands still.
    let second = shake(&connector, server.addr).await;
    assert!(second.is_err() || until_closed(&mut silent).await.is_empty());
    assert_eq!(until_closed(&mut silent).await, b"");
    eventually("the slot to come free", || server.before.open_connections(client(1)) == 0).await;
    let mut stream = shake(&connector, server.addr).await.unwrap();
    say(&mut stream, 1).await;
}
