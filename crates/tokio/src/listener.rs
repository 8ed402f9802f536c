//! An accept loop that admits, rejects, and survives what the operating system may report.

use crate::LimitedStream;
use crate::{Listen, Rejecter, Rejection, backoff::Backoff};
use connlimit::{Acquire, Client, Limiter, net::AcceptError};
use core::{
    fmt,
    future::poll_fn,
    task::{Context, Poll, ready},
};
use std::io;

/// A listener that admits no more connections of a client than the limiter allows.
///
/// [`accept`](Self::accept) yields admitted connections only. Others are rejected as [`reject_with`](Self::reject_with)
/// says (closed, unless told otherwise), off the accept path, and the loop goes on with the next connection.
///
/// Running out of file descriptors or memory (`EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`) pauses the loop for 5 ms,
/// doubling up to 1 s while it lasts; errors about a single peer (`ECONNABORTED` and its kin) are skipped.
///
/// # What is not promised
///
/// The kernel completes TCP handshakes by itself, so a rejected client sees a connection that opens and then ends. And
/// connections that wait in the backlog are not counted.
///
/// # Examples
///
/// Counting the peers of a Unix socket for each user:
///
/// ```
/// # #[cfg(unix)] {
/// use connlimit::{Client, Config, Limiter};
/// use connlimit_tokio::LimitedListener;
/// use tokio::net::{UnixListener, UnixStream};
///
/// fn per_user(socket: UnixListener) -> LimitedListener<UnixListener> {
///     LimitedListener::new(socket, Limiter::new(Config::new(8))).count_as(
///         |stream: &UnixStream, _addr: &_| match stream.peer_cred() {
///             Ok(user) => Client::named(format!("uid:{}", user.uid())),
///             Err(_) => Client::named("uid:unknown"),
///         },
///     )
/// }
/// # }
/// ```
pub struct LimitedListener<L: Listen, A: Acquire = Limiter> {
    source: Source<L>,
    limiter: A,
    count_as: Option<CountAs<L>>,
    rejecter: Rejecter<L::Stream>,
}

/// An admitted connection and the address of its peer.
pub type Accepted<L, A = Limiter> = (LimitedStream<<L as Listen>::Stream, <A as Acquire>::Permit>, <L as Listen>::Addr);

type OnError = Box<dyn FnMut(&io::Error) + Send>;
type CountAs<L> = Box<dyn FnMut(&<L as Listen>::Stream, &<L as Listen>::Addr) -> Client + Send>;

impl<L: Listen, A: Acquire> LimitedListener<L, A> {
    /// Guards `listener` with `limiter`. Connections over the limit are closed.
    #[must_use]
    pub fn new(listener: L, limiter: A) -> Self {
        Self { source: Source::new(listener), limiter, count_as: None, rejecter: Rejecter::default() }
    }

    /// Decides who a connection is counted for, in place of [`Listen::client`].
    #[must_use]
    pub fn count_as(mut self, client: impl FnMut(&L::Stream, &L::Addr) -> Client + Send + 'static) -> Self {
        self.count_as = Some(Box::new(client));
        self
    }

    /// Decides how connections over the limit are turned away: a [`Reject`](crate::Reject), or a [`Rejecter`] that
    /// may be shared by several listeners.
    #[must_use]
    pub fn reject_with(mut self, rejecter: impl Into<Rejecter<L::Stream>>) -> Self {
        self.rejecter = rejecter.into();
        self
    }

    /// Is told of each error that the accept loop survives; for a log or a counter. Must not block.
    #[must_use]
    pub fn on_error(mut self, observe: impl FnMut(&io::Error) + Send + 'static) -> Self {
        self.source.on_error = Some(Box::new(observe));
        self
    }

    /// Accepts the next connection that is within its client's limit.
    ///
    /// Cancel safe: a dropped call has taken nothing that it did not hand out or reject.
    ///
    /// # Errors
    ///
    /// Those that do not pass: the socket does not listen, or was shut down.
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime that has its time driver, as everything does that sleeps.
    pub async fn accept(&mut self) -> io::Result<Accepted<L, A>> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// [`accept`](Self::accept) for code that is polled.
    ///
    /// # Errors
    ///
    /// As for [`accept`](Self::accept).
    ///
    /// # Panics
    ///
    /// As [`accept`](Self::accept) does.
    pub fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted<L, A>>> {
        loop {
            let (stream, addr) = ready!(self.source.poll_accept(cx))?;
            let client = match &mut self.count_as {
                Some(count_as) => count_as(&stream, &addr),
                None => self.source.listener.client(&stream, &addr),
            };
            match self.limiter.try_acquire(client) {
                Ok(permit) => return Poll::Ready(Ok((LimitedStream::new(stream, permit), addr))),
                Err(reason) => self.rejecter.reject(stream, Rejection { client, reason }),
            }
        }
    }

    /// [`poll_accept`](Self::poll_accept) for servers that have no use for an error: it is
    /// [told](Self::on_error), and another attempt is made after a pause.
    ///
    /// # Panics
    ///
    /// As [`accept`](Self::accept) does.
    pub fn poll_accept_always(&mut self, cx: &mut Context<'_>) -> Poll<Accepted<L, A>> {
        loop {
            match ready!(self.poll_accept(cx)) {
                Ok(accepted) => return Poll::Ready(accepted),
                Err(error) => {
                    self.source.backoff.pause();
                    self.source.tell(&error);
                }
            }
        }
    }

    /// The listening socket.
    pub const fn get_ref(&self) -> &L {
        &self.source.listener
    }

    /// The limiter that decides.
    pub const fn limiter(&self) -> &A {
        &self.limiter
    }

    /// What turns away the connections over the limit; clone it to watch its [counts](Rejecter::counts).
    pub const fn rejecter(&self) -> &Rejecter<L::Stream> {
        &self.rejecter
    }
}

impl<L: Listen, A: Acquire + fmt::Debug> fmt::Debug for LimitedListener<L, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitedListener")
            .field("limiter", &self.limiter)
            .field("rejecter", &self.rejecter)
            .finish_non_exhaustive()
    }
}

/// A listening socket whose passing errors have been dealt with.
pub(crate) struct Source<L> {
    pub(crate) listener: L,
    pub(crate) on_error: Option<OnError>,
    backoff: Backoff,
}

impl<L: Listen> Source<L> {
    pub(crate) fn new(listener: L) -> Self {
        Self { listener, on_error: None, backoff: Backoff::default() }
    }

    pub(crate) fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(L::Stream, L::Addr)>> {
        loop {
            ready!(self.backoff.poll(cx));
            let error = match ready!(self.listener.poll_accept(cx)) {
                Ok(accepted) => {
                    self.backoff.reset();
                    return Poll::Ready(Ok(accepted));
                }
                Err(error) => error,
            };
            match AcceptError::of(&error) {
                AcceptError::Peer => {}
                AcceptError::Exhausted => self.backoff.pause(),
                AcceptError::Listener => return Poll::Ready(Err(error)),
            }
            self.tell(&error);
        }
    }

    fn tell(&mut self, error: &io::Error) {
        if let Some(observe) = &mut self.on_error {
            observe(error);
        }
    }
}
