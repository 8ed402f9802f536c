//! The server loop for hyper, with hyper's own clients.

mod loopback;

use connlimit::{Config, Limiter};
use connlimit_tokio::LimitedListener;
use core::convert::Infallible;
use core::{net::SocketAddr, time::Duration};
use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri, client::conn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use loopback::{client, dial, eventually, listen, until_closed, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_stream::StreamExt;

struct Server {
    addr: SocketAddr,
    limiter: Limiter,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<()>>,
}

async fn serve(max: u32) -> Server {
    serve_with_grace(max, Duration::MAX).await
}

async fn serve_with_grace(max: u32, grace: Duration) -> Server {
    let (socket, addr) = listen().await;
    let limiter = Limiter::new(Config::new(max));
    let listener = LimitedListener::new(socket, limiter.clone());
    let (stop, stopped) = oneshot::channel();
    let serving = tokio::spawn(connlimit_tokio::hyper::serve_with_grace(
        listener,
        connlimit_tokio::hyper::builder(),
        |_peer: &SocketAddr| service_fn(answer),
        async { drop(stopped.await) },
        grace,
    ));
    Server { addr, limiter, stop, serving }
}

type Answer = Response<BoxBody<Bytes, Infallible>>;

async fn answer(mut request: Request<Incoming>) -> Result<Answer, Infallible> {
    let empty = || Empty::new().boxed();
    Ok(match request.uri().path() {
        "/hello" => Response::new(Full::from("hello").boxed()),
        "/wait" => {
            request.body_mut().frame().await;
            Response::new(empty())
        }
        "/silent" => {
            request.body_mut().frame().await;
            core::future::pending().await
        }
        "/panic" => std::panic::resume_unwind(Box::new("a handler's fault")),
        "/endless" => {
            let tick = || Ok(Frame::data(Bytes::from_static(b"tick")));
            let ticks = tokio_stream::once(tick()).chain(tokio_stream::pending());
            Response::new(BodyExt::boxed(StreamBody::new(ticks)))
        }
        _ => {
            tokio::spawn(async move {
                let mut io = TokioIo::new(hyper::upgrade::on(request).await.unwrap());
                while let Ok(byte) = io.read_u8().await {
                    io.write_u8(byte).await.unwrap();
                }
            });
            Response::builder()
                .status(StatusCode::SWITCHING_PROTOCOLS)
                .header("connection", "upgrade")
                .header("upgrade", "echo")
                .body(empty())
                .unwrap()
        }
    })
}

fn get(path: &'static str) -> Request<Empty<Bytes>> {
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = Uri::from_static(path);
    request.headers_mut().insert("host", "x".parse().unwrap());
    request
}

impl Server {
    async fn http1(&self) -> conn::http1::SendRequest<Empty<Bytes>> {
        let io = TokioIo::new(dial(client(1), self.addr).await);
        let (sender, connection) = conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection.with_upgrades());
        sender
    }

    /// A request whose body is to come; the handler is waiting for it.
    async fn post(&self, path: &str) -> TcpStream {
        let mut busy = dial(client(1), self.addr).await;
        let request = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n");
        busy.write_all(request.as_bytes()).await.unwrap();
        let mut go_on = [0; 25];
        within("the handler to ask for the body", busy.read_exact(&mut go_on)).await.unwrap();
        assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
        busy
    }

    async fn released(&self) {
        eventually("the release", || self.limiter.open_connections(client(1)) == 0).await;
    }
}

#[tokio::test]
async fn one_http1_connection_is_one_permit_for_all_its_requests() {
    let server = serve(1).await;
    let mut sender = server.http1().await;
    for _ in 0..3 {
        within("readiness", sender.ready()).await.unwrap();
        let response = within("a response", sender.send_request(get("/hello"))).await.unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "hello");
        assert_eq!(server.limiter.open_connections(client(1)), 1);
    }
    let mut rejected = dial(client(1), server.addr).await;
    assert_eq!(until_closed(&mut rejected).await, b"");

    drop(sender);
    server.released().await;
}

