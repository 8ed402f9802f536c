//! How much may be spent on answering clients that are over their limit.

use core::time::Duration;
use tokio::time::Instant;

/// Bounds on answers to rejected clients: how many at once, how many per second, how many of those to one client, and
/// how long each may take.
///
/// Each answer under way holds a file descriptor and a small task; the bounds keep a flood of rejected connections
/// from becoming a load of its own. Connections beyond them are closed without a word.
///
/// # Examples
///
/// ```
/// use connlimit_tokio::AnswerBudget;
/// use std::time::Duration;
///
/// let budget = AnswerBudget::new().with_max_per_second(20).with_deadline(Duration::from_millis(300));
/// assert_eq!(budget.max_concurrent(), 64);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerBudget {
    max_concurrent: usize,
    max_per_second: u32,
    max_per_client: u32,
    deadline: Duration,
}

impl AnswerBudget {
    /// 64 answers at once, 100 per second, 8 of them to one client, 1 second for each.
    #[must_use]
    pub const fn new() -> Self {
        Self { max_concurrent: 64, max_per_second: 100, max_per_client: 8, deadline: Duration::from_secs(1) }
    }

    /// Bounds the answers under way at once; 0 means none is given.
    #[must_use]
    pub const fn with_max_concurrent(mut self, answers: usize) -> Self {
        self.max_concurrent = answers;
        self
    }

    /// Bounds the answers begun per second, averaged, with bursts of one second's worth; 0 means none is given.
    #[must_use]
    pub const fn with_max_per_second(mut self, answers: u32) -> Self {
        self.max_per_second = answers;
        self
    }

    /// Bounds the answers to one client: of those that are under way or were begun within the last second, no more than
    /// this many are its own. 0 means none is given.
    ///
    /// Without it one client that opens connections and says nothing would hold all places until each answer's deadline,
    /// and nobody else would be told why. An IPv6 client is a /64 network here, whatever it is to the limiter.
    #[must_use]
    pub const fn with_max_per_client(mut self, answers: u32) -> Self {
        self.max_per_client = answers;
        self
    }

    /// Bounds the time for one answer, from the rejection to the close.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Answers that may be under way at once.
    #[must_use]
    pub const fn max_concurrent(&self) -> usize {
        // More permits than this and Tokio's semaphore panics.
        if self.max_concurrent > tokio::sync::Semaphore::MAX_PERMITS {
            tokio::sync::Semaphore::MAX_PERMITS
        } else {
            self.max_concurrent
        }
    }

    /// Answers that may be begun per second.
    #[must_use]
    pub const fn max_per_second(&self) -> u32 {
        self.max_per_second
    }

    /// Answers that one client may have, at once and per second.
    #[must_use]
    pub const fn max_per_client(&self) -> u32 {
        self.max_per_client
    }

    /// Time for one answer.
    #[must_use]
    pub const fn deadline(&self) -> Duration {
        self.deadline
    }
}

impl Default for AnswerBudget {
    /// [`AnswerBudget::new`].
    fn default() -> Self {
        Self::new()
    }
}

/// A token bucket that holds one second's worth and starts full.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    refilled: Option<Instant>,
    tokens: f64,
}

impl Bucket {
    pub(super) fn take(&mut self, per_second: u32) -> bool {
        let rate = f64::from(per_second);
        let now = Instant::now();
        let refill = self.refilled.map_or(rate, |last| now.saturating_duration_since(last).as_secs_f64() * rate);
        self.refilled = Some(now);
        self.tokens = (self.tokens + refill).min(rate);
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn a_bucket_gives_one_second_worth_and_then_what_has_been_earned() {
        let mut bucket = Bucket::default();
        let taken = |bucket: &mut Bucket| (0..1000).filter(|_| bucket.take(10)).count();
        assert_eq!(taken(&mut bucket), 10);
        assert_eq!(taken(&mut bucket), 0);

        advance(Duration::from_millis(350)).await;
        assert_eq!(taken(&mut bucket), 3);

        advance(Duration::from_secs(3600)).await;
        assert_eq!(taken(&mut bucket), 10, "an idle hour earns no more than a full bucket");
    }

    #[tokio::test(start_paused = true)]
    async fn a_bucket_of_zero_gives_nothing() {
        let mut bucket = Bucket::default();
        advance(Duration::from_secs(10)).await;
        assert!(!bucket.take(0));
    }
}
