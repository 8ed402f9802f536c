//! The server that is watched: it echoes, and closes whom it does not admit.

use connlimit::{LimitedStream, Limiter, net::LimitedListener};
use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

/// Silent connections do not keep their slots for ever.
const IDLE: Duration = Duration::from_secs(60);

/// Serves on a thread of its own, for as long as the program runs; where, it returns.
pub fn start(listen: SocketAddr, limiter: Limiter) -> io::Result<SocketAddr> {
    let listener =
        TcpListener::bind(listen).map_err(|error| io::Error::new(error.kind(), format!("{listen}: {error}")))?;
    let addr = listener.local_addr()?;
    let mut listener = LimitedListener::new(listener, limiter);
    thread::Builder::new().spawn(move || -> io::Result<()> {
        loop {
            let (stream, _peer) = listener.accept()?;
            // Where no thread can be had the closure is dropped, and with it the connection and its permit.
            let _started = thread::Builder::new().spawn(move || echo(&stream)).is_ok();
        }
    })?;
    Ok(addr)
}

fn echo(stream: &LimitedStream<TcpStream>) -> io::Result<u64> {
    stream.get_ref().set_read_timeout(Some(IDLE))?;
    stream.get_ref().set_write_timeout(Some(IDLE))?;
    io::copy(&mut { stream }, &mut { stream })
}
