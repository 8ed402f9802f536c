//! A part of the budget for each client, so that none uses up the answers of all.
//!
//! A limiter counts them, as it counts connections: in bounded memory, whoever asks.

use connlimit::{Client, Config, Limiter, Permit};
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::time::Instant;

/// Answers of each client that are under way or were begun within the last second.
pub(super) struct Shares {
    limiter: Limiter,
    /// The latter, oldest first: no more than are begun in a second, and until the next rejection those before.
    recent: VecDeque<(Instant, Arc<Permit>)>,
}

const RECENT: Duration = Duration::from_secs(1);

impl Shares {
    pub(super) fn new(max_per_client: u32) -> Self {
        let config = Config::new(max_per_client);
        // A network of IPv6 is one client: its addresses cost nothing.
        let config = config.clone().with_ipv6_prefix(64).unwrap_or(config);
        Self { limiter: Limiter::new(config), recent: VecDeque::new() }
    }

    /// Takes a part for an answer to `client`, unless it has its parts.
    pub(super) fn take(&mut self, client: Client) -> Option<Permit> {
        let now = Instant::now();
        while self.recent.front().is_some_and(|(begun, _)| now.saturating_duration_since(*begun) >= RECENT) {
            self.recent.pop_front();
        }
        self.limiter.try_acquire(client).ok()
    }

    /// The answer begins now. Its part is free again when it has ended and a second has passed.
    pub(super) fn begun(&mut self, share: Permit) -> Arc<Permit> {
        let share = Arc::new(share);
        self.recent.push_back((Instant::now(), Arc::clone(&share)));
        share
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv6Addr;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn a_part_is_free_when_its_answer_has_ended_and_a_second_has_passed() {
        let mut shares = Shares::new(2);
        let (one, two) = (Client::named("one"), Client::named("two"));
        let short = shares.take(one).map(|share| shares.begun(share));
        let long = shares.take(one).map(|share| shares.begun(share));
        assert!(short.is_some() && long.is_some());
        assert!(shares.take(one).is_none());
        assert!(shares.take(two).is_some(), "another client has its own");

        drop(short);
        advance(RECENT / 2).await;
        assert!(shares.take(one).is_none(), "answers of no length are bounded per second");
        advance(RECENT / 2).await;
        let next = shares.take(one).map(|share| shares.begun(share));
        assert!(next.is_some() && shares.take(one).is_none(), "the long one still has its part");
        assert_eq!(shares.recent.len(), 1);
        drop(long);
        assert!(shares.take(one).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn the_addresses_of_an_ipv6_network_share_a_part() {
        let mut shares = Shares::new(1);
        let host = |last| Client::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last));
        let _first = shares.take(host(1)).map(|share| shares.begun(share));
        assert!(shares.take(host(2)).is_none());
    }
}
