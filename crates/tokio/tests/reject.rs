//! What rejected clients see, and what rejecting them may cost.

mod loopback;

use connlimit::{Config, Limiter};
use connlimit_tokio::LimitedStream;
use connlimit_tokio::{AnswerBudget, LimitedListener, Reject, Rejecter};
use core::net::SocketAddr;
use core::time::Duration;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use loopback::{PATIENCE, client, dial, eventually, listen, until_closed, within};
use std::io::ErrorKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// A server that admits one connection of each client and holds what it admits.
struct Server {
    addr: SocketAddr,
    rejecter: Rejecter<TcpStream>,
    admitted: mpsc::UnboundedReceiver<LimitedStream<TcpStream>>,
    held: Vec<LimitedStream<TcpStream>>,
    _first: TcpStream,
}

impl Server {
    /// Starts it with client 1 at its limit.
    async fn full_for_client_1(rejecter: impl Into<Rejecter<TcpStream>>) -> Self {
        Self::full_by(Config::new(1), rejecter).await
    }

    /// Starts it with one connection of client 1, which leaves no room for what the test tries.
    async fn full_by(config: Config, rejecter: impl Into<Rejecter<TcpStream>>) -> Self {
        let (socket, addr) = listen().await;
        let rejecter = rejecter.into();
        let mut listener = LimitedListener::new(socket, Limiter::new(config)).reject_with(rejecter.clone());
        let (admit, admitted) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                admit.send(stream).unwrap();
            }
        });
        let mut server = Self { addr, rejecter, admitted, held: Vec::new(), _first: dial(client(1), addr).await };
        server.admits_one().await;
        server
    }

    async fn admits_one(&mut self) {
        let stream = within("an admission", self.admitted.recv()).await;
        self.held.push(stream.unwrap());
    }

    async fn rejected(&self) -> TcpStream {
        dial(client(1), self.addr).await
    }
}

const POLITE: fn() -> Reject<TcpStream> = || Reject::Http429 { retry_after: Some(Duration::from_secs(7)) };

/// The deadline is one that no test waits out.
const PATIENT: AnswerBudget = AnswerBudget::new().with_deadline(Duration::from_secs(600));

