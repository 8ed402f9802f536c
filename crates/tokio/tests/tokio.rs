//! The Tokio listener and streams, against real sockets.

mod loopback;

use connlimit::{Client, Config, Limiter, Rejected};
use connlimit_tokio::LimitedStream;
use connlimit_tokio::{AnswerBudget, LimitedListener, Listen, Reject, Rejecter};
use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use loopback::{Scripted, TENANT, client, dial, eventually, listen, until_closed, within};
use std::io::{self, ErrorKind, IoSlice};
use std::sync::mpsc;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, duplex};
use tokio::net::TcpListener;
use tokio::time::Instant;

async fn limited(max: u32) -> (LimitedListener<TcpListener>, Limiter, SocketAddr) {
    let (socket, addr) = listen().await;
    let limiter = Limiter::new(Config::new(max));
    (LimitedListener::new(socket, limiter.clone()), limiter, addr)
}

async fn accept<L: Listen>(listener: &mut LimitedListener<L>) -> LimitedStream<L::Stream> {
    within("an admission", listener.accept()).await.unwrap().0
}

#[tokio::test]
async fn a_connection_over_the_limit_is_closed_and_the_next_client_is_admitted() {
    let (mut listener, limiter, addr) = limited(1).await;
    let _first = dial(client(1), addr).await;
    let mut second = dial(client(1), addr).await;
    let _other = dial(client(2), addr).await;

    let _a = accept(&mut listener).await;
    let (_b, peer) = within("an admission", listener.accept()).await.unwrap();
    assert_eq!(peer.ip(), client(2));
    assert_eq!(until_closed(&mut second).await, b"");
    assert_eq!((limiter.open_connections(client(1)), limiter.open_connections(client(2))), (1, 1));
    assert_eq!(listener.rejecter().counts().closed, 1);
}

#[tokio::test]
async fn every_rejection_is_told_whatever_the_budget_for_answers_allows() {
    let (listener, limiter, addr) = limited(1).await;
    let (told, rejections) = mpsc::channel();
    let one_answer = Rejecter::new(Reject::Http429 { retry_after: None }, AnswerBudget::new().with_max_concurrent(1));
    let mut listener = listener.reject_with(one_answer).on_rejected(move |rejection| told.send(*rejection).unwrap());
    let _held = limiter.try_acquire(client(1)).unwrap();
    let mut rejected = Vec::new();
    for _ in 0..20 {
        rejected.push(dial(client(1), addr).await);
    }
    let _other = dial(client(2), addr).await;
    let _stream = accept(&mut listener).await;
    let told: Vec<_> = rejections.try_iter().map(|rejection| (rejection.client, rejection.reason)).collect();
    assert_eq!(told, vec![(client(1).into(), Rejected::ClientLimit); 20]);
    let counts = listener.rejecter().counts();
    assert_eq!((counts.answered, counts.total()), (1, 20));
}

#[test]
fn a_connection_is_counted_at_every_moment_of_an_exchange() {
    let limiter = Limiter::new(Config::new(2));
    let one = client(1);
    let mut stream = LimitedStream::new((), limiter.try_acquire(one).unwrap());
    let done = AtomicBool::new(false);
    let stream = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut looks = 0;
            while !done.load(Ordering::Relaxed) || looks == 0 {
                assert_ne!(limiter.open_connections(one), 0, "it was not counted");
                looks += 1;
            }
        });
        for _ in 0..20_000 {
            stream = stream.exchange(limiter.try_acquire(one).unwrap());
        }
        done.store(true, Ordering::Relaxed);
        watcher.join().unwrap();
        stream
    });
    assert_eq!(limiter.open_connections(one), 1);
    drop(stream.map(|()| "another stream"));
    assert_eq!(limiter.open_connections(one), 0);
}

#[tokio::test]
async fn a_slot_is_released_with_the_stream_and_not_with_the_peer() {
    let (mut listener, limiter, addr) = limited(1).await;
    let peer = dial(client(1), addr).await;
    let mut stream = accept(&mut listener).await;
    drop(peer);
    assert_eq!(until_closed(&mut stream).await, b"");
    assert_eq!(limiter.open_connections(client(1)), 1, "the socket on this side is still open");

    drop(stream);
    assert_eq!(limiter.open_connections(client(1)), 0);
    let _again = dial(client(1), addr).await;
    let _stream = accept(&mut listener).await;
}

#[tokio::test]
async fn a_dropped_future_an_aborted_task_and_a_panic_release_their_slots() {
    let (mut listener, limiter, addr) = limited(3).await;
    let mut peers = [dial(client(1), addr).await, dial(client(1), addr).await, dial(client(1), addr).await];
    let (a, b, c) = (accept(&mut listener).await, accept(&mut listener).await, accept(&mut listener).await);
    assert_eq!(limiter.open_connections(client(1)), 3);

    let future = async move {
        let mut a = a;
        a.read_u8().await
    };
    assert!(tokio::time::timeout(Duration::ZERO, future).await.is_err());
    assert_eq!(limiter.open_connections(client(1)), 2);

    let task = tokio::spawn(async move {
        let mut b = b;
        b.read_u8().await
    });
    tokio::task::yield_now().await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(limiter.open_connections(client(1)), 1);

    let task = tokio::spawn(async move {
        let _c = c;
        std::panic::resume_unwind(Box::new("a handler's fault"));
    });
    assert!(task.await.unwrap_err().is_panic());
    assert_eq!(limiter.open_connections(client(1)), 0);

    for peer in &mut peers {
        assert_eq!(until_closed(peer).await, b"");
    }
}

