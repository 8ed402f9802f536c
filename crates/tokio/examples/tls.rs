//! An echo server that speaks TLS. The limit comes before the handshake, which is the expensive part.
//!
//! ```text
//! cargo run -p connlimit-tokio --example tls                               # checks itself and ends
//! cargo run -p connlimit-tokio --example tls -- --listen 127.0.0.1:7443    # stays up, with a throw-away certificate
//! ```

use connlimit::{Config, Limiter};
use connlimit_tokio::LimitedListener;
use core::error::Error;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use std::{env, io, sync::Arc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

async fn serve(socket: TcpListener, limiter: Limiter, tls: TlsAcceptor) -> io::Result<()> {
    let mut listener = LimitedListener::new(socket, limiter);
    loop {
        let (stream, _peer) = listener.accept().await?;
        let tls = tls.clone();
        tokio::spawn(async move {
            // The TLS stream owns the limited stream, so the permit is released with it.
            let (mut reader, mut writer) = tokio::io::split(tls.accept(stream).await?);
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
    let limiter = Limiter::new(Config::new(1));
    let (acceptor, connector) = tls()?;
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => check(limiter, acceptor, connector).await,
        ["--listen", addr] => Ok(serve(TcpListener::bind(addr).await?, limiter, acceptor).await?),
        _ => Err("usage: tls [--listen ADDR]".into()),
    }
}

async fn check(limiter: Limiter, acceptor: TlsAcceptor, connector: TlsConnector) -> Result<(), Box<dyn Error>> {
    let socket = TcpListener::bind("127.0.0.1:0").await?;
    let addr = socket.local_addr()?;
    tokio::spawn(serve(socket, limiter.clone(), acceptor));

    // A client that has not even begun its handshake is counted, and the next one is rejected before its own.
    let silent = TcpStream::connect(addr).await?;
    while limiter.open_connections(addr) == 0 {
        tokio::task::yield_now().await;
    }
    let rejected = connector.connect("localhost".try_into()?, TcpStream::connect(addr).await?).await;
    println!("rejected before the handshake: {}", rejected.is_err());
    assert!(rejected.is_err());

    drop(silent);
    while limiter.open_connections(addr) > 0 {
        tokio::task::yield_now().await;
    }
    let stream = TcpStream::connect(addr).await?;
    let mut stream = connector.connect("localhost".try_into()?, stream).await?;
    stream.write_all(b"hello").await?;
    stream.flush().await?;
    let mut echo = [0; 5];
    stream.read_exact(&mut echo).await?;
    assert_eq!(&echo, b"hello");
    println!("admitted, shaken hands, echoed");
    Ok(())
}
