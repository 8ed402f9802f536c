//! An echo server that stays up: one thread for each admitted connection.

use crate::log::Log;
use connlimit::{Config, LimitedStream, Limiter, net::LimitedListener};
use std::{
    convert::Infallible,
    io::{self, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};

/// A limit on open connections needs a limit on idleness beside it, or one client's silent connections keep its own
/// slots for ever.
const IDLE: Duration = Duration::from_secs(60);

pub fn run(listen: SocketAddr, limit: u32) -> Result<Infallible, Box<dyn std::error::Error>> {
    // A subscriber has at least a /64 of IPv6, so that is the client.
    let limiter = Limiter::new(Config::new(limit).with_ipv6_prefix(64)?);
    let listener =
        TcpListener::bind(listen).map_err(|error| io::Error::new(error.kind(), format!("{listen}: {error}")))?;
    println!("listening on {}", listener.local_addr()?);
    Ok(serve(listener, limiter, io::stderr())?)
}

/// Accepts for ever; ends when the listener itself fails.
pub fn serve(listener: TcpListener, limiter: Limiter, log: impl Write + Send + 'static) -> io::Result<Infallible> {
    let log = Arc::new(Log::new(log));
    let (rejections, errors) = (Arc::clone(&log), Arc::clone(&log));
    let mut listener = LimitedListener::new(listener, limiter)
        .on_rejected(move |mut stream, peer, reason| {
            rejections.line(&format_args!("rejected   {peer}: {reason}"));
            // The answer fits into an empty send buffer; a peer for which it does not goes without.
            if stream.set_nonblocking(true).is_ok() {
                let _sent = writeln!(stream, "{reason}").is_ok();
            }
        })
        .on_error(move |error| errors.line(&format_args!("accept: {error}")));
    loop {
        let (stream, peer) = listener.accept()?;
        log.line(&format_args!("admitted  {peer}"));
        // Where no thread can be had the closure is dropped, and with it the connection and its permit.
        let worker = thread::Builder::new().spawn(move || echo(&stream));
        if let Err(error) = worker {
            log.line(&format_args!("dropped   {peer}: {error}"));
        }
    }
}

/// Sends back what arrives, until the peer leaves or falls silent.
fn echo(stream: &LimitedStream<TcpStream>) -> io::Result<u64> {
    stream.get_ref().set_read_timeout(Some(IDLE))?;
    stream.get_ref().set_write_timeout(Some(IDLE))?;
    io::copy(&mut { stream }, &mut { stream })
}
