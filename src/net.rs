//! Blocking sockets of the standard library: an accept loop that rejects and goes on.
//!
//! The permit is taken right after `accept`, on the accepting thread, before a worker is started and before a byte
//! is read: a burst cannot slip past the limit while threads start.
//!
//! # Examples
//!
//! An echo server with at most 100 connections per client; an IPv6 client is a /64 network:
//!
//! ```no_run
//! use connlimit::{Config, Limiter, net::LimitedListener};
//! use std::{io, net::TcpListener, thread};
//!
//! let limiter = Limiter::new(Config::new(100).with_ipv6_prefix(64)?);
//! let mut listener = LimitedListener::new(TcpListener::bind("[::]:7000")?, limiter);
//! for connection in listener.incoming() {
//!     let (stream, _peer) = connection?;
//!     thread::spawn(move || io::copy(&mut &stream, &mut &stream));
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod accept_error;
mod listen;
mod pause;

pub use accept_error::AcceptError;
pub use listen::Listen;
pub use pause::ExhaustionPause;

use crate::{Acquire, Client, LimitedStream, Limiter, Rejected};
use core::fmt;
use std::{io, thread};

/// An admitted connection and the address of its peer.
pub type Accepted<L, A = Limiter> = (LimitedStream<<L as Listen>::Stream, <A as Acquire>::Permit>, <L as Listen>::Addr);

type OnRejected<L> = dyn FnMut(<L as Listen>::Stream, <L as Listen>::Addr, Rejected) + Send;
type OnError = dyn FnMut(&io::Error) + Send;
type CountAs<L> = dyn FnMut(&<L as Listen>::Stream, &<L as Listen>::Addr) -> Client + Send;

/// A listener that hands out admitted connections only.
///
/// `L` is a [`TcpListener`](std::net::TcpListener), on Unix a [`UnixListener`](std::os::unix::net::UnixListener), or
/// any other type that implements [`Listen`]. To accept on several threads, give each its own `LimitedListener`, made
/// from a `try_clone` of the socket and a clone of the limiter.
///
/// It does not wait for a slot to come free: it rejects the peer and takes the next one.
///
/// # Examples
///
/// ```
/// use connlimit::{Config, Limiter, net::LimitedListener};
/// use std::net::{TcpListener, TcpStream};
///
/// let limiter = Limiter::new(Config::new(2));
/// let mut listener = LimitedListener::new(TcpListener::bind("127.0.0.1:0")?, limiter.clone());
/// let client = TcpStream::connect(listener.get_ref().local_addr()?)?;
///
/// let (stream, peer) = listener.accept()?;
/// assert_eq!(peer, client.local_addr()?);
/// assert_eq!(limiter.open_connections(peer), 1);
///
/// drop(stream);
/// assert_eq!(limiter.open_connections(peer), 0);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct LimitedListener<L: Listen, A: Acquire = Limiter> {
    listener: L,
    limiter: A,
    count_as: Option<Box<CountAs<L>>>,
    on_rejected: Option<Box<OnRejected<L>>>,
    on_error: Option<Box<OnError>>,
    pause: ExhaustionPause,
}

impl<L: Listen, A: Acquire> LimitedListener<L, A> {
    /// Guards `listener` with `limiter`. Keep a clone of the limiter to read counts or to change the limit later.
    pub const fn new(listener: L, limiter: A) -> Self {
        let pause = ExhaustionPause::new();
        Self { listener, limiter, count_as: None, on_rejected: None, on_error: None, pause }
    }

