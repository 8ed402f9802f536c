//! The PROXY protocol in front of a limited listener, with real connections.

mod loopback;

use connlimit::{Config, Limiter};
use connlimit_tokio::proxy::{Proxied, ProxyError, ProxyErrors, Untrusted};
use connlimit_tokio::{LimitedListener, Reject};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use ipnet::IpNet;
use loopback::{PATIENCE, client, dial, eventually, listen, until_closed, within};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const PROXY: Ipv4Addr = Ipv4Addr::new(127, 0, 9, 1);
const OTHER_PROXY: Ipv4Addr = Ipv4Addr::new(127, 0, 9, 2);
const NAMED: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 77);
const HEADER: &str = "PROXY TCP4 192.0.2.77 192.0.2.1 50000 25\r\n";

struct Server {
    addr: SocketAddr,
    limiter: Limiter,
    told: Arc<Mutex<Vec<(String, IpAddr)>>>,
    errors: ProxyErrors,
}

impl Server {
    /// Echoes what each admitted connection says, after a line with the address of its client.
    async fn new(max: u32, set: impl FnOnce(Proxied<TcpListener>) -> Proxied<TcpListener>) -> Self {
        let (socket, addr) = listen().await;
        Self::on(socket, addr, max, set)
    }

    fn on(
        socket: TcpListener,
        addr: SocketAddr,
        max: u32,
        set: impl FnOnce(Proxied<TcpListener>) -> Proxied<TcpListener>,
    ) -> Self {
        let limiter = Limiter::new(Config::new(max));
        let told = Arc::new(Mutex::new(Vec::new()));
        let trusted: IpNet = "127.0.9.0/24".parse().unwrap();
        let proxied = set(Proxied::new(socket, [trusted])).on_error({
            let told = Arc::clone(&told);
            move |error: &ProxyError, from| {
                told.lock().unwrap().push((error.to_string(), from.ip().to_canonical()));
            }
        });
        let errors = proxied.errors().clone();
        let mut listener =
            LimitedListener::new(proxied, limiter.clone()).reject_with(Reject::Http429 { retry_after: None });
        tokio::spawn(async move {
            while let Ok((mut stream, client)) = listener.accept().await {
                tokio::spawn(async move {
                    stream.write_all(format!("{client}\n").as_bytes()).await?;
                    let (mut reader, mut writer) = stream.into_split();
                    tokio::io::copy(&mut reader, &mut writer).await
                });
            }
        });
        Self { addr, limiter, told, errors }
    }

    async fn told(&self, error: &str, from: Ipv4Addr) {
        let expected = (error.to_owned(), IpAddr::V4(from));
        eventually(error, || self.told.lock().unwrap().contains(&expected)).await;
    }
}

async fn line(stream: &mut TcpStream) -> String {
    let mut line = String::new();
    loop {
        match within("a line", stream.read_u8()).await.unwrap() {
            b'\n' => return line,
            byte => line.push(byte.into()),
        }
    }
}

#[tokio::test]
async fn the_named_client_is_counted_and_the_bytes_after_the_header_arrive() {
    let server = Server::new(1, |proxied| proxied).await;
    let mut first = dial(PROXY, server.addr).await;
    first.write_all(format!("{HEADER}EHLO there\n").as_bytes()).await.unwrap();
    assert_eq!(line(&mut first).await, "192.0.2.77:50000");
    assert_eq!(line(&mut first).await, "EHLO there");
    assert_eq!((server.limiter.open_connections(NAMED), server.limiter.open_connections(PROXY)), (1, 0));

    let mut second = dial(OTHER_PROXY, server.addr).await;
    second.write_all(format!("{HEADER}GET / HTTP/1.1\r\n\r\n").as_bytes()).await.unwrap();
    let rejection = until_closed(&mut second).await;
    assert!(rejection.starts_with(b"HTTP/1.1 429 "), "{rejection:?}");

    drop(first);
    eventually("the release", || server.limiter.open_connections(NAMED) == 0).await;
}

