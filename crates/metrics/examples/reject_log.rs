//! An echo server whose rejections are in its log: one line per interval, however many there are, and none is missing.
//!
//! ```text
//! cargo run -p connlimit-metrics --features tracing --example reject_log                  # checks itself and ends
//! cargo run -p connlimit-metrics --features tracing --example reject_log -- --listen 127.0.0.1:7000
//! ```

use connlimit::{Config, Limiter};
use connlimit_metrics::RejectLog;
use connlimit_tokio::LimitedListener;
use core::{error::Error, time::Duration};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::{TcpListener, TcpStream};

const LIMIT: u32 = 4;

async fn serve(socket: TcpListener, log: Arc<RejectLog>) -> io::Result<()> {
    let mut listener = LimitedListener::new(socket, Limiter::new(Config::new(LIMIT)))
        .on_rejected(move |rejection| log.note(rejection.client, rejection.reason));
    loop {
        let (stream, _peer) = listener.accept().await?;
        tokio::spawn(async move {
            let (mut reader, mut writer) = stream.into_split();
            tokio::io::copy(&mut reader, &mut writer).await
        });
    }
}

/// The log has no timer of its own: without this, the last rejections of a flood wait for the next one.
async fn flush_every(interval: Duration, log: Arc<RejectLog>) {
    let mut clock = tokio::time::interval(interval);
    loop {
        clock.tick().await;
        log.flush();
    }
}

/// Standard error, and a copy of it to look at.
#[derive(Clone, Default)]
struct Output(Arc<Mutex<String>>);

impl Output {
    fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All rejections that the lines tell of.
    fn rejects(&self) -> u32 {
        let text = self.text();
        let fields = text.split_whitespace().filter_map(|word| word.strip_prefix("rejects="));
        fields.filter_map(|number| number.parse::<u32>().ok()).sum()
    }
}

impl Write for Output {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_str(&String::from_utf8_lossy(line));
        io::stderr().write_all(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let output = Output::default();
    let writer = output.clone();
    tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).init();

    let interval = Duration::from_millis(200);
    let log = Arc::new(RejectLog::new(interval));
    tokio::spawn(flush_every(interval, Arc::clone(&log)));
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => check(&output, log).await,
        ["--listen", addr] => Ok(serve(TcpListener::bind(addr).await?, log).await?),
        _ => Err("usage: reject_log [--listen ADDR]".into()),
    }
}

async fn check(output: &Output, log: Arc<RejectLog>) -> Result<(), Box<dyn Error>> {
    const REJECTED: u32 = 100;
    let socket = TcpListener::bind("127.0.0.1:0").await?;
    let addr = socket.local_addr()?;
    tokio::spawn(serve(socket, log));
    let mut open = Vec::new();
    for _ in 0..LIMIT + REJECTED {
        open.push(TcpStream::connect(addr).await?);
    }
    while output.rejects() < REJECTED {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let lines = output.text().lines().count();
    println!("{REJECTED} rejections, told in {lines} lines");
    assert_eq!(output.rejects(), REJECTED);
    assert!(output.text().contains("client=127.0.0.1 reason=client connection limit reached"));
    Ok(())
}
