//! How long an accept loop waits when the machine is out of descriptors or memory.
//!
//! Without a pause the loop would spin: the connection stays in the backlog, so the next attempt fails at once.

use core::time::Duration;

/// The pauses of one accept loop that meets [`AcceptError::Exhausted`](super::AcceptError::Exhausted): 5 ms, doubling
/// up to 80 ms while it lasts.
///
/// Short enough that a descriptor that comes free is used soon; long enough that waiting costs a dozen calls a second.
/// The listener of this module and those of `connlimit-tokio` pause by it; so may loops of your own.
///
/// # Examples
///
/// ```
/// use connlimit::net::ExhaustionPause;
/// use std::time::Duration;
///
/// let mut pause = ExhaustionPause::new();
/// assert_eq!(pause.lengthen(), ExhaustionPause::SHORTEST);
/// assert_eq!(pause.lengthen(), Duration::from_millis(10));
///
/// pause.reset(); // something was accepted
/// assert_eq!(pause.lengthen(), ExhaustionPause::SHORTEST);
/// ```
#[derive(Clone, Debug, Default)]
pub struct ExhaustionPause {
    last: Option<Duration>,
}

impl ExhaustionPause {
    /// The first pause.
    pub const SHORTEST: Duration = Duration::from_millis(5);
    /// The longest pause.
    pub const LONGEST: Duration = Duration::from_millis(80);

    /// Nothing has failed yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { last: None }
    }

    /// The pause to make now: the shortest one after a success, twice the last one after a failure.
    #[must_use = "the loop spins unless it pauses"]
    pub fn lengthen(&mut self) -> Duration {
        let pause = self.last.map_or(Self::SHORTEST, |last| (last * 2).min(Self::LONGEST));
        self.last = Some(pause);
        pause
    }

    /// Something was accepted: the next pause is short again.
    pub const fn reset(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_start_over_after_a_success() {
        let mut pause = ExhaustionPause::new();
        let seen: Vec<_> = (0..7).map(|_| pause.lengthen().as_millis()).collect();
        assert_eq!(seen, [5, 10, 20, 40, 80, 80, 80]);
        pause.reset();
        assert_eq!(pause.lengthen(), ExhaustionPause::SHORTEST);
    }
}
