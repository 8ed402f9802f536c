//! An echo server with an endpoint for Prometheus: what is open, admitted and rejected, and what became of the rejected.
//!
//! ```text
//! cargo run -p connlimit-metrics --all-features --example prometheus     # checks itself and ends
//! cargo run -p connlimit-metrics --all-features --example prometheus -- --listen 127.0.0.1:7000 127.0.0.1:9100
//! curl http://127.0.0.1:9100/metrics
//! ```

use axum::{
    Router, extract::State, http::StatusCode, http::header::CONTENT_TYPE, response::IntoResponse, routing::get,
};
use connlimit::{Config, Limiter};
use connlimit_metrics::LimiterCollector;
use connlimit_metrics::prometheus_client::{encoding::text::encode, registry::Registry};
use connlimit_tokio::LimitedListener;
use core::error::Error;
use std::{io, sync::Arc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const LIMIT: u32 = 4;

async fn serve(socket: TcpListener, endpoint: TcpListener) -> io::Result<()> {
    // Counting is what admissions and rejections cost a little for; without it they are absent.
    let limiter = Limiter::new(Config::new(LIMIT).with_counting(true));
    let mut listener = LimitedListener::new(socket, limiter.clone());

    let mut registry = Registry::default();
    let collector = LimiterCollector::new(limiter).with_rejecter(listener.rejecter().clone());
    registry.register_collector(Box::new(collector));
    let metrics = Router::new().route("/metrics", get(scrape)).with_state(Arc::new(registry));
    tokio::spawn(async move { axum::serve(endpoint, metrics).await });

    loop {
        let (stream, _peer) = listener.accept().await?;
        tokio::spawn(async move {
            let (mut reader, mut writer) = stream.into_split();
            tokio::io::copy(&mut reader, &mut writer).await
        });
    }
}

async fn scrape(State(registry): State<Arc<Registry>>) -> Result<impl IntoResponse, StatusCode> {
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => check().await,
        ["--listen", addr, endpoint] => {
            Ok(serve(TcpListener::bind(addr).await?, TcpListener::bind(endpoint).await?).await?)
        }
        _ => Err("usage: prometheus [--listen ADDR ENDPOINT]".into()),
    }
}

async fn check() -> Result<(), Box<dyn Error>> {
    let (socket, endpoint) = (TcpListener::bind("127.0.0.1:0").await?, TcpListener::bind("127.0.0.1:0").await?);
    let (addr, endpoint_addr) = (socket.local_addr()?, endpoint.local_addr()?);
    tokio::spawn(serve(socket, endpoint));

    let mut open = Vec::new();
    for number in 0..LIMIT + 3 {
        let mut stream = TcpStream::connect(addr).await?;
        // A rejected connection fails here or there, depending on how soon it is closed.
        let echo = match stream.write_all(b"hello").await {
            Ok(()) => stream.read_exact(&mut [0; 5]).await,
            Err(error) => Err(error),
        };
        assert_eq!(echo.is_ok(), number < LIMIT);
        open.push(stream);
    }

    let mut stream = TcpStream::connect(endpoint_addr).await?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    for line in [
        "connlimit_open_connections{family=\"ipv4\"} 4",
        "connlimit_admitted_total 4",
        "connlimit_rejected_total{reason=\"client_limit\"} 3",
        "connlimit_reject_outcomes_total{outcome=\"closed\"} 3",
    ] {
        assert!(answer.lines().any(|said| said == line), "{line}: {answer}");
        println!("{line}");
    }
    Ok(())
}
