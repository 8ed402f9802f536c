//! Clients that begin a handshake and say no more, by way of a relay that stops passing on what the server says.

mod loopback;

use connlimit::Config;
use connlimit_quinn::HandshakeError;
use core::net::SocketAddr;
use core::time::Duration;
use loopback::{Server, ip, is_refusal, until};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// Long enough for what has to happen before it on a machine that is busy.
const DEADLINE: Duration = Duration::from_secs(5);

/// Passes all packets of one client on to `server` from 127.0.0.`host`, and the first `answers` packets back, until it is
/// aborted.
async fn relay(server: SocketAddr, host: u8, answers: u32) -> (SocketAddr, AbortHandle) {
    let (inside, outside) = (UdpSocket::bind((ip(1), 0)).await.unwrap(), UdpSocket::bind((ip(host), 0)).await.unwrap());
    let addr = inside.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let (mut request, mut answer) = ([0; 2048], [0; 2048]);
        let (mut client, mut left) = (None, answers);
        loop {
            tokio::select! {
                Ok((bytes, from)) = inside.recv_from(&mut request) => {
                    client = Some(from);
                    outside.send_to(&request[..bytes], server).await.unwrap();
                }
                Ok((bytes, _)) = outside.recv_from(&mut answer) => {
                    if let (Some(client), true) = (client, left > 0) {
                        left -= 1;
                        inside.send_to(&answer[..bytes], client).await.unwrap();
                    }
                }
            }
        }
    });
    (addr, task.abort_handle())
}

/// Accepts, reports how each handshake ends, and keeps connections open.
fn serve(server: &Server) -> mpsc::UnboundedReceiver<Result<SocketAddr, HandshakeError>> {
    let (report, reports) = mpsc::unbounded_channel();
    let endpoint = server.endpoint.clone();
    tokio::spawn(async move {
        while let Some(connecting) = endpoint.accept().await {
            let report = report.clone();
            tokio::spawn(async move {
                match connecting.await {
                    Ok(connection) => {
                        let _told = report.send(Ok(connection.remote_address())).is_ok();
                        loopback::echo_streams(connection).await;
                    }
                    Err(error) => {
                        let _told = report.send(Err(error)).is_ok();
                    }
                }
            });
        }
    });
    reports
}

#[tokio::test]
async fn a_stalled_handshake_frees_its_permit_at_the_deadline_and_delays_nobody() {
    let server = Server::bind(Config::new(1), |endpoint| endpoint.with_handshake_deadline(DEADLINE));
    let mut reports = serve(&server);
    // The Retry comes through, so the address is validated; then nothing.
    let mut stalling = server.client(9);
    let (relay, _) = relay(server.addr, 2, 1).await;
    stalling.server = relay;
    let stalled = stalling.connecting().unwrap();
    until("the stalled handshake is counted", || server.open(2) == 1).await;

    let _other = server.client(3).connect().await.unwrap();
    assert_eq!(reports.recv().await.unwrap().unwrap().ip(), ip(3), "not delayed by the stalled one");
    assert!(is_refusal(&server.client(2).connect().await.unwrap_err()), "its own client has no other place");
    assert_eq!(server.open(2), 1);

    let ended = reports.recv().await.unwrap().unwrap_err();
    assert!(matches!(ended, HandshakeError::DeadlinePassed), "{ended}");
    until("the permit is free", || server.open(2) == 0).await;
    assert_eq!(server.endpoint.counts().failed, 1);
    let _again = server.client(2).connect().await.unwrap();
    drop(stalled);
}

#[tokio::test]
async fn a_stalled_handshake_in_a_place_is_counted_for_nobody_and_the_place_comes_back() {
    let server = Server::bind(Config::new(1), |endpoint| {
        endpoint.with_unvalidated_handshakes(1).with_handshake_deadline(DEADLINE)
    });
    let mut reports = serve(&server);
    let mut stalling = server.client(9);
    let (relay, passing) = relay(server.addr, 2, 0).await;
    stalling.server = relay;
    let stalled = stalling.connecting().unwrap();
    until("the stalled handshake has its place", || server.endpoint.counts().unvalidated == 1).await;

    let named = server.client(2).connect().await.unwrap();
    assert_eq!(reports.recv().await.unwrap().unwrap().ip(), ip(2), "its limit of one is not used up");
    assert_eq!(server.endpoint.counts().unvalidated, 1, "by way of a Retry");
    // It would try again, and find the place free.
    passing.abort();

    let ended = reports.recv().await.unwrap().unwrap_err();
    assert!(matches!(ended, HandshakeError::DeadlinePassed), "{ended}");
    let retried = server.endpoint.counts().retried;
    let _calm = server.client(3).connect().await.unwrap();
    assert_eq!(server.endpoint.counts().retried, retried, "the place is free again");
    drop((named, stalled));
}

#[tokio::test]
async fn a_handshake_that_fails_keeps_its_place_until_the_deadline() {
    let server = Server::bind(Config::new(1), |endpoint| {
        endpoint.with_unvalidated_handshakes(1).with_handshake_deadline(DEADLINE)
    });
    let mut reports = serve(&server);
    // The server's answers do not come through, so the handshake cannot be complete before the client ends it.
    let mut client = server.client(9);
    let (relay, passing) = relay(server.addr, 2, 0).await;
    client.server = relay;
    let connecting = client.connecting().unwrap();
    until("it has the place", || server.endpoint.counts().unvalidated == 1).await;
    drop(connecting);
    let ended = reports.recv().await.unwrap().unwrap_err();
    assert!(matches!(ended, HandshakeError::Connection(_)), "{ended}");
    passing.abort();
    assert_eq!(server.endpoint.counts().failed, 1);

    let client = server.client(3);
    let _first = client.connect().await.unwrap();
    let counts = server.endpoint.counts();
    assert_eq!((counts.unvalidated, counts.retried), (1, 1), "by way of a Retry: {counts:?}");

    tokio::time::sleep(DEADLINE).await;
    let _second = server.client(4).connect().await.unwrap();
    let counts = server.endpoint.counts();
    assert_eq!((counts.unvalidated, counts.retried), (2, 1), "in the place: {counts:?}");
}
