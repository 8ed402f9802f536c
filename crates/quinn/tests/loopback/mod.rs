//! Servers and clients on loopback. All of 127.0.0.0/8 is this machine, so each address is a client of its own.
#![allow(dead_code, reason = "each test program uses a part")]

use connlimit::{Config, Limiter};
use connlimit_quinn::{LimitedConnection, LimitedEndpoint, Rejection};
use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;
use quinn::{
    ClientConfig, ConnectError, Connection, ConnectionError, Endpoint, ServerConfig, TokenMemoryCache, TransportConfig,
};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// A certificate and the configurations that go with it.
pub(crate) struct Tls {
    pub(crate) server: ServerConfig,
    pub(crate) client: ClientConfig,
}

pub(crate) fn tls() -> Tls {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let server = ServerConfig::with_single_cert(vec![cert.der().clone()], key.into()).unwrap();
    let mut client = ClientConfig::with_root_certificates(Arc::new(roots)).unwrap();
    let mut transport = TransportConfig::default();
    transport.max_idle_timeout(Some(Duration::from_secs(60).try_into().unwrap()));
    client.transport_config(Arc::new(transport));
    Tls { server, client }
}

/// What a hook was told.
pub(crate) type Told = Arc<Mutex<Vec<Rejection>>>;

pub(crate) struct Server {
    pub(crate) endpoint: LimitedEndpoint,
    pub(crate) limiter: Limiter,
    pub(crate) addr: SocketAddr,
    pub(crate) told: Told,
    pub(crate) client_config: ClientConfig,
}

impl Server {
    /// Guards an endpoint; nobody accepts yet.
    pub(crate) fn bind(config: Config, set: impl FnOnce(LimitedEndpoint) -> LimitedEndpoint) -> Self {
        Self::bind_with(tls(), config, set)
    }

    pub(crate) fn bind_with(tls: Tls, config: Config, set: impl FnOnce(LimitedEndpoint) -> LimitedEndpoint) -> Self {
        let endpoint = Endpoint::server(tls.server, (Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let addr = endpoint.local_addr().unwrap();
        let limiter = Limiter::new(config);
        let told = Told::default();
        let hook = Arc::clone(&told);
        let endpoint = LimitedEndpoint::new(endpoint, limiter.clone())
            .unwrap()
            .on_rejected(move |rejection| hook.lock().unwrap().push(*rejection));
        Self { endpoint: set(endpoint), limiter, addr, told, client_config: tls.client }
    }

    /// Accepts, and echoes streams in a task for each connection.
    pub(crate) fn echo(config: Config, set: impl FnOnce(LimitedEndpoint) -> LimitedEndpoint) -> Self {
        let server = Self::bind(config, set);
        server.accept_and_echo();
        server
    }

    pub(crate) fn accept_and_echo(&self) {
        let endpoint = self.endpoint.clone();
        tokio::spawn(async move {
            while let Some(connecting) = endpoint.accept().await {
                tokio::spawn(async move {
                    if let Ok(connection) = connecting.await {
                        echo_streams(connection).await;
                    }
                });
            }
        });
    }

    /// A client at 127.0.0.`host`, which has no token yet.
    pub(crate) fn client(&self, host: u8) -> Client {
        let ip = ip(host);
        let mut endpoint = Endpoint::client((ip, 0).into()).unwrap();
        let mut config = self.client_config.clone();
        config.token_store(Arc::new(TokenMemoryCache::default()));
        endpoint.set_default_client_config(config);
        Client { endpoint, server: self.addr, ip }
    }

    pub(crate) fn open(&self, host: u8) -> u32 {
        self.limiter.open_connections(ip(host))
    }

    /// Handshakes that quinn has begun, whatever we say about it.
    pub(crate) fn handshakes(&self) -> u64 {
        self.endpoint.get_ref().stats().accepted_handshakes
    }
}

pub(crate) async fn echo_streams(connection: LimitedConnection) {
    while let Ok((mut send, mut recv)) = connection.accept_bi().await {
        let Ok(request) = recv.read_to_end(1 << 16).await else { break };
        if send.write_all(&request).await.is_err() || send.finish().is_err() {
            break;
        }
    }
}

pub(crate) fn ip(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, host)
}

pub(crate) struct Client {
    pub(crate) endpoint: Endpoint,
    pub(crate) server: SocketAddr,
    pub(crate) ip: Ipv4Addr,
}

impl Client {
    pub(crate) fn connecting(&self) -> Result<quinn::Connecting, ConnectError> {
        self.endpoint.connect(self.server, "localhost")
    }

    pub(crate) async fn connect(&self) -> Result<Connection, ConnectionError> {
        let connection = self.connecting().unwrap().await?;
        // The server may take a moment longer to see the end of the handshake; an echo shows that it has.
        echo(&connection).await?;
        Ok(connection)
    }
}

pub(crate) async fn echo(connection: &Connection) -> Result<(), ConnectionError> {
    let (mut send, mut recv) = connection.open_bi().await?;
    let said = async {
        send.write_all(b"hello").await.ok()?;
        send.finish().ok()?;
        recv.read_to_end(16).await.ok()
    };
    match said.await {
        Some(answer) => {
            assert_eq!(answer, b"hello");
            Ok(())
        }
        None => Err(connection.closed().await),
    }
}

/// Whether the server said that it refuses.
pub(crate) fn is_refusal(error: &ConnectionError) -> bool {
    const CONNECTION_REFUSED: u64 = 0x2;
    matches!(error, ConnectionError::ConnectionClosed(close) if u64::from(close.error_code) == CONNECTION_REFUSED)
}

/// Waits until `done`; fails with `what` after longer than any of this can take.
pub(crate) async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(60), "still not: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
