//! An HTTP server behind proxies that speak the PROXY protocol: clients are the ones the proxies name.
//!
//! ```text
//! cargo run -p connlimit-axum --example behind_proxy     # checks itself and ends
//! cargo run -p connlimit-axum --example behind_proxy -- \
//!     --listen 127.0.0.1:8080 127.0.0.1:9090 127.0.0.0/8              # address, admin address, trusted network
//! ```

use axum::body::Body;
use axum::extract::{ConnectInfo, Path, State};
use axum::{Router, routing::get};
use connlimit::{Config, Limiter};
use connlimit_tokio::proxy::Proxied;
use connlimit_tokio::{LimitedListener, Reject, Rejecter};
use core::{
    error::Error,
    net::{IpAddr, SocketAddr},
};
use ipnet::IpNet;
use std::{env, io};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::StreamExt;

const LIMIT: u32 = 4;

async fn serve(socket: TcpListener, admin: TcpListener, trusted: IpNet) -> io::Result<()> {
    let limiter = Limiter::new(Config::new(LIMIT));
    let proxied = Proxied::new(socket, [trusted]).on_error(|error, from| eprintln!("{from}: {error}"));
    let listener = LimitedListener::new(proxied, limiter.clone()).reject_with(Reject::Http429 { retry_after: None });

    let admin_app =
        Router::new().route("/metrics/{client}", get(metrics)).with_state((limiter, listener.rejecter().clone()));
    let app = Router::new().route("/", get(hello)).route("/hold", get(hold));
    let (served, _) = tokio::join!(connlimit_axum::serve(listener, app), axum::serve(admin, admin_app));
    served
}

async fn hello(ConnectInfo(client): ConnectInfo<SocketAddr>) -> String {
    format!("hello {}\n", client.ip())
}

/// A body that does not end: its connection is counted until the client leaves.
async fn hold() -> Body {
    let first = tokio_stream::once(Ok::<_, io::Error>("holding\n"));
    Body::from_stream(first.chain(tokio_stream::pending()))
}

type Admin = State<(Limiter, Rejecter<TcpStream>)>;

async fn metrics(State((limiter, rejecter)): Admin, Path(client): Path<IpAddr>) -> String {
    format!("open {}\nrejected {}\n", limiter.open_connections(client), rejecter.counts().total())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => check().await,
        ["--listen", addr, admin, trusted] => {
            let (socket, admin) = (TcpListener::bind(addr).await?, TcpListener::bind(admin).await?);
            Ok(serve(socket, admin, trusted.parse()?).await?)
        }
        _ => Err("usage: behind_proxy [--listen ADDR ADMIN_ADDR TRUSTED_NETWORK]".into()),
    }
}

async fn check() -> Result<(), Box<dyn Error>> {
    let socket = TcpListener::bind("127.0.0.1:0").await?;
    let admin = TcpListener::bind("127.0.0.1:0").await?;
    let addr = socket.local_addr()?;
    tokio::spawn(serve(socket, admin, "127.0.0.1/32".parse()?));

    let mut open = Vec::new();
    for client in ["192.0.2.1", "192.0.2.2"] {
        for number in 0..=LIMIT {
            // What a proxy says first, and what its client says next.
            let mut stream = TcpStream::connect(addr).await?;
            let said = format!("PROXY TCP4 {client} 192.0.2.100 50000 80\r\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
            stream.write_all(said.as_bytes()).await?;
            let mut answer = vec![0; 4096];
            let read = stream.read(&mut answer).await?;
            let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
            if number < LIMIT {
                assert!(answer.ends_with(&format!("hello {client}\n")), "{answer}");
            } else {
                assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
            }
            open.push(stream);
        }
        println!("{client}: {LIMIT} served, the next one rejected");
    }
    Ok(())
}