#[tokio::test]
async fn a_reset_is_a_reset() {
    let server = Server::full_for_client_1(Reject::Reset).await;
    let mut stream = server.rejected().await;
    let error = within("a reset", stream.read_u8()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(server.rejecter.counts().reset, 1);
}

#[tokio::test]
async fn a_close_is_not_a_reset() {
    let server = Server::full_for_client_1(Reject::Close).await;
    let mut stream = server.rejected().await;
    let error = within("a close", stream.read_u8()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    assert_eq!(server.rejecter.counts().closed, 1);
}

#[tokio::test]
async fn a_client_in_the_middle_of_a_large_request_reads_the_whole_429() {
    let server = Server::full_for_client_1(Rejecter::new(POLITE(), PATIENT)).await;
    let mut stream = server.rejected().await;
    let mut request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\n".to_vec();
    request.resize(request.len() + 50_000, b'x');
    stream.write_all(&request).await.unwrap();

    let mut answer = String::new();
    within("an answer without a reset", stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 429 Too Many Requests\r\n"), "{answer}");
    assert!(answer.contains("\r\nRetry-After: 7\r\n"), "{answer}");
    assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nclient connection limit reached\n"), "{answer}");
}

#[tokio::test]
async fn a_client_is_not_blamed_for_a_server_that_is_full_for_everybody() {
    let config = Config::new(1).with_max_total(1);
    let server = Server::full_by(config, Rejecter::new(POLITE(), PATIENT)).await;
    let mut other = dial(client(2), server.addr).await;
    other.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let answer = until_closed(&mut other).await;
    assert!(answer.starts_with(b"HTTP/1.1 503 Service Unavailable\r\n"), "{}", answer.escape_ascii());
}

#[tokio::test]
async fn a_client_that_goes_on_sending_after_the_429_is_not_reset() {
    let server = Server::full_for_client_1(Rejecter::new(POLITE(), PATIENT)).await;
    let mut stream = server.rejected().await;
    let request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n";
    stream.write_all(request).await.unwrap();
    within("the answer to arrive", stream.readable()).await.unwrap();
    for _ in 0..20 {
        stream.write_all(&[b'x'; 1000]).await.unwrap();
        // Lets the server's side of the runtime see it, and answer it with a reset if it were to.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut answer = String::new();
    within("the rest", stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
}

#[tokio::test]
async fn a_real_http1_client_understands_the_rejection() {
    let server = Server::full_for_client_1(Rejecter::new(POLITE(), PATIENT.with_max_per_client(20))).await;
    for _ in 0..20 {
        let io = TokioIo::new(server.rejected().await);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        let connection = tokio::spawn(connection);
        let request =
            hyper::Request::post("/").header("host", "x").body(Full::new(Bytes::from(vec![0; 20_000]))).unwrap();
        let response = within("a response", sender.send_request(request)).await.unwrap();
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["retry-after"], "7");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "client connection limit reached\n");
        drop(sender);
        let _gone = within("the connection to end", connection).await;
    }
    assert_eq!(server.rejecter.counts().answered, 20);
}

#[tokio::test]
async fn a_real_http2_client_is_told_to_calm_down() {
    let server = Server::full_for_client_1(Rejecter::new(POLITE(), PATIENT)).await;
    let io = TokioIo::new(server.rejected().await);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = hyper::Request::get("http://x/").body(Empty::<Bytes>::new()).unwrap();
    within("a rejection", sender.send_request(request)).await.unwrap_err();
    drop(sender);
    let said = within("the connection to end", connection).await.unwrap();
    let said = format!("{said:?}");
    assert!(said.contains("ENHANCE_YOUR_CALM"), "{said}");
}

#[tokio::test]
async fn a_client_that_speaks_tls_hears_no_plain_text() {
    let server = Server::full_for_client_1(Rejecter::new(POLITE(), PATIENT)).await;
    let mut stream = server.rejected().await;
    stream.write_all(&[0x16, 0x03, 0x01, 0x00]).await.unwrap();
    assert_eq!(until_closed(&mut stream).await, b"");
}

#[tokio::test]
async fn a_silent_client_is_answered_before_the_deadline() {
    let budget = AnswerBudget::new().with_deadline(Duration::from_secs(2));
    let server = Server::full_for_client_1(Rejecter::new(POLITE(), budget)).await;
    let mut stream = server.rejected().await;
    let answer = until_closed(&mut stream).await;
    assert!(answer.starts_with(b"HTTP/1.1 429 "), "{answer:?}");
}

#[tokio::test]
async fn clients_that_never_read_hold_neither_the_acceptor_nor_more_than_the_budget() {
    let budget = PATIENT.with_max_concurrent(2);
    let mut server = Server::full_for_client_1(Rejecter::new(POLITE(), budget)).await;
    let mut stuck = Vec::new();
    for _ in 0..5 {
        stuck.push(server.rejected().await);
    }
    eventually("every rejection", || server.rejecter.counts().total() == 5).await;
    assert_eq!(server.rejecter.counts().answered, 2);
    assert_eq!(server.rejecter.counts().over_budget, 3);
    for closed in &mut stuck[2..] {
        assert_eq!(until_closed(closed).await, b"");
    }

    let _other = dial(client(2), server.addr).await;
    server.admits_one().await;
}

#[tokio::test]
async fn an_answer_is_cut_off_at_its_deadline_and_its_place_given_to_the_next() {
    let budget = AnswerBudget::new().with_max_concurrent(1).with_deadline(Duration::from_millis(50));
    let server = Server::full_for_client_1(Rejecter::new(POLITE(), budget)).await;
    let mut rejected = 0;
    for answered in 1..=3 {
        let _stuck = within("a free place", async {
            loop {
                let mut stream = server.rejected().await;
                rejected += 1;
                eventually("the rejection", || server.rejecter.counts().total() == rejected).await;
                // Speaks, but never hangs up: only the deadline ends the draining.
                let _gone = stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await;
                if server.rejecter.counts().answered == answered {
                    return stream;
                }
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_budget_of_nothing_closes() {
    for budget in [PATIENT.with_max_concurrent(0), PATIENT.with_max_per_second(0)] {
        let server = Server::full_for_client_1(Rejecter::new(POLITE(), budget)).await;
        let mut stream = server.rejected().await;
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        assert_eq!(until_closed(&mut stream).await, b"");
        let counts = server.rejecter.counts();
        assert_eq!((counts.over_budget, counts.total()), (1, 1));
    }
}

#[tokio::test]
async fn a_handler_says_what_it_likes() {
    let reject = Reject::handler(|mut stream: TcpStream, rejection| async move {
        assert_eq!(rejection.client, client(1).into());
        let line = format!("421 {}\r\n", rejection.reason);
        stream.write_all(line.as_bytes()).await.unwrap();
    });
    let server = Server::full_for_client_1(reject).await;
    let mut stream = server.rejected().await;
    let said = until_closed(&mut stream).await;
    assert_eq!(said, b"421 client connection limit reached\r\n");
}

#[tokio::test]
async fn a_handler_that_hangs_or_panics_costs_its_place_only_until_it_ends() {
    let budget = AnswerBudget::new().with_max_concurrent(1).with_deadline(Duration::from_millis(20));
    let reject = Reject::handler(|mut stream: TcpStream, _| async move {
        match stream.read_u8().await {
            Ok(b'!') => std::panic::resume_unwind(Box::new("a handler's fault")),
            _ => core::future::pending().await,
        }
    });
    let mut server = Server::full_for_client_1(Rejecter::new(reject, budget)).await;
    for byte in [b"!", b"?"] {
        let before = server.rejecter.counts().answered;
        within("a free place", async {
            while server.rejecter.counts().answered == before {
                let mut stream = server.rejected().await;
                let _gone = stream.write_all(byte).await;
                assert_eq!(until_closed(&mut stream).await, b"");
            }
        })
        .await;
    }
    let _other = dial(client(2), server.addr).await;
    server.admits_one().await;
}

#[tokio::test]
async fn a_client_that_lets_answers_time_out_takes_only_its_part_of_them() {
    // What the silent hold they hold for longer than the test lasts.
    let budget = AnswerBudget::new().with_deadline(PATIENCE * 4);
    let part = u64::from(budget.max_per_client());
    let mut server = Server::full_for_client_1(Rejecter::new(POLITE(), budget)).await;
    let _at_its_limit = dial(client(2), server.addr).await;
    server.admits_one().await;

    let addr = server.addr;
    let flood = tokio::spawn(async move {
        let mut silent = Vec::new();
        let mut clock = tokio::time::interval(Duration::from_millis(4));
        for _ in 0..600 {
            clock.tick().await;
            silent.push(dial(client(1), addr).await);
        }
        silent
    });
    eventually("the flood", || server.rejecter.counts().over_share >= 100).await;
    for _ in 0..5 {
        let mut stream = dial(client(2), addr).await;
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let answer = until_closed(&mut stream).await;
        assert!(answer.starts_with(b"HTTP/1.1 429 "), "{:?}", server.rejecter.counts());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let counts = server.rejecter.counts();
    assert_eq!((counts.answered, counts.over_budget), (part + 5, 0));
    drop(flood.await.unwrap());
}

#[tokio::test]
async fn a_budget_with_no_part_for_a_client_closes() {
    let server = Server::full_for_client_1(Rejecter::new(POLITE(), PATIENT.with_max_per_client(0))).await;
    let mut stream = server.rejected().await;
    assert_eq!(until_closed(&mut stream).await, b"");
    assert_eq!(server.rejecter.counts().over_share, 1);
}
