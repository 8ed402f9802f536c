//! An echo server that speaks TLS, in three phases: few handshakes of a client at once, each with a deadline; then its
//! sessions; and whoever is over the limit of those is told so inside TLS.
//!
//! ```text
//! cargo run -p connlimit-tokio --example tls                               # checks itself and ends
//! cargo run -p connlimit-tokio --example tls -- --listen 127.0.0.1:7443    # stays up, with a throw-away certificate
//! ```

use connlimit::{Config, Limiter};
use connlimit_tokio::{Handshakes, LimitedListener, Reject};
use core::{error::Error, time::Duration};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use std::{env, io, sync::Arc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};

/// The limits of the two phases. Both may be changed while the server runs.
#[derive(Clone)]
struct Limits {
    handshakes: Limiter,
    sessions: Limiter,
}

async fn serve(socket: TcpListener, limits: Limits, deadline: Duration, tls: TlsAcceptor) -> io::Result<()> {
    let handshakes = Handshakes::new(socket, limits.handshakes, move |stream| tls.accept(stream))
        .with_deadline(deadline)
        .on_failed(|error, peer| eprintln!("{peer}: {error}"));
    let mut listener =
        LimitedListener::new(handshakes, limits.sessions).reject_with(Reject::Http429 { retry_after: None });
    loop {
        let (stream, _peer) = listener.accept().await?;
        tokio::spawn(async move {
            // The session's permit is in the stream, and is released with it.
            let (mut reader, mut writer) = tokio::io::split(stream);
            tokio::io::copy(&mut reader, &mut writer).await?;
            writer.shutdown().await
        });
    }
}

fn tls() -> Result<(TlsAcceptor, TlsConnector), Box<dyn Error>> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()])?;
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone())?;
    let server =
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![cert.der().clone()], signing_key.into())?;
    let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Ok((Arc::new(server).into(), Arc::new(client).into()))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let limits =
        Limits { handshakes: Limiter::new(Config::new(2).with_max_total(256)), sessions: Limiter::new(Config::new(1)) };
    let (acceptor, connector) = tls()?;
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => check(limits, acceptor, connector).await,
        ["--listen", addr] => {
            Ok(serve(TcpListener::bind(addr).await?, limits, Duration::from_secs(5), acceptor).await?)
        }
        _ => Err("usage: tls [--listen ADDR]".into()),
    }
}

async fn check(limits: Limits, acceptor: TlsAcceptor, connector: TlsConnector) -> Result<(), Box<dyn Error>> {
    let socket = TcpListener::bind("127.0.0.1:0").await?;
    let addr = socket.local_addr()?;
    tokio::spawn(serve(socket, limits.clone(), Duration::from_secs(2), acceptor));
    let connect = async || -> io::Result<TlsStream<TcpStream>> {
        let name = "localhost".try_into().expect("it is a name");
        connector.connect(name, TcpStream::connect(addr).await?).await
    };

    let mut first = connect().await?;
    first.write_all(b"hello").await?;
    first.flush().await?;
    let mut echo = [0; 5];
    first.read_exact(&mut echo).await?;
    assert_eq!(&echo, b"hello");
    println!("admitted, shaken hands, echoed");

    let mut second = connect().await?;
    second.write_all(b"GET / HTTP/1.1\r\n\r\n").await?;
    let mut answer = String::new();
    second.read_to_string(&mut answer).await?;
    println!("over the limit of sessions, told inside TLS: {}", answer.lines().next().unwrap_or_default());
    assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
    drop(second);
    // It has its place among the handshakes until it has gone.
    while limits.handshakes.open_connections(addr) > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    // Clients that do not even begin their handshake are counted, and the next one is rejected before its own.
    let mut silent = [TcpStream::connect(addr).await?, TcpStream::connect(addr).await?];
    while limits.handshakes.open_connections(addr) < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let rejected = connect().await;
    println!("two are silent, the third is rejected before TLS: {}", rejected.is_err());
    assert!(rejected.is_err());

    for stream in &mut silent {
        assert_eq!(stream.read(&mut [0]).await?, 0);
    }
    while limits.handshakes.open_connections(addr) > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    println!("at their deadline the silent are closed and their places free");
    Ok(())
}