#[tokio::test]
async fn one_http2_connection_is_one_permit_for_all_its_streams() {
    let server = serve(1).await;
    let io = TokioIo::new(dial(client(1), server.addr).await);
    let (sender, connection) = conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let mut streams = Vec::new();
    for _ in 0..5 {
        let response = sender.clone().send_request(get("http://x/endless"));
        let mut body = within("a response", response).await.unwrap().into_body();
        within("a tick", body.frame()).await.unwrap().unwrap();
        streams.push(body);
        assert_eq!(server.limiter.open_connections(client(1)), 1);
    }
    drop((sender, streams));
    server.released().await;
}

#[tokio::test]
async fn an_upgraded_connection_keeps_its_permit_until_it_ends() {
    let server = serve(1).await;
    let mut sender = server.http1().await;
    let mut request = get("/upgrade");
    request.headers_mut().insert("connection", "upgrade".parse().unwrap());
    request.headers_mut().insert("upgrade", "echo".parse().unwrap());
    let response = within("a response", sender.send_request(request)).await.unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let mut io = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    drop(sender);
    for byte in 0..100 {
        io.write_u8(byte).await.unwrap();
        assert_eq!(within("an echo", io.read_u8()).await.unwrap(), byte);
        assert_eq!(server.limiter.open_connections(client(1)), 1);
    }
    drop(io);
    server.released().await;
}

#[tokio::test]
async fn a_streaming_body_holds_the_permit_and_a_client_that_leaves_ends_it() {
    let server = serve(1).await;
    let mut sender = server.http1().await;
    let response = within("a response", sender.send_request(get("/endless"))).await.unwrap();
    let mut body = response.into_body();
    within("a tick", body.frame()).await.unwrap().unwrap();
    assert_eq!(server.limiter.open_connections(client(1)), 1);
    drop((sender, body));
    server.released().await;
}

#[tokio::test]
async fn a_handler_that_panics_releases_the_permit() {
    let server = serve(1).await;
    let mut sender = server.http1().await;
    within("an end", sender.send_request(get("/panic"))).await.unwrap_err();
    server.released().await;
    let mut sender = server.http1().await;
    within("a response", sender.send_request(get("/hello"))).await.unwrap();
}

#[tokio::test]
async fn shutting_down_waits_for_requests_and_closes_the_rest() {
    let server = serve(2).await;
    let mut idle = server.http1().await;
    within("a response", idle.send_request(get("/hello"))).await.unwrap();

    let mut busy = server.post("/wait").await;
    assert_eq!(server.limiter.open_connections(client(1)), 2);

    server.stop.send(()).unwrap();
    eventually("the idle connection to be closed", || server.limiter.open_connections(client(1)) == 1).await;
    assert!(!server.serving.is_finished());

    busy.write_all(b"!").await.unwrap();
    let said = until_closed(&mut busy).await;
    assert!(said.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&said));
    within("the end of serving", server.serving).await.unwrap().unwrap();
    assert_eq!(server.limiter.open_connections(client(1)), 0);
}

#[tokio::test]
async fn half_a_request_and_a_silent_upstream_cannot_hold_a_shutdown() {
    let server = serve_with_grace(3, Duration::from_millis(100)).await;
    let mut half = dial(client(1), server.addr).await;
    half.write_all(b"GET / HT").await.unwrap();
    let mut silent = server.post("/silent").await;
    silent.write_all(b"!").await.unwrap();
    let io = TokioIo::new(dial(client(1), server.addr).await);
    let (mut sender, connection) = conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let response = within("a response", sender.send_request(get("http://x/endless"))).await.unwrap();
    let mut body = response.into_body();
    within("a tick", body.frame()).await.unwrap().unwrap();
    assert_eq!(server.limiter.open_connections(client(1)), 3);

    server.stop.send(()).unwrap();
    // hyper's own patience with the head of a request is 30 seconds, which is more than that of the test.
    within("the end of serving", server.serving).await.unwrap().unwrap();
    assert_eq!(server.limiter.open_connections(client(1)), 0, "all was released when it ended");
    assert_eq!(until_closed(&mut half).await, b"");
    assert_eq!(until_closed(&mut silent).await, b"");
    // Of an HTTP/2 stream the client sees an error, or nothing more.
    while let Some(Ok(_)) = within("the end of the stream", body.frame()).await {}
}

#[tokio::test]
async fn a_dropped_server_drops_its_connections() {
    let server = serve(1).await;
    let mut silent = server.post("/silent").await;
    server.serving.abort();
    assert_eq!(until_closed(&mut silent).await, b"");
    server.released().await;
}
