//! How a connection over its limit is turned away.
//!
//! Answering is work done for somebody who has just been told that they ask for too much, so it is bounded three
//! times: answers at once, answers per second, and time for each. Of the first two each client has a part and no more.
//! Beyond that the connection is closed. (A well-known limiter's built-in 429 had no such bound and its largest user had
//! to switch it off.)

mod answer;
mod budget;
mod policy;
mod shares;

pub use budget::AnswerBudget;
pub use policy::{Handler, Reject};

use crate::Transport;
use budget::Bucket;
use connlimit::{Client, Permit, Rejected};
use core::fmt;
use shares::Shares;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Whom a rejection concerns, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rejection {
    /// The client that was turned away.
    pub client: Client,
    /// Why; its text may be shown to the client.
    pub reason: Rejected,
}

/// Turns connections away, within a budget. Clones share the budget and the counts.
///
/// # Examples
///
/// One budget for all listeners of a server:
///
/// ```
/// use connlimit_tokio::{AnswerBudget, Reject, Rejecter};
/// use tokio::net::TcpStream;
///
/// let budget = AnswerBudget::new().with_max_concurrent(32);
/// let rejecter: Rejecter<TcpStream> =
///     Rejecter::new(Reject::Http429 { retry_after: None }, budget);
/// assert_eq!(rejecter.counts().answered, 0);
/// ```
pub struct Rejecter<S>(Arc<Inner<S>>);

struct Inner<S> {
    reject: Reject<S>,
    budget: AnswerBudget,
    slots: Arc<Semaphore>,
    ledger: Mutex<Ledger>,
}

/// Taken for a few instructions, on the way of rejected connections only.
struct Ledger {
    bucket: Bucket,
    shares: Shares,
    counts: RejectCounts,
}

/// Rejections so far, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RejectCounts {
    /// Closed, because that is the policy.
    pub closed: u64,
    /// Reset.
    pub reset: u64,
    /// Handed to the answering task; the client may have left before the answer.
    pub answered: u64,
    /// Closed, because the budget for answers was used up.
    pub over_budget: u64,
    /// Closed, because the client had had its [part](AnswerBudget::with_max_per_client) of the answers.
    pub over_share: u64,
}

impl RejectCounts {
    /// All rejections.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.closed + self.reset + self.answered + self.over_budget + self.over_share
    }
}

impl<S: Transport> Rejecter<S> {
    /// Turns connections away as `reject` says, spending no more on answers than `budget`.
    #[must_use]
    pub fn new(reject: Reject<S>, budget: AnswerBudget) -> Self {
        Self(Arc::new(Inner {
            slots: Arc::new(Semaphore::new(budget.max_concurrent())),
            ledger: Mutex::new(Ledger {
                bucket: Bucket::default(),
                shares: Shares::new(budget.max_per_client()),
                counts: RejectCounts::default(),
            }),
            reject,
            budget,
        }))
    }

    /// Turns `stream` away. Returns at once: whatever takes time happens in a task of its own.
    ///
    /// Outside a Tokio runtime nothing can be answered, and the connection is closed.
    pub fn reject(&self, stream: S, rejection: Rejection) {
        match &self.0.reject {
            Reject::Close => self.0.count(|counts| &mut counts.closed),
            Reject::Reset => {
                self.0.count(|counts| &mut counts.reset);
                // A peer that is gone already cannot be reset; dropping the stream closes it in any case.
                let _gone = stream.reset_on_drop();
            }
            Reject::Http429 { .. } | Reject::Handler(_) => self.answer(stream, rejection),
        }
    }

    fn answer(&self, stream: S, rejection: Rejection) {
        let Ok(runtime) = Handle::try_current() else {
            return self.0.count(|counts| &mut counts.over_budget);
        };
        let Some(place) = self.0.admit_answer(rejection.client) else { return };
        let this = self.clone();
        runtime.spawn(async move {
            let _place = place;
            let _late = timeout(this.0.budget.deadline(), this.0.speak(stream, rejection)).await;
        });
    }

    /// Rejections so far.
    #[must_use]
    pub fn counts(&self) -> RejectCounts {
        self.0.with_ledger(|ledger| ledger.counts)
    }
}

impl<S: Transport> Inner<S> {
    async fn speak(&self, stream: S, rejection: Rejection) {
        match &self.reject {
            Reject::Http429 { retry_after } => {
                let patience = self.budget.deadline() / 2;
                // Whether the client is there to hear it is its own affair.
                let _gone = answer::http(stream, rejection.reason, *retry_after, patience).await;
            }
            Reject::Handler(Handler(answer)) => answer(stream, rejection).await,
            Reject::Close | Reject::Reset => {}
        }
    }

    fn with_ledger<T>(&self, use_it: impl FnOnce(&mut Ledger) -> T) -> T {
        // Nothing in here panics, and counts are right after any prefix of it.
        use_it(&mut self.ledger.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn count(&self, which: impl FnOnce(&mut RejectCounts) -> &mut u64) {
        self.with_ledger(|ledger| *which(&mut ledger.counts) += 1);
    }

    fn admit_answer(&self, client: Client) -> Option<Place> {
        self.with_ledger(|Ledger { bucket, shares, counts }| {
            // A client above its part uses up nothing of the others'.
            let Some(share) = shares.take(client) else {
                counts.over_share += 1;
                return None;
            };
            let slot = Arc::clone(&self.slots).try_acquire_owned();
            let (Ok(slot), true) = (slot, bucket.take(self.budget.max_per_second())) else {
                counts.over_budget += 1;
                return None;
            };
            counts.answered += 1;
            Some(Place { _slot: slot, _share: shares.begun(share) })
        })
    }
}

/// What an answer under way has of the budget.
struct Place {
    _slot: OwnedSemaphorePermit,
    _share: Arc<Permit>,
}

impl<S: Transport> Default for Rejecter<S> {
    /// Closes.
    fn default() -> Self {
        Reject::Close.into()
    }
}

impl<S: Transport> From<Reject<S>> for Rejecter<S> {
    /// With the default budget.
    fn from(reject: Reject<S>) -> Self {
        Self::new(reject, AnswerBudget::default())
    }
}

impl<S> Clone for Rejecter<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> fmt::Debug for Rejecter<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejecter")
            .field("reject", &self.0.reject)
            .field("budget", &self.0.budget)
            .finish_non_exhaustive()
    }
}