#[test]
fn the_end_of_the_runtime_releases_every_slot() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (limiter, peers) = runtime.block_on(async {
        let (mut listener, limiter, addr) = limited(8).await;
        let mut peers = Vec::new();
        for _ in 0..8 {
            peers.push(dial(client(1), addr).await);
            let mut stream = accept(&mut listener).await;
            tokio::spawn(async move { stream.read_u8().await });
        }
        (limiter, peers)
    });
    assert_eq!(limiter.open_connections(client(1)), 8);
    drop(runtime);
    assert_eq!(limiter.open_connections(client(1)), 0);
    drop(peers);
}

#[tokio::test]
async fn a_half_closed_connection_is_still_counted() {
    let (mut listener, limiter, addr) = limited(1).await;
    let mut peer = dial(client(1), addr).await;
    let mut stream = accept(&mut listener).await;

    peer.shutdown().await.unwrap();
    assert_eq!(until_closed(&mut stream).await, b"");
    stream.write_all(b"still here").await.unwrap();
    assert_eq!(limiter.open_connections(client(1)), 1);

    stream.shutdown().await.unwrap();
    assert_eq!(until_closed(&mut peer).await, b"still here", "shutting down sends FIN");
    assert_eq!(limiter.open_connections(client(1)), 1, "both directions are shut, the socket is open");
    drop(stream);
    assert_eq!(limiter.open_connections(client(1)), 0);
}

#[tokio::test]
async fn halves_are_one_connection_until_both_are_gone() {
    let (mut listener, limiter, addr) = limited(1).await;
    for reader_first in [true, false] {
        let mut peer = dial(client(1), addr).await;
        let (mut reader, mut writer) = accept(&mut listener).await.into_split();

        let writing = tokio::spawn(async move {
            writer.write_all(b"ping").await.unwrap();
            writer
        });
        let mut ping = [0; 4];
        peer.read_exact(&mut ping).await.unwrap();
        peer.write_all(&ping).await.unwrap();
        reader.read_exact(&mut ping).await.unwrap();
        assert_eq!(&ping, b"ping");
        let writer = writing.await.unwrap();

        if reader_first {
            drop(reader);
            assert_eq!(limiter.open_connections(client(1)), 1);
            drop(writer);
        } else {
            drop(writer);
            assert_eq!(until_closed(&mut peer).await, b"", "a dropped writing half sends FIN");
            assert_eq!(limiter.open_connections(client(1)), 1);
            drop(reader);
        }
        assert_eq!(limiter.open_connections(client(1)), 0);
        assert_eq!(until_closed(&mut peer).await, b"");
    }
}

#[tokio::test]
async fn vectored_writes_reach_the_socket_as_such() {
    let (mut listener, _limiter, addr) = limited(1).await;
    let mut peer = dial(client(1), addr).await;
    let mut stream = accept(&mut listener).await;
    assert!(stream.is_write_vectored());
    let slices = [IoSlice::new(b"one "), IoSlice::new(b"two "), IoSlice::new(b"three")];
    let written = stream.write_vectored(&slices).await.unwrap();
    assert_eq!(written, 13, "one call takes all slices");
    drop(stream);
    assert_eq!(until_closed(&mut peer).await, b"one two three");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clients_come_and_go_and_nothing_is_left() {
    const CLIENTS: u8 = 40;
    const LIMIT: u32 = 3;
    let (mut listener, limiter, addr) = limited(LIMIT).await;
    let rejecter = listener.rejecter().clone();
    let server = tokio::spawn(async move {
        loop {
            let (mut stream, _peer) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                stream.write_all(b"hello").await?;
                stream.read_u8().await
            });
        }
    });
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..CLIENTS {
        clients.spawn(async move {
            let mut open = Vec::new();
            let mut admitted = 0;
            for _ in 0..LIMIT + 2 {
                let mut stream = dial(client(number), addr).await;
                let mut hello = [0; 5];
                if within("a verdict", stream.read_exact(&mut hello)).await.is_ok() {
                    admitted += 1;
                    open.push(stream);
                }
            }
            admitted
        });
    }
    while let Some(admitted) = clients.join_next().await {
        assert_eq!(admitted.unwrap(), LIMIT);
    }
    assert_eq!(rejecter.counts().closed, u64::from(CLIENTS) * 2);
    for number in 0..CLIENTS {
        eventually("all slots to be released", || limiter.open_connections(client(number)) == 0).await;
    }
    server.abort();
}

