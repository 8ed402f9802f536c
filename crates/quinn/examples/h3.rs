//! HTTP/3 with h3: a connection is counted for as long as its requests are answered. Checks itself.

mod certificate;

use bytes::{Buf, Bytes};
use connlimit::{Config, Limiter};
use connlimit_quinn::{LimitedConnection, LimitedEndpoint};
use core::error::Error;
use core::net::{Ipv4Addr, SocketAddr};
use h3::server::RequestResolver;
use http::{Request, Response, StatusCode};
use quinn::Endpoint;

type Result<T> = core::result::Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
pub(crate) async fn main() -> Result<()> {
    let (server_config, client_config) = certificate::configs(b"h3").map_err(|error| error.to_string())?;
    let limiter = Limiter::new(Config::new(1));
    let endpoint = Endpoint::server(server_config, (Ipv4Addr::LOCALHOST, 0).into())?;
    let server = LimitedEndpoint::new(endpoint, limiter.clone())?.on_rejected(|rejection| {
        println!("server: {}: {}", rejection.remote, rejection.reason);
    });
    let addr = server.get_ref().local_addr()?;
    tokio::spawn(accept(server));

    let mut client = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into())?;
    client.set_default_client_config(client_config);
    let (body, connection) = get(&client, addr).await?;
    println!("client: {body}");
    assert_eq!(body, "1 open");

    let second = client.connect(addr, "localhost")?.await;
    println!("client: a second connection: {}", second.expect_err("above the limit"));

    connection.close(0x100_u32.into(), b""); // H3_NO_ERROR
    while limiter.open_connections(Ipv4Addr::LOCALHOST) > 0 {
        tokio::time::sleep(core::time::Duration::from_millis(10)).await;
    }
    assert_eq!(get(&client, addr).await?.0, "1 open");
    Ok(())
}

async fn accept(endpoint: LimitedEndpoint) {
    while let Some(connecting) = endpoint.accept().await {
        let limiter = endpoint.limiter().clone();
        tokio::spawn(async move {
            if let Ok(connection) = connecting.await {
                serve(connection, limiter).await;
            }
        });
    }
}

/// h3 has a handle of the connection, this function the connection and its permit.
async fn serve(connection: LimitedConnection, limiter: Limiter) {
    let handle = h3_quinn::Connection::new(connection.get_ref().clone());
    let Ok(mut requests) = h3::server::Connection::<_, Bytes>::new(handle).await else { return };
    // `None` and an error come when the connection has ended, and no request is under way then.
    while let Ok(Some(request)) = requests.accept().await {
        let open = limiter.open_connections(connection.remote_address());
        tokio::spawn(async move {
            if let Err(error) = answer(request, open).await {
                println!("server: {error}");
            }
        });
    }
}

async fn answer(request: RequestResolver<h3_quinn::Connection, Bytes>, open: u32) -> Result<()> {
    let (_request, mut stream) = request.resolve_request().await?;
    stream.send_response(Response::builder().status(StatusCode::OK).body(())?).await?;
    stream.send_data(Bytes::from(format!("{open} open"))).await?;
    Ok(stream.finish().await?)
}

/// The answer to one request on a connection of its own, and the connection, which stays open.
async fn get(client: &Endpoint, addr: SocketAddr) -> Result<(String, quinn::Connection)> {
    let connection = client.connect(addr, "localhost")?.await?;
    let (mut driver, mut requests) = h3::client::new(h3_quinn::Connection::new(connection.clone())).await?;
    let request = async move {
        let mut stream = requests.send_request(Request::get("https://localhost/").body(())?).await?;
        stream.finish().await?;
        assert_eq!(stream.recv_response().await?.status(), StatusCode::OK);
        let mut body = Vec::new();
        while let Some(mut part) = stream.recv_data().await? {
            body.extend_from_slice(&part.copy_to_bytes(part.remaining()));
        }
        Ok::<_, Box<dyn Error + Send + Sync>>((String::from_utf8(body)?, requests))
    };
    let (body, requests) = tokio::select! {
        body = request => body?,
        ended = core::future::poll_fn(|cx| driver.poll_close(cx)) => return Err(ended.into()),
    };
    // h3 closes the connection when the last handle of its requests goes; it is for the caller to end.
    drop(tokio::spawn(async move {
        let _requests = requests;
        let _ended = core::future::poll_fn(|cx| driver.poll_close(cx)).await;
    }));
    Ok((body, connection))
}
