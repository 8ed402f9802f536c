//! An axum server with a limit, a 429 for those over it, no keep-alive for those near it, and an admin port to watch and
//! change it while it runs.
//!
//! ```text
//! cargo run -p connlimit-axum --example axum_server     # checks itself and ends
//! cargo run -p connlimit-axum --example axum_server -- --listen 127.0.0.1:8080 127.0.0.1:9090
//! curl http://127.0.0.1:8080/                               # "you have 1 connections open"
//! curl -X PUT http://127.0.0.1:9090/limit/2                 # from now on
//! curl http://127.0.0.1:9090/metrics                        # for Prometheus
//! curl http://127.0.0.1:9090/metrics/127.0.0.1              # one client
//! curl 'http://127.0.0.1:9090/clients?min=2&family=ipv4'    # who has connections open, as JSON
//! ```

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::header::{CONNECTION, HeaderName};
use axum::routing::{get, put};
use axum::{Extension, Json, Router};
use connlimit::{Client, Config, Limiter, stats::Zone};
use connlimit_axum::connection_info;
use connlimit_http::ConnectionInfo;
use connlimit_tokio::{LimitedListener, Reject, Rejecter};
use core::{cmp::Reverse, error::Error, fmt::Write, net::IpAddr, time::Duration};
use serde::{Deserialize, Serialize};
use std::{env, io};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::StreamExt;

async fn serve(socket: TcpListener, admin: TcpListener, limiter: Limiter) -> io::Result<()> {
    let retry_after = Some(Duration::from_secs(1));
    let listener = LimitedListener::new(socket, limiter.clone())
        .reject_with(Reject::Http429 { retry_after })
        .on_error(|error| eprintln!("accept: {error}; going on"));
    let rejecter = listener.rejecter().clone();

    let app = Router::new().route("/", get(hello)).route("/hold", get(hold)).layer(connection_info(limiter.clone()));
    let changes = Router::new()
        .route("/limit/{limit}", put(set_limit))
        .route("/metrics", get(metrics))
        .route("/metrics/{client}", get(client_metrics))
        .route("/clients", get(clients))
        .with_state((limiter, rejecter));

    let (served, _) = tokio::join!(connlimit_axum::serve(listener, app), axum::serve(admin, changes));
    served
}