    /// Calls `hook` with each rejected connection, to count it, log it, or tell the peer why. Without a hook the
    /// connection is closed.
    ///
    /// The hook runs on the accepting thread and holds it up: do not let it wait for the peer, and bound the rate of
    /// what it logs, since it runs at the speed of the attack. The stream holds no permit; drop it soon. The
    /// [`Rejected`] may be shown to the peer.
    ///
    /// # Examples
    ///
    /// ```
    /// use connlimit::{Config, Limiter, net::LimitedListener};
    /// use std::{io::Write, net::TcpListener};
    ///
    /// let limiter = Limiter::new(Config::new(2));
    /// let listener = LimitedListener::new(TcpListener::bind("127.0.0.1:0")?, limiter)
    ///     .on_rejected(|mut stream, _peer, reason| {
    ///         if stream.set_nonblocking(true).is_ok() {
    ///             // A few bytes fit into an empty send buffer; if not, the peer goes without.
    ///             let _sent = writeln!(stream, "{reason}").is_ok();
    ///         }
    ///     });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn on_rejected(mut self, hook: impl FnMut(L::Stream, L::Addr, Rejected) + Send + 'static) -> Self {
        self.on_rejected = Some(Box::new(hook));
        self
    }

    /// Calls `hook` with each error that [`accept`](Self::accept) survives, before it goes on. The hook runs on the
    /// accepting thread. Without a hook such errors are not seen.
    #[must_use]
    pub fn on_error(mut self, hook: impl FnMut(&io::Error) + Send + 'static) -> Self {
        self.on_error = Some(Box::new(hook));
        self
    }

    /// Decides who a connection is counted for, instead of [`Listen::client`]. The function runs on the accepting
    /// thread; do not let it wait for the peer.
    ///
    /// # Examples
    ///
    /// Two sockets whose peers share one count:
    ///
    /// ```
    /// # #[cfg(unix)] {
    /// use connlimit::{Client, Config, Limiter, net::LimitedListener};
    /// use std::os::unix::net::UnixListener;
    ///
    /// # let directory = std::env::temp_dir();
    /// # let path = directory.join(format!("connlimit-doc-{}.sock", std::process::id()));
    /// let limiter = Limiter::new(Config::new(8));
    /// let listener = LimitedListener::new(UnixListener::bind(&path)?, limiter)
    ///     .count_as(|_stream, _peer| Client::named("admin"));
    /// # std::fs::remove_file(path)?;
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn count_as(mut self, client_of: impl FnMut(&L::Stream, &L::Addr) -> Client + Send + 'static) -> Self {
        self.count_as = Some(Box::new(client_of));
        self
    }

    /// Waits for the next connection that is admitted. Peers that are rejected on the way are closed, or given to the
    /// [hook](Self::on_rejected), and do not end the wait.
    ///
    /// Errors that say nothing about the listener are survived and given to [`on_error`](Self::on_error):
    /// - a connection that died in the backlog is skipped;
    /// - out of descriptors or memory (`EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`): the thread sleeps for an
    ///   [`ExhaustionPause`] and tries again. It sleeps on a non-blocking socket too, so an event loop is better
    ///   served by [`Limiter::try_acquire`].
    ///
    /// # Errors
    ///
    /// What the listener returned, when it is none of the above: a socket that would block, was shut down, or is not
    /// listening. Nothing has been counted.
    pub fn accept(&mut self) -> io::Result<Accepted<L, A>> {
        loop {
            let (stream, addr) = match self.listener.accept() {
                Ok(connection) => {
                    self.pause.reset();
                    connection
                }
                Err(error) => {
                    self.survive(error)?;
                    continue;
                }
            };
            let client = match &mut self.count_as {
                Some(client_of) => client_of(&stream, &addr),
                None => self.listener.client(&stream, &addr),
            };
            // Not by a batch: the next `accept` may wait for hours, and would hold back what the table gives up.
            match self.limiter.try_acquire(client) {
                Ok(permit) => return Ok((LimitedStream::new(stream, permit), addr)),
                Err(reason) => {
                    if let Some(hook) = &mut self.on_rejected {
                        hook(stream, addr, reason);
                    }
                }
            }
        }
    }

    /// An endless iterator over [`accept`](Self::accept). After an error it goes on; whether to stop is up to the
    /// loop that uses it.
    pub fn incoming(&mut self) -> impl Iterator<Item = io::Result<Accepted<L, A>>> + '_ {
        core::iter::from_fn(|| Some(self.accept()))
    }

    /// The listener, to ask for its address for example.
    pub const fn get_ref(&self) -> &L {
        &self.listener
    }

    /// The limiter.
    pub const fn limiter(&self) -> &A {
        &self.limiter
    }

    /// The listener, unguarded. Permits that were handed out stay valid.
    pub fn into_inner(self) -> L {
        self.listener
    }

    fn survive(&mut self, error: io::Error) -> io::Result<()> {
        let kind = AcceptError::of(&error);
        if kind == AcceptError::Listener {
            return Err(error);
        }
        if let Some(hook) = &mut self.on_error {
            hook(&error);
        }
        if kind == AcceptError::Exhausted {
            thread::sleep(self.pause.lengthen());
        }
        Ok(())
    }
}

impl<L: Listen + fmt::Debug, A: Acquire + fmt::Debug> fmt::Debug for LimitedListener<L, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitedListener")
            .field("listener", &self.listener)
            .field("limiter", &self.limiter)
            .finish_non_exhaustive()
    }
}
