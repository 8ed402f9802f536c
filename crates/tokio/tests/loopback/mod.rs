//! Clients and waits for tests on loopback. Every address in 127.0.0.0/8 is a client of its own on Linux.
#![allow(dead_code, reason = "each test file uses the part it needs")]

use connlimit::Client;
use connlimit_tokio::Listen;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::task::{Context, Poll};
use core::time::Duration;
use std::{collections::VecDeque, io};
use tokio::io::{AsyncRead, AsyncReadExt, DuplexStream};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Long enough for the slowest machine; a test that waits for it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const fn client(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 5, last)
}

pub(crate) async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// Connects to `to` as the client `from`.
pub(crate) async fn dial(from: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(IpAddr::V4(from), 0)).unwrap();
    within("connecting", socket.connect(to)).await.unwrap()
}

/// Waits for `future`, and fails with `what` when it takes for ever.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let Ok(done) = tokio::time::timeout(PATIENCE, future).await else { panic!("{what}: not within {PATIENCE:?}") };
    done
}

/// Polls until `holds` does, and fails with `what` when it never does.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    within(what, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// Waits until the other side ends the connection, in whatever way; whatever it says before is returned.
pub(crate) async fn until_closed(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut said = Vec::new();
    let mut buf = [0; 1024];
    loop {
        match within("the other side to close", stream.read(&mut buf)).await {
            Ok(0) | Err(_) => return said,
            Ok(read) => said.extend_from_slice(&buf[..read]),
        }
    }
}

/// A listener that yields what it was given and then waits for ever. All its peers are one tenant.
pub(crate) struct Scripted(pub(crate) VecDeque<io::Result<DuplexStream>>);

pub(crate) const TENANT: &str = "a tenant";

impl Listen for Scripted {
    type Stream = DuplexStream;
    type Addr = &'static str;

    fn poll_accept(&mut self, _: &mut Context<'_>) -> Poll<io::Result<(DuplexStream, &'static str)>> {
        match self.0.pop_front() {
            Some(next) => Poll::Ready(next.map(|pipe| (pipe, TENANT))),
            None => Poll::Pending,
        }
    }

    fn client(&self, _: &DuplexStream, tenant: &&'static str) -> Client {
        Client::named(tenant)
    }

    fn local_addr(&self) -> io::Result<&'static str> {
        Ok("here")
    }
}
