//! The phase before a session, on real sockets. The handshake here is one byte, `!`; a client that is silent stalls.

mod loopback;

use connlimit::{Client, Config, Limiter, Rejected};
use connlimit_tokio::{Established, HandshakeError, Handshakes, LimitedListener, LimitedStream, Reject};
use core::net::SocketAddr;
use core::time::Duration;
use loopback::{PATIENCE, client, dial, eventually, listen, until_closed, within};
use std::io;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Longer than any test.
const NEVER: Duration = PATIENCE.saturating_mul(4);

async fn one_byte(mut stream: TcpStream) -> io::Result<TcpStream> {
    match stream.read_u8().await? {
        b'!' => Ok(stream),
        b'?' => std::panic::resume_unwind(Box::new("a handshake's fault")),
        _ => Err(io::Error::other("that is no handshake")),
    }
}

async fn handshakes(before: Config, deadline: Duration) -> (Handshakes<TcpListener, TcpStream>, Limiter, SocketAddr) {
    let (socket, addr) = listen().await;
    let before = Limiter::new(before);
    (Handshakes::new(socket, before.clone(), one_byte).with_deadline(deadline), before, addr)
}

async fn greet(from: u8, to: SocketAddr) -> TcpStream {
    let mut stream = dial(client(from), to).await;
    stream.write_all(b"!").await.unwrap();
    stream
}

async fn accept(handshakes: &mut Handshakes<TcpListener, TcpStream>) -> (LimitedStream<TcpStream>, SocketAddr) {
    within("a handshake", handshakes.accept()).await.unwrap()
}

/// Accepts in a task, and holds what it accepts until the other end of the pipe is dropped.
fn keep_accepting(
    mut handshakes: Handshakes<TcpListener, TcpStream>,
) -> tokio::sync::mpsc::UnboundedReceiver<LimitedStream<TcpStream>> {
    let (send, accepted) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = handshakes.accept().await {
            if send.send(stream).is_err() {
                return;
            }
        }
    });
    accepted
}

#[tokio::test]
async fn a_silent_client_frees_its_slot_at_the_deadline() {
    let (handshakes, before, addr) = handshakes(Config::new(1), Duration::from_millis(300)).await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let handshakes = handshakes.on_failed({
        let told = Arc::clone(&told);
        move |error, peer| told.lock().unwrap().push((matches!(error, HandshakeError::Late), peer.ip()))
    });
    let mut accepted = keep_accepting(handshakes);
    let mut silent = dial(client(1), addr).await;
    eventually("the claim", || before.open_connections(client(1)) == 1).await;
    assert_eq!(until_closed(&mut silent).await, b"");
    eventually("the slot to come free", || before.open_connections(client(1)) == 0).await;
    eventually("the news", || *told.lock().unwrap() == [(true, client(1).into())]).await;

    let _next = greet(1, addr).await;
    assert!(within("an accept", accepted.recv()).await.is_some());
}

#[tokio::test]
async fn a_stalled_handshake_delays_no_other() {
    let (mut handshakes, before, addr) = handshakes(Config::new(4), NEVER).await;
    let mut stalled = dial(client(1), addr).await;
    for other in [1, 2, 3] {
        let _other = greet(other, addr).await;
        let (_stream, peer) = accept(&mut handshakes).await;
        assert_eq!(peer.ip(), client(other));
    }
    assert_eq!(before.open_connections(client(1)), 1, "it is still under way");
    stalled.write_all(b"!").await.unwrap();
    assert_eq!(accept(&mut handshakes).await.1.ip(), client(1));
}

#[tokio::test]
async fn handshakes_are_limited_for_each_client_and_altogether() {
    let (handshakes, before, addr) = handshakes(Config::new(2).with_max_total(3), NEVER).await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let handshakes = handshakes.on_rejected({
        let told = Arc::clone(&told);
        move |rejection| told.lock().unwrap().push((rejection.client, rejection.reason))
    });
    let mut accepted = keep_accepting(handshakes);
    let mut silent = [dial(client(1), addr).await, dial(client(1), addr).await];
    assert_eq!(until_closed(&mut dial(client(1), addr).await).await, b"");
    let _silent_too = dial(client(2), addr).await;
    assert_eq!(until_closed(&mut dial(client(3), addr).await).await, b"");
    let expected: [(Client, Rejected); 2] =
        [(client(1).into(), Rejected::ClientLimit), (client(3).into(), Rejected::TotalLimit)];
    assert_eq!(*told.lock().unwrap(), expected);

    silent[0].write_all(b"!").await.unwrap();
    drop(within("an accept", accepted.recv()).await);
    eventually("a free place", || before.open_connections(client(1)) == 1).await;
    let _other = greet(3, addr).await;
    assert!(within("an accept", accepted.recv()).await.is_some());
}

