//! `axum::serve` over a limited listener, with real HTTP and WebSocket clients.

#[path = "../../tokio/tests/loopback/mod.rs"]
mod loopback;

use axum::extract::{ConnectInfo, WebSocketUpgrade, ws};
use axum::serve::ListenerExt;
use axum::{Extension, Router, routing::get};
use connlimit::{Config, Limiter, stats::Zone};
use connlimit_axum::{Incoming, connection_info};
use connlimit_http::ConnectionInfo;
use connlimit_tokio::{LimitedListener, Reject};
use core::net::SocketAddr;
use loopback::{Scripted, TENANT, client, dial, eventually, listen, until_closed, within};
use std::io::ErrorKind;
use std::sync::mpsc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_stream::StreamExt;

async fn ask(stream: &mut TcpStream, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let read = within("an answer", stream.read(&mut answer)).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    answer.split("\r\n\r\n").last().unwrap().to_owned()
}

fn app(limiter: &Limiter) -> Router {
    Router::new()
        .route("/peer", get(|ConnectInfo(addr): ConnectInfo<SocketAddr>| async move { addr.to_string() }))
        .route("/open", get(|info: Extension<ConnectionInfo>| async move { info.open_connections().to_string() }))
        .route("/ws", get(|upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(echo) }))
        .layer(connection_info(limiter.clone()))
}

async fn echo(mut socket: ws::WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if socket.send(message).await.is_err() {
            return;
        }
    }
}

async fn serve(max: u32) -> (SocketAddr, Limiter) {
    let (socket, addr) = listen().await;
    let limiter = Limiter::new(Config::new(max));
    let listener = LimitedListener::new(socket, limiter.clone()).reject_with(Reject::Http429 { retry_after: None });
    let app = app(&limiter);
    tokio::spawn(async { connlimit_axum::serve(listener, app).await });
    (addr, limiter)
}

#[tokio::test]
async fn handlers_know_their_peer_and_how_many_connections_it_has() {
    let (addr, limiter) = serve(2).await;
    let mut first = dial(client(1), addr).await;
    assert_eq!(ask(&mut first, "/peer").await, first.local_addr().unwrap().to_string());
    assert_eq!(ask(&mut first, "/open").await, "1");
    let mut second = dial(client(1), addr).await;
    assert_eq!(ask(&mut second, "/open").await, "2");

    let mut third = dial(client(1), addr).await;
    third.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let rejection = until_closed(&mut third).await;
    assert!(rejection.starts_with(b"HTTP/1.1 429 "), "{rejection:?}");

    drop(first);
    eventually("a release", || limiter.open_connections(client(1)) == 1).await;
    assert_eq!(ask(&mut second, "/open").await, "1");
}

#[tokio::test]
async fn handlers_know_whether_their_client_is_in_the_soft_zone() {
    let (socket, addr) = listen().await;
    let limiter = Limiter::new(Config::new(4).with_soft_percent(50));
    let app = Router::new()
        .route("/zone", get(|info: Extension<ConnectionInfo>| async move { format!("{:?}", info.usage().zone) }))
        .layer(connection_info(limiter.clone()));
    let listener = LimitedListener::new(socket, limiter.clone());
    tokio::spawn(async { connlimit_axum::serve(listener, app).await });

    let mut streams = Vec::new();
    for expected in [Zone::Normal, Zone::Normal, Zone::Soft, Zone::Soft] {
        let mut stream = dial(client(1), addr).await;
        assert_eq!(ask(&mut stream, "/zone").await, format!("{expected:?}"));
        streams.push(stream);
    }
    assert_eq!(ask(&mut streams[0], "/zone").await, "Soft", "it is the client that has many, not the connection");
    assert_eq!(ask(&mut dial(client(2), addr).await, "/zone").await, "Normal");

    streams.truncate(2);
    eventually("two releases", || limiter.open_connections(client(1)) == 2).await;
    assert_eq!(ask(&mut streams[0], "/zone").await, "Normal");
    limiter.set_config(Config::new(2).with_soft_percent(50)).unwrap();
    assert_eq!(ask(&mut streams[0], "/zone").await, "Soft", "by the limit that is in force");
}

#[tokio::test]
async fn a_web_socket_keeps_its_permit_until_it_ends() {
    use tokio_tungstenite::tungstenite::Message;

    let (addr, limiter) = serve(1).await;
    let stream = dial(client(1), addr).await;
    let url = format!("ws://{addr}/ws");
    let handshake = tokio_tungstenite::client_async(url, stream);
    let (mut socket, _response) = within("the handshake", handshake).await.unwrap();
    for round in 0..20 {
        let message = Message::text(format!("round {round}"));
        futures_util::SinkExt::send(&mut socket, message.clone()).await.unwrap();
        let echo = within("an echo", socket.next()).await.unwrap().unwrap();
        assert_eq!(echo, message);
        assert_eq!(limiter.open_connections(client(1)), 1);
    }
    socket.close(None).await.unwrap();
    while within("the end", socket.next()).await.is_some() {}
    eventually("the release", || limiter.open_connections(client(1)) == 0).await;
}

#[tokio::test]
async fn connect_info_is_a_socket_addr_under_axums_own_serve_with_and_without_a_tap() {
    for tapped in [false, true] {
        let (socket, addr) = listen().await;
        let limiter = Limiter::new(Config::new(1));
        let incoming = Incoming::new(LimitedListener::new(socket, limiter.clone()));
        let app = app(&limiter).into_make_service_with_connect_info::<SocketAddr>();
        if tapped {
            let incoming = incoming.tap_io(|stream| stream.get_ref().set_nodelay(true).unwrap());
            tokio::spawn(async { axum::serve(incoming, app).await });
        } else {
            tokio::spawn(async { axum::serve(incoming, app).await });
        }
        let mut stream = dial(client(1), addr).await;
        assert_eq!(ask(&mut stream, "/peer").await, stream.local_addr().unwrap().to_string());
        assert_eq!(ask(&mut stream, "/open").await, "1");
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_that_has_nobody_to_go_to_is_told_and_followed_by_a_pause() {
    let (pipe, _peer) = tokio::io::duplex(16);
    let script = Scripted([Err(ErrorKind::PermissionDenied.into()), Ok(pipe)].into());
    let (told, errors) = mpsc::channel();
    let listener = LimitedListener::new(script, Limiter::new(Config::new(1)))
        .on_error(move |error| told.send(error.kind()).unwrap());
    let mut incoming = Incoming::new(listener);
    let start = Instant::now();
    let accepted = axum::serve::Listener::accept(&mut incoming);
    let (_stream, tenant) = within("an admission", accepted).await;
    assert_eq!(tenant, TENANT);
    // The clock is Tokio's and stands still but for the pause.
    assert_eq!(start.elapsed().as_millis(), 5);
    assert_eq!(errors.try_iter().collect::<Vec<_>>(), [ErrorKind::PermissionDenied]);
}
