//! What an accept loop does about errors of `accept`.

use crate::backoff::Backoff;
use connlimit::net::AcceptError;
use core::{
    fmt,
    task::{Context, Poll, ready},
};
use std::io;

type OnError = Box<dyn FnMut(&io::Error) + Send>;

/// Survives what says nothing about the listening socket: skips dead peers, and pauses while the machine is out of
/// descriptors or memory.
#[derive(Default)]
pub(crate) struct Survivor {
    pub(crate) on_error: Option<OnError>,
    backoff: Backoff,
}

impl Survivor {
    /// The next connection that `accept` yields, or an error that does not pass.
    pub(crate) fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut accept: impl FnMut(&mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        loop {
            ready!(self.backoff.poll(cx));
            let error = match ready!(accept(cx)) {
                Ok(accepted) => {
                    self.backoff.reset();
                    return Poll::Ready(Ok(accepted));
                }
                Err(error) => error,
            };
            match AcceptError::of(&error) {
                AcceptError::Peer => self.tell(&error),
                AcceptError::Exhausted => self.pause_after(&error),
                AcceptError::Listener => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Tells of `error`; the next attempt is made after a pause.
    pub(crate) fn pause_after(&mut self, error: &io::Error) {
        self.backoff.pause();
        self.tell(error);
    }

    fn tell(&mut self, error: &io::Error) {
        if let Some(observe) = &mut self.on_error {
            observe(error);
        }
    }
}

impl fmt::Debug for Survivor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Survivor").field("backoff", &self.backoff).finish_non_exhaustive()
    }
}
