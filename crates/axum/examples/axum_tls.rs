//! An axum server over TLS: few handshakes of a client at once, each with a deadline, so that silent clients are turned
//! away before TLS; then a limit on connections, with a 429 inside TLS.
//!
//! ```text
//! cargo run -p connlimit-axum --example axum_tls                               # checks itself and ends
//! cargo run -p connlimit-axum --example axum_tls -- --listen 127.0.0.1:8443    # then: curl -k https://127.0.0.1:8443/
//! ```

use axum::{Router, extract::ConnectInfo, routing::get};
use connlimit::{Config, Limiter};
use connlimit_tokio::{Handshakes, LimitedListener, Reject};
use core::{error::Error, net::SocketAddr, time::Duration};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use std::{env, io, sync::Arc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};

const LIMIT: u32 = 4;

async fn serve(socket: TcpListener, handshaking: Limiter, tls: TlsAcceptor) -> io::Result<()> {
    let handshakes = Handshakes::new(socket, handshaking, move |stream| tls.accept(stream))
        .with_deadline(Duration::from_secs(5))
        .on_failed(|error, peer| eprintln!("{peer}: {error}"));
    let listener = LimitedListener::new(handshakes, Limiter::new(Config::new(LIMIT)))
        .reject_with(Reject::Http429 { retry_after: Some(Duration::from_secs(1)) })
        .on_rejected(|rejection| eprintln!("{}: {}", rejection.client, rejection.reason));
    let app = Router::new().route("/", get(hello));
    connlimit_axum::serve(listener, app).await
}

async fn hello(ConnectInfo(peer): ConnectInfo<SocketAddr>) -> String {
    format!("hello {peer}\n")
}

fn tls() -> Result<(TlsAcceptor, TlsConnector), Box<dyn Error>> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()])?;
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone())?;
    let mut server =
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![cert.der().clone()], signing_key.into())?;
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Ok((Arc::new(server).into(), Arc::new(client).into()))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let handshaking = Limiter::new(Config::new(2).with_max_total(256));
    let (acceptor, connector) = tls()?;
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => check(handshaking, acceptor, connector).await,
        ["--listen", addr] => Ok(serve(TcpListener::bind(addr).await?, handshaking, acceptor).await?),
        _ => Err("usage: axum_tls [--listen ADDR]".into()),
    }
}

async fn check(handshaking: Limiter, acceptor: TlsAcceptor, connector: TlsConnector) -> Result<(), Box<dyn Error>> {
    let socket = TcpListener::bind("127.0.0.1:0").await?;
    let addr = socket.local_addr()?;
    tokio::spawn(serve(socket, handshaking.clone(), acceptor));
    let connect = async || -> io::Result<TlsStream<TcpStream>> {
        let name = "localhost".try_into().expect("it is a name");
        connector.connect(name, TcpStream::connect(addr).await?).await
    };

    let mut open = Vec::new();
    for number in 0..=LIMIT {
        let mut stream = connect().await?;
        let answer = ask(&mut stream).await?;
        println!("connection {number}: {}", answer.lines().next().unwrap_or_default());
        let expected = if number < LIMIT { "HTTP/1.1 200 " } else { "HTTP/1.1 429 " };
        assert!(answer.starts_with(expected), "{answer}");
        open.push(stream);
    }
    drop(open);
    while handshaking.open_connections(addr) > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    let _silent = [TcpStream::connect(addr).await?, TcpStream::connect(addr).await?];
    while handshaking.open_connections(addr) < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(connect().await.is_err());
    println!("while two are silent, the next one gets no TLS");
    Ok(())
}

async fn ask(stream: &mut TlsStream<TcpStream>) -> io::Result<String> {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
    stream.flush().await?;
    let mut answer = vec![0; 4096];
    let read = stream.read(&mut answer).await?;
    answer.truncate(read);
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