/// Ends the connection after this answer when its client has many, so that idle ones do not use up its limit.
async fn hello(Extension(connection): Extension<ConnectionInfo>) -> (Option<[(HeaderName, &'static str); 1]>, String) {
    let close = (connection.usage().zone == Zone::Soft).then_some([(CONNECTION, "close")]);
    (close, format!("you have {} connections open\n", connection.open_connections()))
}

/// A body that does not end: its connection is counted until the client leaves.
async fn hold() -> Body {
    let first = tokio_stream::once(Ok::<_, io::Error>("holding\n"));
    Body::from_stream(first.chain(tokio_stream::pending()))
}

type Admin = State<(Limiter, Rejecter<TcpStream>)>;

async fn set_limit(State((limiter, _)): Admin, Path(limit): Path<u32>) -> Result<(), String> {
    limiter.update_config(|config| config.with_max_per_client(limit)).map_err(|error| error.to_string())
}

/// Near means above three quarters of the limit.
fn config(max_per_client: u32) -> Config {
    Config::new(max_per_client).with_counting(true).with_soft_percent(75)
}

/// By hand from `stats`, to show what is there; `connlimit-metrics` does it for a registry.
async fn metrics(State((limiter, _)): Admin) -> String {
    let stats = limiter.stats();
    let mut text = format!(
        "connlimit_open_connections {}\nconnlimit_clients {}\nconnlimit_admitted_total {}\n",
        stats.total.open_connections, stats.total.clients, stats.decisions.admitted
    );
    for (reason, count) in stats.decisions.rejected.by_reason() {
        writeln!(text, "connlimit_rejected_total{{reason=\"{reason}\"}} {count}").expect("a string takes all");
    }
    text
}

async fn client_metrics(State((limiter, rejecter)): Admin, Path(client): Path<IpAddr>) -> String {
    let open = limiter.open_connections(client);
    let turned_away = rejecter.counts().total();
    format!("connlimit_open_connections{{client=\"{client}\"}} {open}\nconnlimit_rejected_total {turned_away}\n")
}

/// Which clients to list, such as `?n=10&min=2&family=ipv6`. What is misspelt is answered with a 400 that names it.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wanted {
    /// As many clients at most, those with the most connections.
    n: usize,
    /// Those with fewer connections are left out.
    min: u32,
    /// All families, unless one is named.
    family: Option<Family>,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { n: 100, min: 1, family: None }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Family {
    Ipv4,
    Ipv6,
    Named,
}

impl Family {
    const fn of(client: Client) -> Self {
        match client.ip() {
            Some(IpAddr::V4(_)) => Self::Ipv4,
            Some(IpAddr::V6(_)) => Self::Ipv6,
            None => Self::Named,
        }
    }
}

/// The answer: what HAProxy's `show table` tells of its stick tables.
#[derive(Serialize)]
struct Listing {
    /// `null` when there is no limit.
    max_per_client: Option<u32>,
    /// That were asked for, with those beyond `n`.
    matching: usize,
    /// Those with the most connections first.
    clients: Vec<Listed>,
}

#[derive(Serialize)]
struct Listed {
    client: String,
    family: Family,
    open_connections: u32,
}

/// Reads the whole table, as careful of admissions as [`Limiter::clients`] is.
async fn clients(State((limiter, _)): Admin, Query(wanted): Query<Wanted>) -> Json<Listing> {
    let asked_for = |client| wanted.family.is_none_or(|family| family == Family::of(client));
    let seen = limiter.clients().filter(|seen| seen.open_connections >= wanted.min && asked_for(seen.client));
    let mut seen: Vec<_> = seen.map(|seen| (Reverse(seen.open_connections), seen.client)).collect();
    let matching = seen.len();
    seen.sort_unstable();
    seen.truncate(wanted.n);
    let listed = |(Reverse(open_connections), client): (_, Client)| Listed {
        client: client.to_string(),
        family: Family::of(client),
        open_connections,
    };
    let max_per_client = limiter.config().max_per_client().at_most();
    Json(Listing { max_per_client, matching, clients: seen.into_iter().map(listed).collect() })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let limiter = Limiter::new(config(4));
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => check(limiter).await,
        ["--listen", addr, admin] => {
            let (socket, admin) = (TcpListener::bind(addr).await?, TcpListener::bind(admin).await?);
            Ok(serve(socket, admin, limiter).await?)
        }
        _ => Err("usage: axum_server [--listen ADDR ADMIN_ADDR]".into()),
    }
}

async fn check(limiter: Limiter) -> Result<(), Box<dyn Error>> {
    let socket = TcpListener::bind("127.0.0.1:0").await?;
    let admin = TcpListener::bind("127.0.0.1:0").await?;
    let (addr, admin_addr) = (socket.local_addr()?, admin.local_addr()?);
    tokio::spawn(serve(socket, admin, limiter.clone()));

    let mut streams = Vec::new();
    for number in 1..=3 {
        let mut stream = TcpStream::connect(addr).await?;
        let answer = ask(&mut stream, "GET /").await?;
        assert!(answer.ends_with(&format!("you have {number} connections open\n")), "{answer}");
        assert!(!answer.contains("connection: close"), "{answer}");
        streams.push(stream);
    }
    let mut holding = TcpStream::connect(addr).await?;
    ask(&mut holding, "GET /hold").await?;
    streams.push(holding);
    let rejection = ask(&mut TcpStream::connect(addr).await?, "GET /").await?;
    assert!(rejection.starts_with("HTTP/1.1 429 "), "{rejection}");
    println!("four connections served, the fifth answered: {}", rejection.lines().next().unwrap_or(""));

    let mut admin = TcpStream::connect(admin_addr).await?;
    ask(&mut admin, "PUT /limit/5").await?;
    let answer = ask(&mut TcpStream::connect(addr).await?, "GET /").await?;
    assert!(answer.ends_with("you have 5 connections open\n"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    let metrics = ask(&mut admin, "GET /metrics/127.0.0.1").await?;
    assert!(metrics.ends_with("connlimit_rejected_total 1\n"), "{metrics}");
    println!("limit raised while running: the fifth is served, and not kept alive");
    let metrics = ask(&mut admin, "GET /metrics").await?;
    for line in ["connlimit_admitted_total 5", "connlimit_rejected_total{reason=\"client_limit\"} 1"] {
        assert!(metrics.lines().any(|said| said == line), "{line}: {metrics}");
    }
    println!("five admitted, one rejected, say the metrics");
    check_clients(&limiter, &mut admin).await
}

/// Beside the four connections from 127.0.0.1 that are still open, some of others.
async fn check_clients(limiter: &Limiter, admin: &mut TcpStream) -> Result<(), Box<dyn Error>> {
    let mut polls = 0;
    while limiter.open_connections(IpAddr::from([127, 0, 0, 1])) != 4 {
        assert!(polls < 1000, "the fifth connection, which was not kept alive, is still counted");
        polls += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let others = ["2001:db8::1", "192.0.2.1", "192.0.2.1", "192.0.2.2"].map(str::parse::<IpAddr>);
    let others: Vec<_> = others.into_iter().collect::<Result<_, _>>()?;
    let mut permits: Vec<_> = others.into_iter().map(|addr| limiter.try_acquire(addr)).collect::<Result<_, _>>()?;
    permits.push(limiter.try_acquire(Client::named("a tenant"))?);
    for (query, matching, clients) in [
        (
            "?min=2",
            2,
            r#"[{"client":"127.0.0.1","family":"ipv4","open_connections":4},{"client":"192.0.2.1","family":"ipv4","open_connections":2}]"#,
        ),
        ("?n=1", 5, r#"[{"client":"127.0.0.1","family":"ipv4","open_connections":4}]"#),
        ("?family=ipv6", 1, r#"[{"client":"2001:db8::1","family":"ipv6","open_connections":1}]"#),
        ("?family=ipv4&n=1&min=1", 3, r#"[{"client":"127.0.0.1","family":"ipv4","open_connections":4}]"#),
        ("?min=6", 0, "[]"),
    ] {
        let answer = ask(admin, &format!("GET /clients{query}")).await?;
        let expected = format!(r#"{{"max_per_client":5,"matching":{matching},"clients":{clients}}}"#);
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(&expected), "{query}: {answer}");
    }
    let all = ask(admin, "GET /clients").await?;
    assert_eq!(all.matches(r#""client":"#).count(), 5, "{all}");
    assert!(all.contains(r#""family":"named""#), "{all}");
    for (query, fault) in [("?family=ipx", "ipx"), ("?n=many", "n: "), ("?minimum=2", "minimum")] {
        let answer = ask(admin, &format!("GET /clients{query}")).await?;
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains(fault), "{query}: {answer}");
    }
    println!("clients listed as JSON: by number, count and family");
    drop(permits);
    Ok(())
}

async fn ask(stream: &mut TcpStream, request: &str) -> io::Result<String> {
    let request = format!("{request} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = vec![0; 4096];
    let read = stream.read(&mut answer).await?;
    answer.truncate(read);
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
