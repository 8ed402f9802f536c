//! The pause of an accept loop that is out of descriptors or memory, on Tokio's clock.

use connlimit::net::ExhaustionPause;
use core::{
    future::Future as _,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::time::{Sleep, sleep};

/// As long as the blocking listener's.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    pause: ExhaustionPause,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Backoff {
    /// Ready unless a pause is under way. Dropping the caller's future does not shorten the pause.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(sleep) = &mut self.sleep {
            core::task::ready!(sleep.as_mut().poll(cx));
            self.sleep = None;
        }
        Poll::Ready(())
    }

    /// Begins the next, longer pause.
    pub(crate) fn pause(&mut self) {
        self.sleep = Some(Box::pin(sleep(self.pause.lengthen())));
    }

    /// Something was accepted: the next pause is short again.
    pub(crate) const fn reset(&mut self) {
        self.pause.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::{future::poll_fn, time::Duration};
    use tokio::time::Instant;

    async fn length_of_next(backoff: &mut Backoff) -> Duration {
        let start = Instant::now();
        backoff.pause();
        poll_fn(|cx| backoff.poll(cx)).await;
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_are_those_of_the_blocking_listener() {
        let (mut backoff, mut pause) = (Backoff::default(), ExhaustionPause::new());
        for _ in 0..8 {
            assert_eq!(length_of_next(&mut backoff).await, pause.lengthen());
        }
        backoff.reset();
        assert_eq!(length_of_next(&mut backoff).await, ExhaustionPause::SHORTEST);
    }
}
