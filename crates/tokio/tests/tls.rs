//! The limit comes before the TLS handshake, and the permit lives as long as the TLS connection.

mod loopback;

use connlimit::{Config, Limiter};
use connlimit_tokio::LimitedListener;
use core::net::SocketAddr;
use loopback::{client, dial, eventually, listen, within};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};

fn tls() -> (TlsAcceptor, TlsConnector) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let server = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], signing_key.into())
        .unwrap();
    let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    (TlsAcceptor::from(Arc::new(server)), TlsConnector::from(Arc::new(client)))
}

async fn serve(max: u32, acceptor: TlsAcceptor) -> (SocketAddr, Limiter) {
    let (socket, addr) = listen().await;
    let limiter = Limiter::new(Config::new(max));
    let mut listener = LimitedListener::new(socket, limiter.clone());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut stream = acceptor.accept(stream).await?;
                loop {
                    let byte = stream.read_u8().await?;
                    stream.write_u8(byte).await?;
                    stream.flush().await?;
                }
                #[expect(unreachable_code, reason = "names the type of the block")]
                Ok::<(), std::io::Error>(())
            });
        }
    });
    (addr, limiter)
}

async fn shake(connector: &TlsConnector, addr: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = dial(client(1), addr).await;
    let name = "localhost".try_into().unwrap();
    within("the handshake", connector.connect(name, stream)).await
}

#[tokio::test]
async fn the_permit_is_claimed_before_the_handshake_and_released_after_the_last_byte() {
    let (acceptor, connector) = tls();
    let (addr, limiter) = serve(1, acceptor).await;

    let silent = dial(client(1), addr).await;
    eventually("the claim", || limiter.open_connections(client(1)) == 1).await;
    shake(&connector, addr).await.unwrap_err();

    drop(silent);
    eventually("the failed handshake's release", || limiter.open_connections(client(1)) == 0).await;
    let mut stream = shake(&connector, addr).await.unwrap();
    for byte in 0..10 {
        stream.write_u8(byte).await.unwrap();
        stream.flush().await.unwrap();
        assert_eq!(within("an echo", stream.read_u8()).await.unwrap(), byte);
        assert_eq!(limiter.open_connections(client(1)), 1);
    }
    drop(stream);
    eventually("the release", || limiter.open_connections(client(1)) == 0).await;
}

#[tokio::test]
async fn a_client_that_speaks_no_tls_gives_its_slot_back() {
    let (acceptor, connector) = tls();
    let (addr, limiter) = serve(1, acceptor).await;
    let mut stream = dial(client(1), addr).await;
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    loopback::until_closed(&mut stream).await;
    eventually("the release", || limiter.open_connections(client(1)) == 0).await;
    shake(&connector, addr).await.unwrap();
}
