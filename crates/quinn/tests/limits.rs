//! Limits, as a real client of quinn meets them.

mod loopback;

use connlimit::{Client, Config, Rejected};
use connlimit_quinn::{HandshakeError, Reject};
use core::time::Duration;
use loopback::{Server, echo, ip, is_refusal, until};
use quinn::{ConnectionError, VarInt};
use std::sync::Arc;

#[tokio::test]
async fn a_client_gets_its_limit_and_its_places_back_as_it_closes() {
    let server = Server::echo(Config::new(2), |endpoint| endpoint);
    let client = server.client(2);
    let first = client.connect().await.unwrap();
    let second = client.connect().await.unwrap();
    assert_eq!(server.open(2), 2);

    let refused = client.connect().await.unwrap_err();
    assert!(is_refusal(&refused), "{refused:?}");
    assert_eq!(server.handshakes(), 2, "the third cost no TLS");
    {
        let told = server.told.lock().unwrap();
        assert_eq!(told.len(), 1);
        assert_eq!((told[0].client, told[0].reason), (Client::from(ip(2)), Rejected::ClientLimit));
        assert_eq!(told[0].remote, client.endpoint.local_addr().unwrap());
    }
    let other = server.client(3).connect().await.unwrap();

    first.close(VarInt::from_u32(0), b"");
    until("the closed connection's place is free", || server.open(2) == 1).await;
    let third = client.connect().await.unwrap();
    for connection in [&second, &third, &other] {
        echo(connection).await.unwrap();
    }
    drop((second, third, other));
    until("all are closed", || server.open(2) + server.open(3) == 0).await;

    let counts = server.endpoint.counts();
    assert_eq!((counts.admitted, counts.rejected, counts.unvalidated, counts.failed), (4, 1, 0, 0), "{counts:?}");
    assert!(counts.retried >= 1, "{counts:?}");
}

#[tokio::test]
async fn a_first_contact_is_asked_to_validate_and_a_token_spares_the_next() {
    let server = Server::echo(Config::new(2), |endpoint| endpoint);
    let client = server.client(2);
    let _first = client.connect().await.unwrap();
    assert_eq!(server.endpoint.counts().retried, 1);
    let _second = client.connect().await.unwrap();
    assert_eq!(server.endpoint.counts().retried, 1, "the second came with a token");
    assert!(is_refusal(&client.connect().await.unwrap_err()));
    assert_eq!(server.handshakes(), 2);
}

#[tokio::test]
async fn a_client_that_is_ignored_hears_nothing() {
    let mut server = Server::echo(Config::new(1), |endpoint| endpoint.reject_with(Reject::Ignore));
    let _first = server.client(2).connect().await.unwrap();

    let mut transport = quinn::TransportConfig::default();
    transport.max_idle_timeout(Some(Duration::from_millis(500).try_into().unwrap()));
    server.client_config.transport_config(Arc::new(transport));
    let unheard = server.client(2).connect().await.unwrap_err();
    assert_eq!(unheard, ConnectionError::TimedOut);
    assert!(server.endpoint.get_ref().stats().ignored_handshakes >= 1);
    assert!(!server.told.lock().unwrap().is_empty());
    assert_eq!(server.handshakes(), 1);
}

#[tokio::test]
async fn a_connection_ends_with_its_permit_though_streams_and_handles_are_left() {
    let server = Server::bind(Config::new(1), |endpoint| endpoint);
    let client = server.client(2);
    let (connection, accepted) = tokio::join!(async { client.connecting().unwrap().await.unwrap() }, async {
        server.endpoint.accept().await.unwrap().await.unwrap()
    });
    let _stream = accepted.open_uni().await.unwrap();
    let handle = accepted.clone();
    assert!(accepted.permit().is_tracked());
    assert_eq!(server.open(2), 1);
    drop(accepted);
    assert_eq!(server.open(2), 0);
    assert_eq!(handle.close_reason(), Some(ConnectionError::LocallyClosed), "closed before it is not counted");
    let closed = connection.closed().await;
    assert!(matches!(&closed, ConnectionError::ApplicationClosed(close) if close.error_code == VarInt::from_u32(0)));
}

#[tokio::test]
async fn a_connection_taken_apart_is_counted_by_its_permit_alone() {
    let server = Server::bind(Config::new(1), |endpoint| endpoint);
    let client = server.client(2);
    let (connection, accepted) = tokio::join!(async { client.connecting().unwrap().await.unwrap() }, async {
        server.endpoint.accept().await.unwrap().await.unwrap()
    });
    let (handle, permit) = accepted.into_parts();
    assert_eq!(server.open(2), 1);
    drop(permit);
    assert_eq!(server.open(2), 0);
    let mut stream = handle.open_uni().await.unwrap();
    stream.write_all(b"open").await.unwrap();
    let mut received = connection.accept_uni().await.unwrap();
    let mut bytes = [0; 4];
    received.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"open");
}

