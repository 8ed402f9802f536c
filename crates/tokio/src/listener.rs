//! An accept loop that admits, rejects, and survives what the operating system may report.

use crate::LimitedStream;
use crate::{Listen, Rejecter, Rejection, survivor::Survivor};
use connlimit::{Acquire, Client, Limiter};
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
/// Running out of file descriptors or memory (`EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`) makes the loop
/// [pause](connlimit::net::ExhaustionPause); errors about a single peer (`ECONNABORTED` and its kin) are skipped.
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
    listener: L,
    survivor: Survivor,
    limiter: A,
    count_as: Option<CountAs<L>>,
    on_rejected: Option<OnRejected>,
    rejecter: Rejecter<L::Stream>,
}

/// An admitted connection and the address of its peer.
pub type Accepted<L, A = Limiter> = (LimitedStream<<L as Listen>::Stream, <A as Acquire>::Permit>, <L as Listen>::Addr);

pub(crate) type OnRejected = Box<dyn FnMut(&Rejection) + Send>;
type CountAs<L> = Box<dyn FnMut(&<L as Listen>::Stream, &<L as Listen>::Addr) -> Client + Send>;

impl<L: Listen, A: Acquire> LimitedListener<L, A> {
    /// Guards `listener` with `limiter`. Connections over the limit are closed.
    #[must_use]
    pub fn new(listener: L, limiter: A) -> Self {
        let (survivor, rejecter) = (Survivor::default(), Rejecter::default());
        Self { listener, survivor, limiter, count_as: None, on_rejected: None, rejecter }
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

    /// Is told of each rejection, before the connection is turned away: of every one, whether or not the
    /// [budget for answers](crate::AnswerBudget) allows a word to the client. For a log or a counter.
    ///
    /// It runs on the accept path, at the speed of the attack: it must not block, and what it logs has to be bounded.
    /// `RejectLog` of `connlimit-metrics` is made for it.
    ///
    /// # Examples
    ///
    /// ```
    /// use connlimit::{Config, Limiter};
    /// use connlimit_tokio::LimitedListener;
    /// use std::sync::{Arc, atomic::{AtomicU64, Ordering}};
    /// use tokio::net::TcpListener;
    ///
    /// fn counted(socket: TcpListener, rejections: Arc<AtomicU64>) -> LimitedListener<TcpListener> {
    ///     LimitedListener::new(socket, Limiter::new(Config::new(16)))
    ///         .on_rejected(move |_rejection| _ = rejections.fetch_add(1, Ordering::Relaxed))
    /// }
    /// ```
    #[must_use]
    pub fn on_rejected(mut self, observe: impl FnMut(&Rejection) + Send + 'static) -> Self {
        self.on_rejected = Some(Box::new(observe));
        self
    }

    /// Is told of each error that the accept loop survives; for a log or a counter. Must not block.
    #[must_use]
    pub fn on_error(mut self, observe: impl FnMut(&io::Error) + Send + 'static) -> Self {
        self.survivor.on_error = Some(Box::new(observe));
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
        let Self { listener, survivor, limiter, count_as, on_rejected, rejecter } = self;
        // A flood of rejections pays for entering the table once. Polling does not wait, so the row ends soon.
        limiter.in_a_row(|try_acquire| {
            loop {
                let (mut stream, addr) = ready!(survivor.poll(cx, |cx| listener.poll_accept(cx)))?;
                let client = match count_as {
                    Some(count_as) => count_as(&stream, &addr),
                    None => listener.client(&stream, &addr),
                };
                match try_acquire(client) {
                    Ok(permit) => {
                        listener.admitted(&mut stream);
                        return Poll::Ready(Ok((LimitedStream::new(stream, permit), addr)));
                    }
                    Err(reason) => {
                        let rejection = Rejection { client, reason };
                        if let Some(observe) = on_rejected {
                            observe(&rejection);
                        }
                        rejecter.reject(stream, rejection);
                    }
                }
            }
        })
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
                Err(error) => self.survivor.pause_after(&error),
            }
        }
    }

    /// The listening socket.
    pub const fn get_ref(&self) -> &L {
        &self.listener
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
