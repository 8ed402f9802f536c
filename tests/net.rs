//! The adapters for blocking sockets, on real sockets: 127.0.0.1 and 127.0.0.2 are two clients.
#![cfg(not(miri))] // Miri has no sockets.
#![allow(clippy::std_instead_of_core, reason = "a test has the standard library")]

use connlimit::{
    Client, Config, LimitedStream, Limiter, Rejected,
    net::{LimitedListener, Listen},
};
use socket2::{Domain, Socket, Type};
use std::{
    cell::RefCell,
    collections::VecDeque,
    io::{self, IoSlice, IoSliceMut, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

const ONE: Ipv4Addr = Ipv4Addr::LOCALHOST;
const TWO: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn each_client_has_the_limit_for_itself() {
    let (limiter, mut listener, addr) = tcp(1);
    let _first = connect(ONE, addr);
    let (one, _) = listener.accept().unwrap();
    let rejected = connect(ONE, addr);
    let _second = connect(TWO, addr);

    // The loop goes past the rejected peer to the admissible one behind it.
    let (two, peer) = listener.accept().unwrap();
    assert_eq!(peer.ip(), TWO);
    assert_closed(rejected);
    assert_eq!((limiter.open_connections(ONE), limiter.open_connections(TWO)), (1, 1));
    drop((one, two));
    assert_eq!((limiter.open_connections(ONE), limiter.open_connections(TWO)), (0, 0));
}

#[test]
fn a_closed_connection_makes_room_for_the_next() {
    let (limiter, mut listener, addr) = tcp(1);
    for _ in 0..3 {
        let client = connect(ONE, addr);
        let (stream, _) = listener.accept().unwrap();
        assert_eq!(limiter.open_connections(ONE), 1);
        drop(stream);
        assert_closed(client);
    }
    assert_eq!(limiter.open_connections(ONE), 0);
}

#[test]
fn the_hook_gets_the_rejected_stream_and_may_answer() {
    let (limiter, listener, addr) = tcp(1);
    let (seen, rejections) = mpsc::channel();
    let mut listener = listener.on_rejected(move |mut stream, peer, reason| {
        writeln!(stream, "{reason}").unwrap();
        seen.send((peer, reason)).unwrap();
    });
    let _held = limiter.try_acquire(ONE).unwrap();
    let mut rejected = connect(ONE, addr);
    let _admitted = connect(TWO, addr);
    let _stream = listener.accept().unwrap();

    let (peer, reason) = rejections.try_recv().expect("the hook was not called");
    assert_eq!(peer, rejected.local_addr().unwrap());
    assert_eq!(reason, Rejected::ClientLimit);
    let mut text = String::new();
    rejected.read_to_string(&mut text).unwrap();
    assert_eq!(text, "client connection limit reached\n");
}

#[test]
fn a_limit_changed_while_running_holds_from_the_next_connection() {
    let (limiter, mut listener, addr) = tcp(1);
    let _first = connect(ONE, addr);
    let _held = listener.accept().unwrap();

    limiter.set_config(Config::new(2)).unwrap();
    let _second = connect(ONE, addr);
    let (mut stream, _) = listener.accept().unwrap();

    // Lowered below what is open: nobody is cut off, and nobody new gets in.
    limiter.set_config(Config::new(1)).unwrap();
    let rejected = connect(ONE, addr);
    let _other = connect(TWO, addr);
    assert_eq!(listener.accept().unwrap().1.ip(), TWO);
    assert_closed(rejected);
    assert_eq!(limiter.open_connections(ONE), 2);
    stream.write_all(b"still open").expect("a connection was cut off");
}

#[test]
fn an_ipv4_client_is_the_same_through_a_dual_stack_socket() {
    let Some((dual, port)) = dual_stack() else {
        eprintln!("no IPv6 on this machine: the mapping is checked without a socket");
        let limiter = Limiter::new(Config::new(1));
        let _held = limiter.try_acquire(ONE).unwrap();
        let mapped = limiter.try_acquire(ONE.to_ipv6_mapped());
        assert_eq!(mapped.unwrap_err(), Rejected::ClientLimit);
        return;
    };
    let limiter = Limiter::new(Config::new(1).with_ipv6_prefix(64).unwrap());
    let mut listener = LimitedListener::new(dual, limiter.clone());
    let _one = connect(ONE, (ONE, port).into());
    let (_stream, peer) = listener.accept().unwrap();

    assert_eq!(peer.ip(), IpAddr::V6(ONE.to_ipv6_mapped()));
    assert_eq!(limiter.open_connections(ONE), 1);
    // Masked before it was un-mapped, 127.0.0.2 would share the count of 127.0.0.1.
    assert_eq!(limiter.open_connections(TWO), 0);
}

#[test]
fn a_panic_in_a_handler_thread_releases() {
    let (limiter, mut listener, addr) = tcp(1);
    let client = connect(ONE, addr);
    let (stream, _) = listener.accept().unwrap();
    let handler = thread::spawn(move || {
        let _stream = stream;
        panic!("on purpose");
    });
    assert!(handler.join().is_err());
    assert_closed(client);
    assert_eq!(limiter.open_connections(ONE), 0);
}

#[test]
fn a_handler_that_ends_when_its_peer_leaves_releases() {
    let (limiter, mut listener, addr) = tcp(1);
    let client = connect(ONE, addr);
    let (stream, _) = listener.accept().unwrap();
    let handler = thread::spawn(move || io::copy(&mut &stream, &mut &stream));
    drop(client);
    handler.join().unwrap().unwrap();
    assert_eq!(limiter.open_connections(ONE), 0);
}

#[test]
fn parts_keep_the_permit() {
    let (limiter, mut listener, addr) = tcp(1);
    let client = connect(ONE, addr);
    let (stream, permit) = listener.accept().unwrap().0.into_parts();
    assert_eq!(limiter.open_connections(ONE), 1);
    drop(stream);
    assert_closed(client);
    assert_eq!(limiter.open_connections(ONE), 1, "closing the stream released a permit it does not own");
    drop(permit);
    assert_eq!(limiter.open_connections(ONE), 0);
}

/// Notes, when it is dropped, what its limiter counts.
struct Witness(Limiter, mpsc::Sender<u32>);

impl Drop for Witness {
    fn drop(&mut self) {
        self.1.send(self.0.open_connections(ONE)).unwrap();
    }
}

#[test]
fn the_stream_is_closed_before_its_permits_are_released() {
    let (inner, outer) = (Limiter::new(Config::new(1)), Limiter::new(Config::new(1)));
    let (sender, counts) = mpsc::channel();
    for limiter in [&inner, &outer] {
        drop(LimitedStream::new(
            LimitedStream::new(Witness(limiter.clone(), sender.clone()), inner.try_acquire(ONE).unwrap()),
            outer.try_acquire(ONE).unwrap(),
        ));
        assert_eq!(counts.try_recv(), Ok(1), "released while still open");
        assert_eq!(limiter.open_connections(ONE), 0);
    }
}

#[test]
fn one_stream_holds_the_permits_of_several_limiters() {
    let (per_client, mut listener, addr) = tcp(8);
    let total = Limiter::new(Config::new(1));
    let everyone = Client::named("total");

    let mut client = connect(ONE, addr);
    let (stream, _) = listener.accept().unwrap();
    let mut stream: LimitedStream<LimitedStream<TcpStream>> =
        LimitedStream::new(stream, total.try_acquire(everyone).unwrap());
    assert!(total.try_acquire(everyone).is_err());
    assert_eq!(per_client.open_connections(ONE), 1);

    (&stream).write_all(b"hel").unwrap();
    stream.write_all(b"lo").unwrap();
    let mut hello = [0; 5];
    client.read_exact(&mut hello).unwrap();
    assert_eq!(&hello, b"hello");

    drop(stream);
    assert_eq!((per_client.open_connections(ONE), total.open_connections(everyone)), (0, 0));
}

#[test]
fn a_limited_stream_reads_and_writes_as_the_stream_does() {
    let (limiter, mut listener, addr) = tcp(1);
    let mut client = connect(ONE, addr);
    let (mut stream, _) = listener.accept().unwrap();

    let written = stream.write_vectored(&[IoSlice::new(b"ab"), IoSlice::new(b"cd")]).unwrap();
    assert_eq!(written, 4, "only the first buffer was written");
    (&stream).write_all(b"ef").unwrap();
    (&stream).flush().unwrap();
    stream.flush().unwrap();
    let mut six = [0; 6];
    client.read_exact(&mut six).unwrap();
    assert_eq!(&six, b"abcdef");

    client.write_all(b"uvwxyz").unwrap();
    let (mut first, mut second) = ([0; 2], [0; 2]);
    // All six bytes are there once they can be peeked at, so one vectored read fills both buffers.
    eventually("the bytes arrived", || stream.get_ref().peek(&mut [0; 6]).unwrap() == 6);
    let read = stream.read_vectored(&mut [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)]).unwrap();
    assert_eq!((read, &first, &second), (4, b"uv", b"wx"), "only the first buffer was filled");
    (&stream).read_exact(&mut first).unwrap();
    assert_eq!(&first, b"yz");
    assert_eq!(stream.get_mut().peer_addr().unwrap(), client.local_addr().unwrap());
    assert_eq!(limiter.open_connections(ONE), 1);
}

#[cfg(unix)]
#[test]
fn a_limited_stream_lends_its_descriptor() {
    use std::os::fd::{AsFd, AsRawFd};
    let (_limiter, mut listener, addr) = tcp(1);
    let _client = connect(ONE, addr);
    let (stream, _) = listener.accept().unwrap();
    let fd = stream.get_ref().as_raw_fd();
    assert_eq!(stream.as_raw_fd(), fd);
    assert_eq!(stream.as_fd().as_raw_fd(), fd);
}

/// A listener whose results are written down beforehand; a connection is the name of its client.
struct Scripted(RefCell<VecDeque<io::Result<&'static str>>>);

impl Listen for Scripted {
    type Stream = &'static str;
    type Addr = ();

    fn accept(&self) -> io::Result<(&'static str, ())> {
        let next = self.0.borrow_mut().pop_front();
        next.expect("accept was called again after the script had ended").map(|name| (name, ()))
    }

    fn client(&self, name: &&'static str, (): &()) -> Client {
        Client::named(name)
    }
}

fn scripted<const N: usize>(script: [io::Result<&'static str>; N]) -> LimitedListener<Scripted> {
    LimitedListener::new(Scripted(RefCell::new(VecDeque::from(script))), Limiter::new(Config::new(1)))
}

#[test]
fn a_connection_that_died_in_the_backlog_is_skipped() {
    let (seen, errors) = mpsc::channel();
    let mut listener = scripted([
        Err(io::ErrorKind::ConnectionAborted.into()),
        Err(io::ErrorKind::ConnectionReset.into()),
        Ok("alice"),
    ])
    .on_error(move |error| seen.send(error.kind()).unwrap());
    assert_eq!(*listener.accept().unwrap().0.get_ref(), "alice");
    assert_eq!(
        errors.try_iter().collect::<Vec<_>>(),
        [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset]
    );
}

#[cfg(unix)]
#[test]
fn the_loop_survives_running_out_of_descriptors() {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    let (seen, errors) = mpsc::channel();
    let mut listener = scripted([
        Err(io::Error::from_raw_os_error(EMFILE)),
        Err(io::Error::from_raw_os_error(ENFILE)),
        Err(io::ErrorKind::OutOfMemory.into()),
        Ok("alice"),
    ])
    .on_error(move |error| seen.send(error.raw_os_error()).unwrap());
    assert_eq!(*listener.accept().unwrap().0.get_ref(), "alice");
    assert_eq!(errors.try_iter().collect::<Vec<_>>(), [Some(EMFILE), Some(ENFILE), None]);
}

#[test]
fn an_error_of_the_listener_itself_reaches_the_caller_and_the_iterator_goes_on() {
    let mut listener = scripted([
        Err(io::ErrorKind::WouldBlock.into()),
        Ok("alice"),
        Ok("alice"),
        Err(io::ErrorKind::InvalidInput.into()),
    ]);
    let limiter = listener.limiter().clone();
    let mut incoming = listener.incoming();
    let error = incoming.next().unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    assert_eq!(limiter.open_connections(Client::named("alice")), 0);
    let _alice = incoming.next().unwrap().unwrap();
    // The second alice is rejected without a word; the error behind her is next.
    let error = incoming.next().unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert_eq!(limiter.open_connections(Client::named("alice")), 1);
}

#[test]
fn a_non_blocking_listener_says_so() {
    let (_limiter, mut listener, addr) = tcp(1);
    listener.get_ref().set_nonblocking(true).unwrap();
    let error = listener.accept().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    let unguarded = listener.into_inner();
    assert_eq!(unguarded.local_addr().unwrap().port(), addr.port());
}

#[cfg(unix)]
#[test]
fn unix_peers_are_counted_for_the_path_they_connect_to() {
    use std::os::unix::net::{UnixListener, UnixStream};
    let path = std::env::temp_dir().join(format!("connlimit-test-{}.sock", std::process::id()));
    let limiter = Limiter::new(Config::new(1));
    let mut listener = LimitedListener::new(UnixListener::bind(&path).unwrap(), limiter.clone());

    let _first = UnixStream::connect(&path).unwrap();
    let (held, _) = listener.accept().unwrap();
    let by_path = Client::named(format!("unix:{}", path.display()));
    assert_eq!(limiter.open_connections(by_path), 1);

    // The second peer is rejected; with another name for the same socket the third is admitted.
    let mut rejected = UnixStream::connect(&path).unwrap();
    listener.get_ref().set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err());
    assert_eq!(rejected.read(&mut [0]).unwrap(), 0);
    let mut listener = listener.count_as(|_stream, _peer| Client::named("admin"));
    let _third = UnixStream::connect(&path).unwrap();
    let _admin = listener.accept().unwrap();
    assert_eq!(limiter.open_connections(Client::named("admin")), 1);

    drop(held);
    assert_eq!(limiter.open_connections(by_path), 0);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_listener_and_its_streams_may_be_moved_to_another_thread() {
    fn is_send<T: Send + 'static>() {}
    fn is_sync<T: Sync>() {}
    is_send::<LimitedListener<TcpListener>>();
    is_send::<LimitedStream<TcpStream>>();
    is_sync::<LimitedStream<TcpStream>>();
}

fn tcp(limit: u32) -> (Limiter, LimitedListener<TcpListener>, SocketAddr) {
    let limiter = Limiter::new(Config::new(limit));
    // All of 127.0.0.0/8 reaches a socket bound to 0.0.0.0.
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let addr = (ONE, listener.local_addr().unwrap().port()).into();
    let guarded = LimitedListener::new(listener, limiter.clone());
    (limiter, guarded, addr)
}

fn dual_stack() -> Option<(TcpListener, u16)> {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, None).ok()?;
    socket.set_only_v6(false).ok()?;
    socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)).into()).ok()?;
    socket.listen(8).ok()?;
    let listener = TcpListener::from(socket);
    let port = listener.local_addr().ok()?.port();
    Some((listener, port))
}

/// Connects from an address of our choice, to be a client of our choice.
fn connect(from: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[track_caller]
fn assert_closed(mut client: TcpStream) {
    match client.read(&mut [0]) {
        Ok(0) => {}
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
        other => panic!("the connection should be closed, but read gave {other:?}"),
    }
}

#[track_caller]
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}
