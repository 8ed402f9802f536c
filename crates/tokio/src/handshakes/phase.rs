//! Begins handshakes, each in a task of its own, and collects those that are done.

use super::HandshakeError;
use crate::{Listen, Rejecter, Rejection, listener::OnRejected};
use connlimit::{Client, Limiter, Permit};
use core::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use std::{io, sync::Arc};
use tokio::task::JoinSet;
use tokio::time::timeout;

pub(super) struct Phase<L: Listen, T> {
    pub(super) listener: L,
    pub(super) limiter: Limiter,
    handshake: Handshake<L::Stream, T>,
    pub(super) deadline: Duration,
    pub(super) rejecter: Rejecter<L::Stream>,
    pub(super) on_rejected: Option<OnRejected>,
    pub(super) on_failed: Option<OnFailed<L::Addr>>,
    /// No more than the limiter allows. Those that are done wait here, with their permits, to be taken.
    under_way: JoinSet<Outcome<T, L::Addr>>,
}

pub(super) type Handshake<S, T> = Arc<dyn Fn(S) -> Pin<Box<dyn Future<Output = io::Result<T>> + Send>> + Send + Sync>;
type OnFailed<A> = Box<dyn FnMut(&HandshakeError, &A) + Send>;
type Outcome<T, A> = Result<Done<T, A>, (HandshakeError, A)>;

/// A connection whose handshake is done. Dropped in this order: the permit is released when the socket is closed.
pub(super) struct Done<T, A> {
    pub(super) stream: T,
    pub(super) permit: Permit,
    pub(super) client: Client,
    pub(super) addr: A,
}

impl<L: Listen, T: Send + 'static> Phase<L, T> {
    pub(super) fn new(listener: L, limiter: Limiter, handshake: Handshake<L::Stream, T>, deadline: Duration) -> Self {
        Self {
            listener,
            limiter,
            handshake,
            deadline,
            rejecter: Rejecter::default(),
            on_rejected: None,
            on_failed: None,
            under_way: JoinSet::new(),
        }
    }

    /// The next handshake that is done. Errors are those of the listener, unchanged.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Done<T, L::Addr>>> {
        // A flood of connections pays for entering the table once. Polling does not wait, so the batch ends soon.
        let mut batch = None;
        loop {
            match self.under_way.poll_join_next(cx) {
                Poll::Ready(Some(Ok(Ok(done)))) => return Poll::Ready(Ok(done)),
                Poll::Ready(Some(Ok(Err((error, addr))))) => {
                    if let Some(observe) = &mut self.on_failed {
                        observe(&error, &addr);
                    }
                    continue;
                }
                // It panicked, or the runtime is ending; the stream and the permit went along.
                Poll::Ready(Some(Err(_gone))) => continue,
                Poll::Ready(None) | Poll::Pending => {}
            }
            let (mut stream, addr) = ready!(self.listener.poll_accept(cx))?;
            let client = self.listener.client(&stream, &addr);
            match batch.get_or_insert_with(|| self.limiter.batch()).try_acquire(client) {
                Ok(permit) => {
                    self.listener.admitted(&mut stream);
                    let (handshake, deadline) = (Arc::clone(&self.handshake), self.deadline);
                    self.under_way.spawn(async move {
                        // It begins in here: what it costs, and whether it panics, is nothing to the accept path. The
                        // stream is gone at the end of this statement when nothing has come of it.
                        let outcome = timeout(deadline, handshake(stream)).await;
                        match outcome {
                            Ok(Ok(stream)) => Ok(Done { stream, permit, client, addr }),
                            Ok(Err(error)) => Err((HandshakeError::Failed(error), addr)),
                            Err(_late) => Err((HandshakeError::Late, addr)),
                        }
                    });
                }
                Err(reason) => {
                    let rejection = Rejection { client, reason };
                    if let Some(observe) = &mut self.on_rejected {
                        observe(&rejection);
                    }
                    self.rejecter.reject(stream, rejection);
                }
            }
        }
    }
}
