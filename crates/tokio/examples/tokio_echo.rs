//! An echo server on Tokio that admits a few connections of each client.
//!
//! ```text
//! cargo run -p connlimit-tokio --example tokio_echo                               # checks itself and ends
//! cargo run -p connlimit-tokio --example tokio_echo -- --listen 127.0.0.1:7000    # stays up
//! ```

use connlimit::{Config, Limiter};
use connlimit_tokio::LimitedListener;
use core::error::Error;
use std::{env, io};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const LIMIT: u32 = 4;

async fn serve(socket: TcpListener, limiter: Limiter) -> io::Result<()> {
    let mut listener = LimitedListener::new(socket, limiter).on_error(|error| eprintln!("accept: {error}; going on"));
    loop {
        let (stream, _peer) = listener.accept().await?;
        tokio::spawn(async move {
            let (mut reader, mut writer) = stream.into_split();
            tokio::io::copy(&mut reader, &mut writer).await
        });
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let limiter = Limiter::new(Config::new(LIMIT));
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => check(limiter).await,
        ["--listen", addr] => Ok(serve(TcpListener::bind(addr).await?, limiter).await?),
        _ => Err("usage: tokio_echo [--listen ADDR]".into()),
    }
}

async fn check(limiter: Limiter) -> Result<(), Box<dyn Error>> {
    let socket = TcpListener::bind("127.0.0.1:0").await?;
    let addr = socket.local_addr()?;
    tokio::spawn(serve(socket, limiter.clone()));

    let mut open = Vec::new();
    for number in 0..LIMIT + 2 {
        let mut stream = TcpStream::connect(addr).await?;
        // A rejected connection fails here or there, depending on how soon it is closed.
        let echo = match stream.write_all(b"hello").await {
            Ok(()) => stream.read_exact(&mut [0; 5]).await,
            Err(error) => Err(error),
        };
        println!("connection {number}: {}", if echo.is_ok() { "echoed" } else { "rejected" });
        assert_eq!(echo.is_ok(), number < LIMIT);
        open.push(stream);
    }
    assert_eq!(limiter.open_connections(addr), LIMIT);

    drop(open);
    while limiter.open_connections(addr) > 0 {
        tokio::task::yield_now().await;
    }
    println!("all closed, all released");
    Ok(())
}
