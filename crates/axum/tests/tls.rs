//! axum over TLS: a limit before the handshake, a 429 inside TLS, and WebSockets that keep their permit.

#[path = "../../tokio/tests/loopback/mod.rs"]
mod loopback;

use axum::extract::{ConnectInfo, WebSocketUpgrade, ws};
use axum::{Router, routing::get};
use connlimit::{Config, Limiter};
use connlimit_tokio::{Handshakes, LimitedListener, Reject};
use core::net::SocketAddr;
use loopback::{PATIENCE, client, dial, eventually, listen, until_closed, within};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};
use tokio_stream::StreamExt;

struct Server {
    addr: SocketAddr,
    before: Limiter,
    sessions: Limiter,
    connector: TlsConnector,
}

impl Server {
    /// Two handshakes of a client at once, and one session.
    async fn start() -> Self {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();
        let acceptor = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], signing_key.into())
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(acceptor));
        let connector = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();

        let (socket, addr) = listen().await;
        let (before, sessions) = (Limiter::new(Config::new(2)), Limiter::new(Config::new(1)));
        let handshakes =
            Handshakes::new(socket, before.clone(), move |stream| acceptor.accept(stream)).with_deadline(PATIENCE * 4);
        let listener =
            LimitedListener::new(handshakes, sessions.clone()).reject_with(Reject::Http429 { retry_after: None });
        let app = Router::new()
            .route("/peer", get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() }))
            .route("/ws", get(|upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(echo) }));
        tokio::spawn(async { connlimit_axum::serve(listener, app).await });
        Self { addr, before, sessions, connector: Arc::new(connector).into() }
    }

    async fn shake(&self, from: u8) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = dial(client(from), self.addr).await;
        within("the handshake", self.connector.connect("localhost".try_into().unwrap(), stream)).await
    }

    fn open(&self, from: u8) -> (u32, u32) {
        (self.before.open_connections(client(from)), self.sessions.open_connections(client(from)))
    }
}

async fn echo(mut socket: ws::WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if socket.send(message).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn a_client_over_its_limit_reads_the_429_inside_tls_and_silent_ones_get_no_tls() {
    let server = Server::start().await;
    let mut first = server.shake(1).await.unwrap();
    first.write_all(b"GET /peer HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = vec![0; 4096];
    let read = within("an answer", first.read(&mut answer)).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    assert!(answer.ends_with(&first.get_ref().0.local_addr().unwrap().to_string()), "{answer}");
    assert_eq!(server.open(1), (0, 1));

    let mut second = server.shake(1).await.unwrap();
    second.write_all(b"GET /peer HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let answer = until_closed(&mut second).await;
    assert!(answer.starts_with(b"HTTP/1.1 429 "), "{}", answer.escape_ascii());

    let _silent = [dial(client(2), server.addr).await, dial(client(2), server.addr).await];
    eventually("the claims", || server.open(2) == (2, 0)).await;
    server.shake(2).await.unwrap_err();
    server.shake(3).await.expect("a stalled handshake is no other client's affair");
}

#[tokio::test]
async fn a_web_socket_over_tls_keeps_its_permit_until_it_ends() {
    use tokio_tungstenite::tungstenite::Message;

    let server = Server::start().await;
    let stream = server.shake(1).await.unwrap();
    let handshake = tokio_tungstenite::client_async("wss://localhost/ws", stream);
    let (mut socket, _response) = Box::pin(within("the upgrade", handshake)).await.unwrap();
    for round in 0..20 {
        let message = Message::text(format!("round {round}"));
        futures_util::SinkExt::send(&mut socket, message.clone()).await.unwrap();
        assert_eq!(within("an echo", socket.next()).await.unwrap().unwrap(), message);
        assert_eq!(server.open(1), (0, 1));
    }
    socket.close(None).await.unwrap();
    while let Some(Ok(_)) = within("the end", socket.next()).await {}
    drop(socket);
    eventually("the release", || server.open(1) == (0, 0)).await;
}
