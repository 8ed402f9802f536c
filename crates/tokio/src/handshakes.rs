//! The phase before a session: TLS handshakes, logins, whatever a client may take its time over.
//!
//! A connection that is not let in yet is cheap for a client to hold and costs this side a place. So the phase has
//! limits of its own, which are low, and a deadline; and it runs off the accept path, so that one that stalls delays
//! nobody else's.

mod established;
mod phase;

pub use established::Established;

use crate::{LimitedStream, Listen, Rejecter, Rejection, survivor::Survivor};
use connlimit::{Client, Limiter};
use core::{
    fmt,
    future::poll_fn,
    task::{Context, Poll, ready},
    time::Duration,
};
use phase::{Done, Phase};
use std::{io, sync::Arc};
use tokio::io::{AsyncRead, AsyncWrite};

/// Lets each connection of a listener through a handshake before it is handed out.
///
/// When a connection is accepted it takes a permit of the limiter given here, for the time of its handshake. That is a
/// limit for each client on connections that have not got anywhere yet and, with
/// [`Config::with_max_total`](connlimit::Config::with_max_total), one for all of them together; a connection above
/// either is closed before its handshake has cost anything. The handshake runs in a task of its own and is dropped at
/// the [deadline](Self::with_deadline), its socket and its permit with it.
///
/// What comes through is exchanged for a session, in one of two ways:
///
/// - Inside a [`LimitedListener`](crate::LimitedListener), for handshakes that make a stream, such as TLS: the listener
///   takes the session's permit and then gives the handshake's back. A connection above the sessions' limit is
///   [rejected](crate::Reject) *through* the stream, so a 429 goes out inside TLS.
/// - By [`accept`](Self::accept), for handshakes that tell who the client is, such as a login: the stream holds the
///   handshake's permit until your code [exchanges](LimitedStream::exchange) it for another.
///
/// Either way the connection is counted at every moment, and one that has become a session no longer counts as a
/// handshake.
///
/// # Examples
///
/// TLS, with at most 4 handshakes of a client and 256 of all under way, each for 5 seconds at most; then at most 16
/// sessions of a client:
///
/// ```
/// use connlimit::{Config, Limiter};
/// use connlimit_tokio::{Established, Handshakes, LimitedListener, Reject};
/// use std::time::Duration;
/// use tokio::net::{TcpListener, TcpStream};
/// use tokio_rustls::{TlsAcceptor, server::TlsStream};
///
/// type Tls = TlsStream<TcpStream>;
///
/// fn with_tls(socket: TcpListener, tls: TlsAcceptor) -> LimitedListener<Handshakes<TcpListener, Tls>> {
///     let before = Limiter::new(Config::new(4).with_max_total(256));
///     let handshakes = Handshakes::new(socket, before, move |stream| tls.accept(stream))
///         .with_deadline(Duration::from_secs(5));
///     LimitedListener::new(handshakes, Limiter::new(Config::new(16)))
///         .reject_with(Reject::Http429 { retry_after: None })
/// }
/// ```
///
/// A login is in the example `login` of the repository.
pub struct Handshakes<L: Listen, T> {
    phase: Phase<L, T>,
    survivor: Survivor,
}

