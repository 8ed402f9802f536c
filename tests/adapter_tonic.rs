//! A gRPC server over a limited listener, with tonic's own client.

mod loopback;

use connlimit::tokio::LimitedListener;
use connlimit::tonic::Incoming;
use connlimit::tower::{ConnectionInfo, ConnectionInfoLayer};
use connlimit::{Config, Limiter};
use core::net::SocketAddr;
use hyper_util::rt::TokioIo;
use loopback::{client, dial, eventually, listen, within};
use std::sync::{Arc, Mutex};
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Status};
use tonic_health::pb::{
    HealthCheckRequest, health_client::HealthClient, health_server::HealthServer,
};
use tonic_health::server::HealthService;

async fn connect(addr: SocketAddr) -> Result<HealthClient<Channel>, tonic::transport::Error> {
    let connector = tower::service_fn(move |_| async move {
        Ok::<_, std::io::Error>(TokioIo::new(dial(client(1), addr).await))
    });
    let endpoint = Endpoint::from_static("http://x");
    let channel = within("connecting", endpoint.connect_with_connector(connector)).await?;
    Ok(HealthClient::new(channel))
}

#[tokio::test]
async fn one_channel_is_one_permit_and_calls_know_their_peer() {
    let (socket, addr) = listen().await;
    let limiter = Limiter::new(Config::new(1));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let see = {
        let seen = Arc::clone(&seen);
        move |request: Request<()>| {
            let open = request.extensions().get().map(ConnectionInfo::open);
            let peer = request.remote_addr().map(|addr| addr.ip());
            seen.lock().unwrap().push((peer, open));
            Ok::<_, Status>(request)
        }
    };
    let (reporter, _) = tonic_health::server::health_reporter();
    let service = HealthService::from_health_reporter(reporter);
    let server = Server::builder()
        .layer(ConnectionInfoLayer::new(limiter.clone()))
        .add_service(HealthServer::with_interceptor(service, see))
        .serve_with_incoming(Incoming::new(LimitedListener::new(socket, limiter.clone())));
    tokio::spawn(server);

    let mut health = connect(addr).await.unwrap();
    for _ in 0..3 {
        let call = health.check(HealthCheckRequest::default());
        within("an answer", call).await.unwrap();
        assert_eq!(limiter.num_open(client(1)), 1);
    }
    assert_eq!(
        *seen.lock().unwrap(),
        [(Some(client(1).into()), Some(1)); 3]
    );

    // A channel opens its connection before it is used or on its first call: one of the two is refused.
    if let Ok(mut refused) = connect(addr).await {
        let call = refused.check(HealthCheckRequest::default());
        within("a refusal", call).await.unwrap_err();
    }

    drop(health);
    eventually("the release", || limiter.num_open(client(1)) == 0).await;
    connect(addr).await.unwrap();
}