#[tokio::test]
async fn a_handshake_that_fails_or_panics_ends_its_connection_and_nothing_else() {
    let (handshakes, before, addr) = handshakes(Config::new(1), NEVER).await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let handshakes = handshakes.on_failed({
        let told = Arc::clone(&told);
        move |error, _| told.lock().unwrap().push(error.to_string())
    });
    let mut accepted = keep_accepting(handshakes);
    for byte in [b"x", b"?"] {
        let mut stream = dial(client(1), addr).await;
        stream.write_all(byte).await.unwrap();
        assert_eq!(until_closed(&mut stream).await, b"");
        eventually("the release", || before.open_connections(client(1)) == 0).await;
    }
    let _next = greet(1, addr).await;
    assert!(within("an accept", accepted.recv()).await.is_some());
    assert_eq!(*told.lock().unwrap(), ["handshake failed: that is no handshake"]);
}

#[tokio::test]
async fn a_login_is_exchanged_for_a_session_of_its_user() {
    let (mut handshakes, logins, addr) = handshakes(Config::new(1), NEVER).await;
    let sessions = Limiter::new(Config::new(2));
    let user = Client::named("alice");
    let mut open = Vec::new();
    for number in 1..=2 {
        let _peer = greet(1, addr).await;
        let (stream, peer) = accept(&mut handshakes).await;
        assert_eq!((logins.open_connections(peer), sessions.open_connections(user)), (1, number - 1));
        let stream = stream.exchange(sessions.try_acquire(user).unwrap());
        assert_eq!((logins.open_connections(peer), sessions.open_connections(user)), (0, number));
        open.push(stream);
    }
    let _peer = greet(1, addr).await;
    let (stream, peer) = accept(&mut handshakes).await;
    assert_eq!(sessions.try_acquire(user).unwrap_err(), Rejected::ClientLimit);
    assert_eq!(logins.open_connections(peer), 1, "whoever is not let in is still logging in");
    drop((stream, open));
    assert_eq!((logins.open_connections(peer), sessions.open_connections(user)), (0, 0));
}

#[tokio::test]
async fn a_session_no_longer_counts_as_a_handshake_and_a_rejected_one_does_until_it_has_been_told() {
    let (handshakes, before, addr) = handshakes(Config::new(1), NEVER).await;
    let sessions = Limiter::new(Config::new(3));
    // Says its piece and waits until the client has gone.
    let reject = Reject::handler(|mut stream: Established<TcpStream>, rejection| async move {
        let said = format!("421 {}\r\n", rejection.reason);
        stream.write_all(said.as_bytes()).await.unwrap();
        let _gone = stream.read_u8().await;
    });
    let mut listener = LimitedListener::new(handshakes, sessions.clone()).reject_with(reject);
    let mut open = Vec::new();
    for number in 1..=3 {
        let _peer = greet(1, addr).await;
        let (stream, peer) = within("an admission", listener.accept()).await.unwrap();
        assert_eq!((before.open_connections(peer), sessions.open_connections(peer)), (0, number));
        open.push(stream);
    }
    tokio::spawn(async move { listener.accept().await });
    let mut rejected = greet(1, addr).await;
    let mut said = [0; 4];
    within("a word", rejected.read_exact(&mut said)).await.unwrap();
    assert_eq!(&said, b"421 ");
    assert_eq!((before.open_connections(client(1)), sessions.open_connections(client(1))), (1, 3));
    drop(rejected);
    eventually("the release", || before.open_connections(client(1)) == 0).await;
}

#[tokio::test]
async fn handshakes_go_with_the_listener_they_came_from() {
    let (mut handshakes, before, addr) = handshakes(Config::new(4), NEVER).await;
    let mut silent = [dial(client(1), addr).await, dial(client(1), addr).await];
    let _greeted = greet(2, addr).await;
    drop(accept(&mut handshakes).await);
    eventually("the claims", || before.open_connections(client(1)) == 2).await;
    drop(handshakes);
    for stream in &mut silent {
        assert_eq!(until_closed(stream).await, b"");
    }
    eventually("the release", || before.open_connections(client(1)) == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_handshake_has_ten_seconds_unless_told_otherwise() {
    let (pipe, mut peer) = tokio::io::duplex(16);
    let script = loopback::Scripted([Ok(pipe)].into());
    let before = Limiter::new(Config::new(1));
    let mut handshakes = Handshakes::new(script, before.clone(), |mut pipe| async move { pipe.read_u8().await });
    let start = tokio::time::Instant::now();
    tokio::spawn(async move { handshakes.accept().await.map(drop) });
    // The clock is Tokio's and stands still but for the deadline.
    assert_eq!(peer.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(start.elapsed().as_secs(), 10);
    tokio::task::yield_now().await;
    assert_eq!(before.open_connections(Client::named(loopback::TENANT)), 0);
}