impl<L: Listen, T: Send + 'static> Handshakes<L, T> {
    /// Time for one handshake, unless [`with_deadline`](Self::with_deadline) says otherwise.
    pub const DEADLINE: Duration = Duration::from_secs(10);

    /// Lets what `listener` accepts through `handshake`, no more at once than `limiter` allows.
    ///
    /// The limiter should be another than the sessions'. Give it a total as well as a limit for each client.
    #[must_use]
    pub fn new<F>(listener: L, limiter: Limiter, handshake: impl Fn(L::Stream) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<T>> + Send + 'static,
    {
        let handshake = Arc::new(move |stream| Box::pin(handshake(stream)) as _);
        Self { phase: Phase::new(listener, limiter, handshake, Self::DEADLINE), survivor: Survivor::default() }
    }

    /// Bounds the time from accepting a connection to the end of its handshake.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.phase.deadline = deadline;
        self
    }

    /// Decides how connections are turned away for which there is no place in this phase. Unless told otherwise they
    /// are closed, since before its handshake a client would not understand a word.
    #[must_use]
    pub fn reject_with(mut self, rejecter: impl Into<Rejecter<L::Stream>>) -> Self {
        self.phase.rejecter = rejecter.into();
        self
    }

    /// Is told of each connection for which there was no place in this phase. Must not block. Rejections of sessions
    /// are told [elsewhere](crate::LimitedListener::on_rejected).
    #[must_use]
    pub fn on_rejected(mut self, observe: impl FnMut(&Rejection) + Send + 'static) -> Self {
        self.phase.on_rejected = Some(Box::new(observe));
        self
    }

    /// Is told of each handshake that failed or was late, with the address of the peer. Must not block.
    #[must_use]
    pub fn on_failed(mut self, observe: impl FnMut(&HandshakeError, &L::Addr) + Send + 'static) -> Self {
        self.phase.on_failed = Some(Box::new(observe));
        self
    }

    /// Is told of each error that [`accept`](Self::accept) survives. Inside a `LimitedListener`, which has a hook of
    /// the same name, it is that one that is told.
    #[must_use]
    pub fn on_error(mut self, observe: impl FnMut(&io::Error) + Send + 'static) -> Self {
        self.survivor.on_error = Some(Box::new(observe));
        self
    }

    /// The next connection whose handshake is done, in the order in which they are done.
    ///
    /// It holds its permit of this phase: [exchange](LimitedStream::exchange) it for one of the next.
    ///
    /// Cancel safe: a dropped call has taken nothing that it did not hand out or reject. Handshakes go on meanwhile.
    ///
    /// # Errors
    ///
    /// Those of the socket that do not pass, as for [`LimitedListener::accept`](crate::LimitedListener::accept). What
    /// is wrong with one handshake is [told](Self::on_failed).
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime that has its time driver.
    pub async fn accept(&mut self) -> io::Result<(LimitedStream<T>, L::Addr)> {
        let Self { phase, survivor } = self;
        let done = poll_fn(|cx| survivor.poll(cx, |cx| phase.poll(cx))).await?;
        Ok((LimitedStream::new(done.stream, done.permit), done.addr))
    }
}

impl<L: Listen, T> Handshakes<L, T> {
    /// The listening socket.
    pub const fn get_ref(&self) -> &L {
        &self.phase.listener
    }

    /// The limiter of this phase; what it counts is handshakes.
    pub const fn limiter(&self) -> &Limiter {
        &self.phase.limiter
    }
}

/// A connection is counted for the client that it had for the handshake.
impl<L: Listen, T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Listen for Handshakes<L, T> {
    type Stream = Established<T>;
    type Addr = L::Addr;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Established<T>, L::Addr)>> {
        let Done { stream, client, permit, addr } = ready!(self.phase.poll(cx))?;
        Poll::Ready(Ok((Established::new(stream, client, permit), addr)))
    }

    fn client(&self, stream: &Established<T>, _addr: &L::Addr) -> Client {
        stream.client()
    }

    fn admitted(&self, stream: &mut Established<T>) {
        stream.end_handshake();
    }

    fn local_addr(&self) -> io::Result<L::Addr> {
        self.phase.listener.local_addr()
    }
}

impl<L: Listen, T> fmt::Debug for Handshakes<L, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshakes")
            .field("limiter", &self.phase.limiter)
            .field("deadline", &self.phase.deadline)
            .finish_non_exhaustive()
    }
}

/// Why a handshake came to nothing.
#[derive(Debug)]
#[non_exhaustive]
pub enum HandshakeError {
    /// It was not done at its deadline.
    Late,
    /// It failed with this error.
    Failed(io::Error),
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late => f.write_str("handshake not done in time"),
            Self::Failed(error) => write!(f, "handshake failed: {error}"),
        }
    }
}

impl core::error::Error for HandshakeError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Failed(error) => Some(error),
            Self::Late => None,
        }
    }
}
