//! A pause that grows while `accept` keeps failing for want of descriptors or memory.
//!
//! Without it the loop would spin: the connection stays in the backlog, so the socket stays readable.

use core::{
    future::Future as _,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Sleep, sleep};

/// Starts at 5 ms and doubles up to 1 s, as the accept loop of Go's `net/http` does.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    delay: Option<Duration>,
    sleep: Option<Pin<Box<Sleep>>>,
}

const SHORTEST: Duration = Duration::from_millis(5);
const LONGEST: Duration = Duration::from_secs(1);

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
        let delay = self.delay.map_or(SHORTEST, |last| (last * 2).min(LONGEST));
        self.delay = Some(delay);
        self.sleep = Some(Box::pin(sleep(delay)));
    }

    /// Something was accepted: the next pause is short again.
    pub(crate) const fn reset(&mut self) {
        self.delay = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::future::poll_fn;
    use tokio::time::Instant;

    async fn length_of_next(backoff: &mut Backoff) -> Duration {
        let start = Instant::now();
        backoff.pause();
        poll_fn(|cx| backoff.poll(cx)).await;
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_double_up_to_a_second_and_start_over_after_a_success() {
        let mut backoff = Backoff::default();
        let mut seen = Vec::new();
        for _ in 0..10 {
            seen.push(length_of_next(&mut backoff).await.as_millis());
        }
        assert_eq!(seen, [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000]);

        backoff.reset();
        assert_eq!(length_of_next(&mut backoff).await, SHORTEST);
    }
}
