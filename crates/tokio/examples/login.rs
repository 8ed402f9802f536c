//! A chat line with a login: the time before it has a low limit for each address and a deadline, and is exchanged for a
//! session that is counted for the user, from wherever they come.
//!
//! ```text
//! cargo run -p connlimit-tokio --example login                               # checks itself and ends
//! cargo run -p connlimit-tokio --example login -- --listen 127.0.0.1:7000    # stays up; then: nc 127.0.0.1 7000
//! ```

use connlimit::{Client, Config, Limiter};
use connlimit_tokio::{Handshakes, LimitedStream};
use core::{error::Error, net::SocketAddr, time::Duration};
use std::{env, io};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};

type Line = BufStream<TcpStream>;

/// Who may have how many connections, before and after they have said who they are.
#[derive(Clone)]
struct Limits {
    logins: Limiter,
    sessions: Limiter,
}

/// Asks for a name. A real server would ask for a password as well; all of it happens under the deadline.
async fn log_in(stream: TcpStream) -> io::Result<(Line, String)> {
    let mut line = BufStream::new(stream);
    line.write_all(b"who are you? ").await?;
    line.flush().await?;
    // What is not known yet is not believed: the name has an end.
    let mut name = String::new();
    (&mut line).take(64).read_line(&mut name).await?;
    if !name.ends_with('\n') {
        return Err(io::Error::other("no name"));
    }
    name.truncate(name.trim_end().len());
    Ok((line, name))
}

async fn serve(socket: TcpListener, limits: Limits, deadline: Duration) -> io::Result<()> {
    let mut logins = Handshakes::new(socket, limits.logins, log_in)
        .with_deadline(deadline)
        .on_failed(|error, peer| eprintln!("{peer}: {error}"))
        .on_rejected(|rejection| eprintln!("{}: {}", rejection.client, rejection.reason));
    loop {
        let (stream, _peer) = logins.accept().await?;
        let sessions = limits.sessions.clone();
        tokio::spawn(async move { talk(stream, &sessions).await });
    }
}

async fn talk(stream: LimitedStream<(Line, String)>, sessions: &Limiter) -> io::Result<()> {
    let user = Client::named(&stream.get_ref().1);
    let mut stream = stream.map(|(line, _name)| line);
    let mut stream = match sessions.try_acquire(user) {
        // First the session is counted, then the login is over.
        Ok(session) => stream.exchange(session),
        Err(reason) => {
            stream.write_all(format!("{reason}\n").as_bytes()).await?;
            return stream.shutdown().await;
        }
    };
    stream.write_all(b"welcome\n").await?;
    stream.flush().await?;
    let (mut reader, mut writer) = tokio::io::split(stream);
    tokio::io::copy(&mut reader, &mut writer).await?;
    writer.shutdown().await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let limits =
        Limits { logins: Limiter::new(Config::new(2).with_max_total(100)), sessions: Limiter::new(Config::new(1)) };
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => check(limits).await,
        ["--listen", addr] => Ok(serve(TcpListener::bind(addr).await?, limits, Duration::from_secs(30)).await?),
        _ => Err("usage: login [--listen ADDR]".into()),
    }
}

async fn check(limits: Limits) -> Result<(), Box<dyn Error>> {
    let socket = TcpListener::bind("127.0.0.1:0").await?;
    let addr = socket.local_addr()?;
    tokio::spawn(serve(socket, limits.clone(), Duration::from_secs(2)));

    let (_alice, said) = say_name(addr, "alice").await?;
    assert_eq!(said, "who are you? welcome\n");
    assert_eq!(
        (limits.logins.open_connections(addr), limits.sessions.open_connections(Client::named("alice"))),
        (0, 1)
    );
    println!("alice is in, and no longer counts as logging in");

    let (_twice, said) = say_name(addr, "alice").await?;
    assert_eq!(said, "who are you? client connection limit reached\n");
    let (_bob, said) = say_name(addr, "bob").await?;
    assert_eq!(said, "who are you? welcome\n");
    println!("alice is not let in twice; bob is, from the same address");
    while limits.logins.open_connections(addr) > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    let silent = [TcpStream::connect(addr).await?, TcpStream::connect(addr).await?];
    while limits.logins.open_connections(addr) < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut third = TcpStream::connect(addr).await?;
    assert!(matches!(third.read(&mut [0]).await, Ok(0) | Err(_)));
    println!("two that say nothing are all that may be logging in");

    while limits.logins.open_connections(addr) > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(silent);
    let (_carol, said) = say_name(addr, "carol").await?;
    assert_eq!(said, "who are you? welcome\n");
    println!("until their deadline: then carol is let in");
    Ok(())
}

async fn say_name(addr: SocketAddr, name: &str) -> io::Result<(Line, String)> {
    let mut line = BufStream::new(TcpStream::connect(addr).await?);
    line.write_all(format!("{name}\n").as_bytes()).await?;
    line.flush().await?;
    let mut said = String::new();
    line.read_line(&mut said).await?;
    Ok((line, said))
}
