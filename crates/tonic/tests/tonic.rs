//! A gRPC server over a limited listener, with tonic's own client.

#[path = "../../tokio/tests/loopback/mod.rs"]
mod loopback;

use connlimit::{Config, Limiter};
use connlimit_http::ConnectionInfo;
use connlimit_tokio::proxy::Proxied;
use connlimit_tokio::{LimitedListener, Listen};
use connlimit_tonic::{Incoming, connection_info};
use core::net::{IpAddr, SocketAddr};
use hyper_util::rt::TokioIo;
use loopback::{client, dial, eventually, listen, within};
use std::sync::{Arc, Mutex};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Status};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient, health_server::HealthServer};
use tonic_health::server::HealthService;

async fn connect(addr: SocketAddr, first: &'static str) -> Result<HealthClient<Channel>, tonic::transport::Error> {
    let connector = tower::service_fn(move |_| async move {
        let mut stream = dial(client(1), addr).await;
        stream.write_all(first.as_bytes()).await?;
        Ok::<_, std::io::Error>(TokioIo::new(stream))
    });
    let endpoint = Endpoint::from_static("http://x");
    let channel = within("connecting", endpoint.connect_with_connector(connector)).await?;
    Ok(HealthClient::new(channel))
}

type Seen = Arc<Mutex<Vec<(Option<IpAddr>, Option<u32>)>>>;

/// Notes the peer of each call and how many connections it has open.
fn serve<L: Listen<Addr = SocketAddr, Stream = TcpStream>>(listener: LimitedListener<L>) -> Seen {
    let seen = Seen::default();
    let see = {
        let seen = Arc::clone(&seen);
        move |request: Request<()>| {
            let open = request.extensions().get().map(ConnectionInfo::open_connections);
            let peer = request.remote_addr().map(|addr| addr.ip());
            seen.lock().unwrap().push((peer, open));
            Ok::<_, Status>(request)
        }
    };
    let (reporter, _) = tonic_health::server::health_reporter();
    let service = HealthService::from_health_reporter(reporter);
    let server = Server::builder()
        .layer(connection_info(listener.limiter().clone()))
        .add_service(HealthServer::with_interceptor(service, see))
        .serve_with_incoming(Incoming::new(listener));
    tokio::spawn(server);
    seen
}

#[tokio::test]
async fn one_channel_is_one_permit_and_calls_know_their_peer() {
    let (socket, addr) = listen().await;
    let limiter = Limiter::new(Config::new(1));
    let seen = serve(LimitedListener::new(socket, limiter.clone()));

    let mut health = connect(addr, "").await.unwrap();
    for _ in 0..3 {
        let call = health.check(HealthCheckRequest::default());
        within("an answer", call).await.unwrap();
        assert_eq!(limiter.open_connections(client(1)), 1);
    }
    assert_eq!(*seen.lock().unwrap(), [(Some(client(1).into()), Some(1)); 3]);

    // A channel opens its connection before it is used or on its first call: one of the two is rejected.
    if let Ok(mut rejected) = connect(addr, "").await {
        let call = rejected.check(HealthCheckRequest::default());
        within("a rejection", call).await.unwrap_err();
    }

    drop(health);
    eventually("the release", || limiter.open_connections(client(1)) == 0).await;
    connect(addr, "").await.unwrap();
}

#[tokio::test]
async fn behind_a_proxy_calls_know_the_client_that_it_names() {
    let (socket, addr) = listen().await;
    let limiter = Limiter::new(Config::new(1));
    let proxied = Proxied::new(socket, [IpAddr::V4(client(1))]);
    let seen = serve(LimitedListener::new(proxied, limiter.clone()));

    let header = "PROXY TCP4 192.0.2.77 192.0.2.1 50000 25\r\n";
    let mut health = connect(addr, header).await.unwrap();
    let call = health.check(HealthCheckRequest::default());
    within("an answer", call).await.unwrap();
    let named = "192.0.2.77".parse().unwrap();
    assert_eq!(*seen.lock().unwrap(), [(Some(named), Some(1))]);
    assert_eq!(limiter.open_connections(named), 1);
}
