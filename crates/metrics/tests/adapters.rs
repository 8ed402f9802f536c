//! What listeners count by themselves, through both facades: on real sockets, each kind of error and outcome.
#![allow(clippy::std_instead_of_core, reason = "a test has the standard library")]

mod facades;

use connlimit::{Config, Limiter};
use connlimit_metrics::{Exporter, LimiterCollector};
use connlimit_tokio::proxy::Proxied;
use connlimit_tokio::{AnswerBudget, LimitedListener, Reject, Rejecter};
use facades::Facades;
use std::{net::SocketAddr, time::Duration};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(20);
const ERRORS: &str = "connlimit_proxy_errors_total";
const OUTCOMES: &str = "connlimit_reject_outcomes_total";

async fn dial(from: &str, to: SocketAddr, say: &[u8]) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(from.parse().unwrap()).unwrap();
    let mut stream = timeout(PATIENCE, socket.connect(to)).await.unwrap().unwrap();
    stream.write_all(say).await.unwrap();
    stream
}

async fn until_closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    // A reset is an end as well.
    let _reset = timeout(PATIENCE, stream.read_to_end(&mut all)).await.expect("nobody closed it");
    all
}

/// Polls, as what is counted is counted by another task.
async fn eventually(facades: &Facades, name: &str, value: f64) {
    for _ in 0..1000 {
        if facades.scrape().get(name) == Some(&value) {
            return facades.expect(&[(name, Some(value))]);
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("{name} never became {value}: {:#?}", facades.scrape());
}

#[tokio::test]
async fn each_proxy_error_is_told_by_its_kind() {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = socket.local_addr().unwrap();
    let trusted: ipnet::IpNet = "127.0.9.0/24".parse().unwrap();
    let proxied = Proxied::new(socket, [trusted])
        .with_max_header(100)
        .with_max_reading(1, 1)
        .with_deadline(Duration::from_millis(300));
    let errors = proxied.errors().clone();
    let limiter = Limiter::new(Config::new(1));
    let facades = Facades::new(LimiterCollector::new(limiter.clone()).with_proxy_errors(errors.clone()), || {
        Exporter::new(limiter.clone(), "x").with_proxy_errors(errors.clone())
    });
    let kinds = ["untrusted", "busy", "missing", "malformed", "too_long", "late", "io"];
    facades.expect(&kinds.map(|kind| format!("{ERRORS}{{kind=\"{kind}\"}}")).each_ref().map(|s| (&**s, Some(0.0))));

    let mut listener = LimitedListener::new(proxied, limiter.clone());
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let proxy = "127.0.9.1:0";
    let mut too_long = b"\r\n\r\n\0\r\nQUIT\n\x21\x11".to_vec();
    too_long.extend(1000_u16.to_be_bytes());
    for (from, say, kind) in [
        ("127.0.10.1:0", &b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"[..], "untrusted"),
        (proxy, b"GET / HTTP/1.1\r\n\r\n", "missing"),
        (proxy, b"PROXY TCP4 nobody 192.0.2.1 1 2\r\n", "malformed"),
        (proxy, &too_long, "too_long"),
        (proxy, b"", "late"),
    ] {
        let mut stream = dial(from, addr, say).await;
        until_closed(&mut stream).await;
        eventually(&facades, &format!("{ERRORS}{{kind=\"{kind}\"}}"), 1.0).await;
    }
    // One that goes within its header; then one that finds another being read.
    drop(dial(proxy, addr, b"PROXY ").await);
    eventually(&facades, &format!("{ERRORS}{{kind=\"io\"}}"), 1.0).await;
    let _slow = dial(proxy, addr, b"PROXY ").await;
    until_closed(&mut dial(proxy, addr, b"PROXY ").await).await;
    eventually(&facades, &format!("{ERRORS}{{kind=\"busy\"}}"), 1.0).await;
    assert!(errors.counts().total() >= 7, "{errors:?}");
}

#[tokio::test]
async fn it_is_told_what_became_of_rejected_connections_and_several_listeners_are_added_up() {
    let limiter = Limiter::new(Config::new(0));
    let one_answer = AnswerBudget::new().with_max_concurrent(1);
    let polite: Rejecter<TcpStream> = Rejecter::new(Reject::Http429 { retry_after: None }, one_answer);
    let (closing, other): (Rejecter<TcpStream>, Rejecter<TcpStream>) = (Reject::Close.into(), Reject::Close.into());
    let resetting: Rejecter<TcpStream> = Reject::Reset.into();
    let all = [polite.clone(), closing.clone(), other.clone(), resetting.clone()];
    let facades = Facades::new(
        all.iter().cloned().fold(LimiterCollector::new(limiter.clone()), LimiterCollector::with_rejecter),
        || all.iter().cloned().fold(Exporter::new(limiter.clone(), "x"), Exporter::with_rejecter),
    );

    let mut addrs = Vec::new();
    for rejecter in all.clone() {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        addrs.push(socket.local_addr().unwrap());
        let mut listener = LimitedListener::new(socket, limiter.clone()).reject_with(rejecter);
        tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    }
    // The first one says nothing, so its answer is under way while the second one comes.
    let mut silent = dial("127.0.0.1:0", addrs[0], b"").await;
    eventually(&facades, &format!("{OUTCOMES}{{outcome=\"answered\"}}"), 1.0).await;
    assert_eq!(until_closed(&mut dial("127.0.0.1:0", addrs[0], b"").await).await, b"");
    eventually(&facades, &format!("{OUTCOMES}{{outcome=\"over_budget\"}}"), 1.0).await;
    assert!(until_closed(&mut silent).await.starts_with(b"HTTP/1.1 429 "));
    for addr in &addrs[1..] {
        until_closed(&mut dial("127.0.0.1:0", *addr, b"").await).await;
    }
    eventually(&facades, &format!("{OUTCOMES}{{outcome=\"closed\"}}"), 2.0).await;
    eventually(&facades, &format!("{OUTCOMES}{{outcome=\"reset\"}}"), 1.0).await;
    let told: f64 = facades.scrape().iter().filter(|(name, _)| name.starts_with(OUTCOMES)).map(|(_, n)| n).sum();
    let counted: u64 = all.iter().map(|rejecter| rejecter.counts().total()).sum();
    assert_eq!((told, counted), (5.0, 5), "every rejection has an outcome that is told");
}

#[test]
fn without_listeners_nothing_is_told_of_them() {
    let limiter = Limiter::new(Config::new(1));
    let facades = Facades::new(LimiterCollector::new(limiter.clone()), || Exporter::new(limiter.clone(), "x"));
    for series in [facades.scrape(), facades.publish()] {
        assert!(!series.keys().any(|name| name.starts_with(OUTCOMES) || name.starts_with(ERRORS)), "{series:#?}");
    }
}
