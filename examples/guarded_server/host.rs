//! The server of the tour: greets whom it admits, tells the others why not, and keeps a book of both.

use connlimit::{LimitedStream, Limiter, net::LimitedListener};
use std::{
    collections::BTreeMap,
    io::{self, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

/// What one client had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub admitted: u32,
    pub rejected: u32,
    pub most_at_once: u32,
}

/// The tallies of all clients, shared by the listeners of one server.
#[derive(Clone, Default)]
pub struct Book(Arc<Mutex<BTreeMap<IpAddr, Tally>>>);

impl Book {
    pub fn tally(&self, client: IpAddr) -> Tally {
        let tallies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tallies.get(&client).copied().unwrap_or_default()
    }

    fn note(&self, peer: SocketAddr, change: impl FnOnce(&mut Tally)) {
        let mut tallies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(tallies.entry(peer.ip().to_canonical()).or_default());
    }
}

/// Serves `listener` on a thread of its own, for as long as the program runs.
pub fn open(listener: TcpListener, limiter: Limiter, book: Book) -> io::Result<()> {
    let rejections = book.clone();
    let mut listener = LimitedListener::new(listener, limiter.clone()).on_rejected(move |mut stream, peer, why| {
        rejections.note(peer, |tally| tally.rejected += 1);
        // Should this fail, the client misses its line and the tour reports it.
        let _sent = writeln!(stream, "{why}").is_ok();
    });
    thread::Builder::new().spawn(move || -> io::Result<()> {
        for connection in listener.incoming() {
            let (stream, peer) = connection?;
            let open = limiter.open_connections(peer);
            book.note(peer, |tally| {
                tally.admitted += 1;
                tally.most_at_once = tally.most_at_once.max(open);
            });
            thread::Builder::new().spawn(move || entertain(&stream, peer.ip()))?;
        }
        Ok(())
    })?;
    Ok(())
}

fn entertain(mut stream: &LimitedStream<TcpStream>, seen_as: IpAddr) -> io::Result<u64> {
    writeln!(stream, "welcome {seen_as}")?;
    io::copy(&mut { stream }, &mut { stream })
}