#[tokio::test]
async fn a_connection_that_moves_stays_counted_for_the_address_that_was_admitted() {
    let server = Server::bind(Config::new(1), |endpoint| endpoint);
    let client = server.client(2);
    let (connection, accepted) = tokio::join!(async { client.connecting().unwrap().await.unwrap() }, async {
        server.endpoint.accept().await.unwrap().await.unwrap()
    });
    let handle = accepted.get_ref().clone();
    tokio::spawn(loopback::echo_streams(accepted));
    server.accept_and_echo();
    assert_eq!(handle.remote_address().ip(), ip(2));

    client.endpoint.rebind(std::net::UdpSocket::bind((ip(3), 0)).unwrap()).unwrap();
    echo(&connection).await.unwrap();
    until("quinn sees the new address", || handle.remote_address().ip() == ip(3)).await;
    assert_eq!((server.open(2), server.open(3)), (1, 0));

    // The place of the new address is free, the one of the old address is not.
    let other = server.client(3).connect().await.unwrap();
    assert!(is_refusal(&server.client(2).connect().await.unwrap_err()));
    echo(&connection).await.unwrap();

    connection.close(VarInt::from_u32(0), b"");
    until("the place is free where it was taken", || server.open(2) == 0).await;
    assert_eq!(server.open(3), 1);
    drop(other);
}

#[tokio::test]
async fn in_a_place_a_handshake_needs_no_retry_and_is_counted_when_it_is_complete() {
    let server = Server::echo(Config::new(1), |endpoint| endpoint.with_unvalidated_handshakes(4));
    let connection = server.client(2).connect().await.unwrap();
    assert_eq!(server.open(2), 1);
    let counts = server.endpoint.counts();
    assert_eq!((counts.retried, counts.unvalidated, counts.admitted), (0, 1, 1), "{counts:?}");

    assert!(is_refusal(&server.client(2).connect().await.unwrap_err()), "at its limit it gets no place");
    assert_eq!(server.handshakes(), 1, "and no TLS");
    assert_eq!(server.endpoint.counts().retried, 1);
    drop(connection);
    until("it is closed", || server.open(2) == 0).await;
}

#[tokio::test]
async fn of_two_handshakes_in_places_the_one_above_the_limit_is_closed_with_a_reason() {
    let code = VarInt::from_u32(0x107);
    let server = Server::bind(Config::new(1), |endpoint| endpoint.with_unvalidated_handshakes(4).with_close_code(code));
    let client = server.client(2);
    // Both are let in before either is complete.
    let (first, second) = (client.connecting().unwrap(), client.connecting().unwrap());
    let begun = [server.endpoint.accept().await.unwrap(), server.endpoint.accept().await.unwrap()];
    assert!(begun.iter().all(|begun| !begun.remote_address_validated()));
    assert_eq!(server.open(2), 0);

    let mut outcomes = Vec::new();
    for begun in begun {
        outcomes.push(begun.await);
    }
    let rejected = outcomes.pop().unwrap().unwrap_err();
    assert!(matches!(rejected, HandshakeError::Rejected(Rejected::ClientLimit)), "{rejected}");
    let _admitted = outcomes.pop().unwrap().unwrap();
    assert_eq!(server.open(2), 1);
    let told: Vec<_> = server.told.lock().unwrap().iter().map(|told| (told.client, told.reason)).collect();
    assert_eq!(told, [(Client::from(ip(2)), Rejected::ClientLimit)]);

    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    let closed = tokio::select! { closed = first.closed() => closed, closed = second.closed() => closed };
    let ConnectionError::ApplicationClosed(close) = closed else { panic!("{closed:?}") };
    assert_eq!(close.error_code, code);
    assert_eq!(close.reason, Rejected::ClientLimit.to_string().as_bytes());
}

#[tokio::test]
async fn an_early_answer_is_for_validated_clients_only() {
    let server = Server::bind(Config::new(4), |endpoint| endpoint.with_unvalidated_handshakes(1));
    let client = server.client(2);
    let connecting = client.connecting().unwrap();
    let unvalidated = server.endpoint.accept().await.unwrap();
    let Err(unvalidated) = unvalidated.into_0rtt() else { panic!("not counted, and answered") };
    let (_, _kept) = tokio::join!(connecting, unvalidated);

    // The only place is taken by a handshake that fails, so the next client validates.
    let failing = server.client(3).connecting().unwrap();
    drop(server.endpoint.accept().await.unwrap());
    drop(failing);
    let client = server.client(4);
    let connecting = client.connecting().unwrap();
    let validated = server.endpoint.accept().await.unwrap();
    assert!(validated.remote_address_validated());
    assert_eq!(server.open(4), 1, "counted before the handshake");
    let (early, complete) = validated.into_0rtt().unwrap();
    let mut stream = early.open_uni().await.unwrap();
    stream.write_all(b"early").await.unwrap();
    let connection = connecting.await.unwrap();
    complete.await;
    let mut bytes = [0; 5];
    connection.accept_uni().await.unwrap().read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"early");
}

#[tokio::test]
async fn a_closed_endpoint_ends_the_wait() {
    let server = Server::bind(Config::new(1), |endpoint| endpoint);
    server.endpoint.get_ref().close(VarInt::from_u32(0), b"");
    assert!(server.endpoint.accept().await.is_none());
}
