//! An echo server over QUIC, and its clients: the limit, a rejection, and a place that is free again. Checks itself.

mod certificate;

use connlimit::{Config, Limiter};
use connlimit_quinn::{LimitedConnection, LimitedEndpoint};
use core::error::Error;
use core::net::Ipv4Addr;
use quinn::{Connection, Endpoint};

type Result<T> = core::result::Result<T, Box<dyn Error>>;

#[tokio::main]
pub(crate) async fn main() -> Result<()> {
    let (server_config, client_config) = certificate::configs(b"echo")?;
    let limiter = Limiter::new(Config::new(2));
    let server = LimitedEndpoint::new(Endpoint::server(server_config, (Ipv4Addr::LOCALHOST, 0).into())?, limiter)?
        .on_rejected(|rejection| println!("server: {}: {}", rejection.remote, rejection.reason));
    let addr = server.get_ref().local_addr()?;
    tokio::spawn(serve(server.clone()));

    let mut client = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into())?;
    client.set_default_client_config(client_config);
    let connect =
        || async { client.connect(addr, "localhost").map_err(Box::<dyn Error>::from)?.await.map_err(Into::into) };

    let first = connect().await?;
    let second = connect().await?;
    for connection in [&first, &second] {
        assert_eq!(echo(connection, b"hello").await?, b"hello");
    }
    let third: Result<Connection> = connect().await;
    println!("client: the third of two: {}", third.expect_err("above the limit"));

    first.close(0_u32.into(), b"done");
    // The server needs a moment to hear of it; a client that tries again gets the place.
    let again = loop {
        match connect().await {
            Ok(connection) => break connection,
            Err(_) => tokio::time::sleep(core::time::Duration::from_millis(10)).await,
        }
    };
    assert_eq!(echo(&again, b"again").await?, b"again");

    let counts = server.counts();
    println!("server: {counts:?}");
    assert_eq!(counts.admitted, 3);
    assert!(counts.rejected >= 1);
    Ok(())
}

async fn serve(endpoint: LimitedEndpoint) {
    while let Some(connecting) = endpoint.accept().await {
        tokio::spawn(async move {
            match connecting.await {
                Ok(connection) => answer(connection).await,
                Err(error) => println!("server: {error}"),
            }
        });
    }
}

/// The connection is counted until this returns.
async fn answer(connection: LimitedConnection) {
    while let Ok((mut send, mut recv)) = connection.accept_bi().await {
        if let Ok(request) = recv.read_to_end(1024).await {
            // If the client has gone, nobody misses the answer.
            let _sent = send.write_all(&request).await.is_ok() && send.finish().is_ok();
        }
    }
}

async fn echo(connection: &Connection, request: &[u8]) -> Result<Vec<u8>> {
    let (mut send, mut recv) = connection.open_bi().await?;
    send.write_all(request).await?;
    send.finish()?;
    Ok(recv.read_to_end(1024).await?)
}