#[tokio::test]
async fn a_cancelled_accept_loses_no_connection() {
    let (mut listener, limiter, addr) = limited(100).await;
    let mut peers = Vec::new();
    let mut streams = Vec::new();
    for _ in 0..100 {
        peers.push(dial(client(1), addr).await);
        tokio::select! {
            biased;
            () = tokio::task::yield_now() => {}
            accepted = listener.accept() => streams.push(accepted.unwrap()),
        }
    }
    while streams.len() < peers.len() {
        streams.push(within("every connection", listener.accept()).await.unwrap());
    }
    assert_eq!(limiter.open_connections(client(1)), 100);
}

#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn a_lack_of_descriptors_or_memory_pauses_the_loop_and_dead_peers_do_not() {
    let (pipe, _peer) = duplex(16);
    let script = [
        Err(io::Error::from_raw_os_error(24)), // EMFILE
        Err(io::Error::from_raw_os_error(23)), // ENFILE
        Err(ErrorKind::ConnectionAborted.into()),
        Err(io::Error::from_raw_os_error(105)), // ENOBUFS
        Err(io::Error::from_raw_os_error(12)),  // ENOMEM
        Err(ErrorKind::ConnectionReset.into()),
        Ok(pipe),
    ];
    let (told, errors) = mpsc::channel();
    let mut listener = LimitedListener::new(Scripted(script.into()), Limiter::new(Config::new(1)))
        .on_error(move |error| told.send(error.raw_os_error()).unwrap());
    let start = Instant::now();
    let _stream = accept(&mut listener).await;
    // The clock is Tokio's and stands still but for the pauses: 5, 10, 20 and 40 ms.
    assert_eq!(start.elapsed().as_millis(), 75);
    let errors: Vec<_> = errors.try_iter().collect();
    assert_eq!(errors, [Some(24), Some(23), None, Some(105), Some(12), None]);
}

#[tokio::test]
async fn a_broken_listener_is_reported() {
    let script = Scripted([Err(ErrorKind::InvalidInput.into())].into());
    let mut listener = LimitedListener::new(script, Limiter::new(Config::new(1)));
    let error = within("an error", listener.accept()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn another_transport_can_be_limited() {
    let ((a, _a), (b, mut rejected)) = (duplex(16), duplex(16));
    let limiter = Limiter::new(Config::new(1));
    let mut listener = LimitedListener::new(Scripted([Ok(a), Ok(b)].into()), limiter.clone());
    let _stream = accept(&mut listener).await;
    tokio::spawn(async move { listener.accept().await });
    assert_eq!(until_closed(&mut rejected).await, b"");
    assert_eq!(limiter.open_connections(Client::named(TENANT)), 1);
}

#[cfg(unix)]
mod unix {
    use super::{Client, Config, LimitedListener, Limiter, accept, until_closed};
    use std::path::PathBuf;
    use tokio::net::{UnixListener, UnixStream};

    struct Path(PathBuf);

    impl Path {
        fn new(name: &str) -> Self {
            let file = format!("connlimit-{}-{name}.sock", std::process::id());
            Self(std::env::temp_dir().join(file))
        }

        fn as_client(&self) -> Client {
            Client::named(format!("unix:{}", self.0.display()))
        }
    }

    impl Drop for Path {
        fn drop(&mut self) {
            std::fs::remove_file(&self.0).unwrap();
        }
    }

    #[tokio::test]
    async fn the_peers_of_a_unix_listener_are_one_client_for_each_path() {
        let limiter = Limiter::new(Config::new(1));
        let (one, two) = (Path::new("one"), Path::new("two"));
        let mut first = LimitedListener::new(UnixListener::bind(&one.0).unwrap(), limiter.clone());
        let mut second = LimitedListener::new(UnixListener::bind(&two.0).unwrap(), limiter.clone());

        let _a = UnixStream::connect(&one.0).await.unwrap();
        let stream = accept(&mut first).await;
        assert_eq!(limiter.open_connections(one.as_client()), 1);

        let mut rejected = UnixStream::connect(&one.0).await.unwrap();
        let accepting = tokio::spawn(async move { first.accept().await });
        assert_eq!(until_closed(&mut rejected).await, b"");
        accepting.abort();

        let _b = UnixStream::connect(&two.0).await.unwrap();
        let _other = accept(&mut second).await;
        assert_eq!(limiter.open_connections(two.as_client()), 1);

        let (reader, writer) = stream.into_split();
        drop(reader);
        assert_eq!(limiter.open_connections(one.as_client()), 1);
        drop(writer);
        assert_eq!(limiter.open_connections(one.as_client()), 0);
    }

    #[tokio::test]
    async fn the_peers_of_a_unix_listener_can_be_counted_for_each_user() {
        let limiter = Limiter::new(Config::new(1));
        let path = Path::new("user");
        let mut listener = LimitedListener::new(UnixListener::bind(&path.0).unwrap(), limiter.clone())
            .count_as(|stream: &UnixStream, _: &_| Client::named(format!("uid:{}", stream.peer_cred().unwrap().uid())));
        let peer = UnixStream::connect(&path.0).await.unwrap();
        let own = Client::named(format!("uid:{}", peer.peer_cred().unwrap().uid()));
        let _stream = accept(&mut listener).await;
        assert_eq!(limiter.open_connections(own), 1);
        assert_eq!(limiter.open_connections(path.as_client()), 0);
    }
}
