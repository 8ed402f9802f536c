//! Requests in flight, limited for the clients that trusted HTTP proxies name.

#[path = "../../tokio/tests/loopback/mod.rs"]
mod loopback;

use axum::body::{Body, Bytes};
use axum::{Extension, Router, routing::get};
use connlimit::{Config, Limiter, Permit};
use connlimit_axum::limit_requests;
use connlimit_http::ConnectionInfo;
use connlimit_http::forwarded::Forwarded;
use connlimit_tokio::LimitedListener;
use core::net::SocketAddr;
use core::num::NonZeroUsize;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, Response, body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use loopback::{client, dial, eventually, listen, within};
use std::sync::{Arc, Mutex};
use tokio_stream::StreamExt;

type Sender = http1::SendRequest<Empty<Bytes>>;

/// Trusts 127.0.5.1 and admits one request in flight for each client it names.
async fn serve() -> (SocketAddr, Limiter, Arc<Mutex<Vec<Arc<Permit>>>>) {
    let (socket, addr) = listen().await;
    let requests = Limiter::new(Config::new(1));
    let forwarded = Forwarded::x_forwarded_for(NonZeroUsize::MIN, [core::net::IpAddr::V4(client(1))]);
    let upgraded = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&upgraded);
    let app = Router::new()
        .route("/open", get(|info: Extension<ConnectionInfo>| async move { info.open_connections().to_string() }))
        .route("/endless", get(endless))
        .route(
            "/keep",
            get(|Extension(permit): Extension<Arc<Permit>>| async move {
                keep.lock().unwrap().push(permit);
            }),
        )
        .layer(limit_requests(requests.clone(), forwarded));
    let listener = LimitedListener::new(socket, Limiter::new(Config::new(connlimit::config::Limit::Unlimited)));
    tokio::spawn(async { connlimit_axum::serve(listener, app).await });
    (addr, requests, upgraded)
}

async fn endless() -> Body {
    let tick = tokio_stream::once(Ok::<_, core::convert::Infallible>("tick"));
    Body::from_stream(tick.chain(tokio_stream::pending()))
}

async fn connect(from: u8, addr: SocketAddr) -> Sender {
    let io = TokioIo::new(dial(client(from), addr).await);
    let (sender, connection) = http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn ask(sender: &mut Sender, path: &str, forwarded: Option<&str>) -> Response<Incoming> {
    within("readiness", sender.ready()).await.unwrap();
    let mut request = Request::get(path).header("host", "x");
    if let Some(forwarded) = forwarded {
        request = request.header("x-forwarded-for", forwarded);
    }
    let response = sender.send_request(request.body(Empty::new()).unwrap());
    within("a response", response).await.unwrap()
}

async fn text(response: Response<Incoming>) -> Bytes {
    within("a body", response.into_body().collect()).await.unwrap().to_bytes()
}

const ALICE: &str = "203.0.113.9, 192.0.2.1";
const BOB: &str = "192.0.2.2";

#[tokio::test]
async fn a_request_is_counted_for_the_named_client_until_its_body_has_ended() {
    let (addr, requests, _) = serve().await;
    let alice: core::net::IpAddr = "192.0.2.1".parse().unwrap();
    let (mut one, mut two) = (connect(1, addr).await, connect(1, addr).await);
    let mut body = ask(&mut one, "/endless", Some(ALICE)).await.into_body();
    within("a tick", body.frame()).await.unwrap().unwrap();
    assert_eq!(requests.open_connections(alice), 1);

    assert_eq!(ask(&mut two, "/open", Some(ALICE)).await.status(), 429);
    assert_eq!(text(ask(&mut two, "/open", Some(BOB)).await).await, "1");

    drop((one, body));
    eventually("the release", || requests.open_connections(alice) == 0).await;
    assert_eq!(text(ask(&mut two, "/open", Some(ALICE)).await).await, "1");
}

#[tokio::test]
async fn strangers_are_counted_for_themselves_whatever_they_say() {
    let (addr, requests, _) = serve().await;
    let mut stranger = connect(2, addr).await;
    let body = ask(&mut stranger, "/endless", Some(ALICE)).await;
    assert_eq!(requests.open_connections(client(2)), 1);
    let mut again = connect(2, addr).await;
    assert_eq!(ask(&mut again, "/open", Some(BOB)).await.status(), 429);
    drop(body);
}

#[tokio::test]
async fn a_proxy_that_names_nobody_is_told() {
    let (addr, ..) = serve().await;
    let mut proxy = connect(1, addr).await;
    assert_eq!(ask(&mut proxy, "/open", None).await.status(), 400);
    assert_eq!(ask(&mut proxy, "/open", Some("unknown")).await.status(), 400);
    assert_eq!(ask(&mut proxy, "/open", Some(ALICE)).await.status(), 200);
}

#[tokio::test]
async fn a_permit_that_a_handler_keeps_outlives_the_response() {
    let (addr, requests, kept) = serve().await;
    let mut proxy = connect(1, addr).await;
    ask(&mut proxy, "/keep", Some(BOB)).await;
    assert_eq!(ask(&mut proxy, "/open", Some(BOB)).await.status(), 429);
    kept.lock().unwrap().clear();
    let bob: core::net::IpAddr = BOB.parse().unwrap();
    eventually("the release", || requests.open_connections(bob) == 0).await;
}