#[tokio::test]
async fn the_proxys_own_connections_are_counted_for_the_proxy() {
    let server = Server::new(1, |proxied| proxied).await;
    let mut check = dial(PROXY, server.addr).await;
    check.write_all(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0ping\n").await.unwrap();
    assert_eq!(line(&mut check).await, check.local_addr().unwrap().to_string());
    assert_eq!(line(&mut check).await, "ping");
    assert_eq!(server.limiter.open_connections(PROXY), 1);
}

#[tokio::test]
async fn strangers_cannot_name_a_client() {
    let server = Server::new(1, |proxied| proxied).await;
    let mut stranger = dial(client(1), server.addr).await;
    stranger.write_all(HEADER.as_bytes()).await.unwrap();
    assert_eq!(until_closed(&mut stranger).await, b"");
    server.told("connection from outside the trusted networks", client(1)).await;

    let server = Server::new(1, |proxied| proxied.with_untrusted(Untrusted::Direct)).await;
    let mut stranger = dial(client(1), server.addr).await;
    stranger.write_all(HEADER.as_bytes()).await.unwrap();
    assert_eq!(line(&mut stranger).await, stranger.local_addr().unwrap().to_string());
    assert_eq!(line(&mut stranger).await, HEADER.trim_end_matches('\n'), "it is payload");
    assert_eq!((server.limiter.open_connections(client(1)), server.limiter.open_connections(NAMED)), (1, 0));
}

#[tokio::test]
async fn a_missing_or_malformed_header_closes_and_is_told() {
    let server = Server::new(1, |proxied| proxied).await;
    for (said, error) in [
        ("GET / HTTP/1.1\r\n\r\n", "no PROXY header"),
        ("PROXY TCP4 nobody 192.0.2.1 1 2\r\n", "malformed PROXY header"),
    ] {
        let mut stream = dial(PROXY, server.addr).await;
        stream.write_all(said.as_bytes()).await.unwrap();
        assert_eq!(until_closed(&mut stream).await, b"");
        server.told(error, PROXY).await;
    }
    let counts = server.errors.counts();
    assert_eq!((counts.missing, counts.malformed, counts.total()), (1, 1, 2), "{counts:?}");
    assert_eq!(counts.by_kind().map(|(kind, _)| kind)[..3], ["untrusted", "busy", "missing"]);
}

#[tokio::test]
async fn slow_headers_keep_nobody_waiting_and_are_bounded_for_each_proxy_and_altogether() {
    let server = Server::new(1, |proxied| proxied.with_deadline(PATIENCE * 2).with_max_reading(3, 2)).await;
    let mut slow = [dial(PROXY, server.addr).await, dial(PROXY, server.addr).await];
    for stream in &mut slow {
        stream.write_all(b"PROXY ").await.unwrap();
    }
    let mut third = dial(PROXY, server.addr).await;
    assert_eq!(until_closed(&mut third).await, b"");
    server.told("too many PROXY headers are being read", PROXY).await;
    assert_eq!(server.limiter.open_connections(PROXY), 0, "it has an account of its own");

    let mut other = dial(OTHER_PROXY, server.addr).await;
    let mut beyond_all = dial(OTHER_PROXY, server.addr).await;
    assert_eq!(until_closed(&mut beyond_all).await, b"");
    server.told("too many PROXY headers are being read", OTHER_PROXY).await;

    other.write_all(HEADER.as_bytes()).await.unwrap();
    assert_eq!(line(&mut other).await, "192.0.2.77:50000");
    slow[0].write_all(b"UNKNOWN\r\n").await.unwrap();
    assert_eq!(line(&mut slow[0]).await, slow[0].local_addr().unwrap().to_string());
}

#[tokio::test]
async fn a_header_that_does_not_come_is_given_up() {
    let server = Server::new(1, |proxied| proxied.with_deadline(Duration::from_millis(20))).await;
    let mut silent = dial(PROXY, server.addr).await;
    assert_eq!(until_closed(&mut silent).await, b"");
    server.told("PROXY header not complete in time", PROXY).await;
}

#[tokio::test]
async fn a_proxy_is_recognised_on_a_dual_stack_socket() {
    let Ok(socket) = TcpListener::bind("[::]:0").await else {
        assert!(!std::path::Path::new("/proc/net/if_inet6").exists(), "no IPv6 socket to be had");
        return;
    };
    let addr = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), socket.local_addr().unwrap().port());
    let server = Server::on(socket, addr, 1, |proxied| proxied);
    let mut stream = dial(PROXY, server.addr).await;
    stream.write_all(HEADER.as_bytes()).await.unwrap();
    assert_eq!(line(&mut stream).await, "192.0.2.77:50000");
}
