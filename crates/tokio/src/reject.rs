//! How a connection over its limit is turned away.
//!
//! Answering is work done for somebody who has just been told that they ask for too much, so it is bounded three
//! times: answers at once, answers per second, and time for each. Beyond that the connection is closed. (A well-known
//! limiter's built-in 429 had no such bound and its largest user had to switch it off.)

mod answer;
mod budget;

pub use budget::AnswerBudget;

use crate::Transport;
use budget::Bucket;
use connlimit::{Client, Rejected};
use core::{fmt, pin::Pin, time::Duration};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How a connection over its limit is turned away.
///
/// # Examples
///
/// ```
/// use connlimit::{Config, Limiter};
/// use connlimit_tokio::{LimitedListener, Reject};
/// use std::time::Duration;
/// use tokio::net::TcpListener;
///
/// fn polite(socket: TcpListener) -> LimitedListener<TcpListener> {
///     let retry_after = Some(Duration::from_secs(5));
///     LimitedListener::new(socket, Limiter::new(Config::new(16)))
///         .reject_with(Reject::Http429 { retry_after })
/// }
/// ```
#[non_exhaustive]
#[derive(Default)]
pub enum Reject<S> {
    /// Closes the connection.
    #[default]
    Close,
    /// Resets the connection (`SO_LINGER` of zero): nothing of it is left on this side, not even a `TIME_WAIT`.
    /// Sockets without a reset are closed.
    Reset,
    /// Answers HTTP/1 with `429 Too Many Requests`
    /// ([RFC 6585, section 4](https://www.rfc-editor.org/rfc/rfc6585#section-4)) and HTTP/2 with a `GOAWAY` frame that
    /// says `ENHANCE_YOUR_CALM` ([RFC 9113, section 7](https://www.rfc-editor.org/rfc/rfc9113#section-7)). A client
    /// that says nothing gets the 429 as well; one that begins with anything else, such as TLS, is closed.
    ///
    /// When the limit was not the client's own the code is another: 503 when the server is full for everybody, 403
    /// when the client is denied.
    ///
    /// Needs an [`AnswerBudget`]; the default one is used unless a [`Rejecter`] brings another.
    Http429 {
        /// The `Retry-After` header, in whole seconds, rounded up.
        retry_after: Option<Duration>,
    },
    /// Lets a function of yours answer, within the same budget. Made by [`Reject::handler`].
    Handler(Handler<S>),
}

impl<S> Reject<S> {
    /// Lets `answer` speak to the client. It runs in a task of its own, is cut off at the budget's deadline and is not
    /// called at all beyond the budget: the connection is closed then.
    ///
    /// # Examples
    ///
    /// ```
    /// use connlimit_tokio::Reject;
    /// use tokio::{io::AsyncWriteExt, net::TcpStream};
    ///
    /// let reject = Reject::handler(|mut stream: TcpStream, rejection| async move {
    ///     let line = format!("421 {}\r\n", rejection.reason);
    ///     let _gone = stream.write_all(line.as_bytes()).await;
    /// });
    /// # let _: Reject<TcpStream> = reject;
    /// ```
    pub fn handler<F, Fut>(answer: F) -> Self
    where
        F: Fn(S, Rejection) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Self::Handler(Handler(Box::new(move |stream, rejection| Box::pin(answer(stream, rejection)))))
    }
}

impl<S> fmt::Debug for Reject<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Close => f.write_str("Close"),
            Self::Reset => f.write_str("Reset"),
            Self::Http429 { retry_after } => f.debug_struct("Http429").field("retry_after", retry_after).finish(),
            Self::Handler(handler) => handler.fmt(f),
        }
    }
}

/// A function that answers rejected clients; see [`Reject::handler`].
pub struct Handler<S>(Answer<S>);

type Answer<S> = Box<dyn Fn(S, Rejection) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

impl<S> fmt::Debug for Handler<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handler").finish_non_exhaustive()
    }
}

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
}

impl RejectCounts {
    /// All rejections.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.closed + self.reset + self.answered + self.over_budget
    }
}

impl<S: Transport> Rejecter<S> {
    /// Turns connections away as `reject` says, spending no more on answers than `budget`.
    #[must_use]
    pub fn new(reject: Reject<S>, budget: AnswerBudget) -> Self {
        Self(Arc::new(Inner {
            slots: Arc::new(Semaphore::new(budget.max_concurrent())),
            ledger: Mutex::new(Ledger { bucket: Bucket::default(), counts: RejectCounts::default() }),
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
        let (Ok(runtime), Ok(slot)) = (Handle::try_current(), Arc::clone(&self.0.slots).try_acquire_owned()) else {
            return self.0.count(|counts| &mut counts.over_budget);
        };
        if !self.0.admit_answer() {
            return;
        }
        let this = self.clone();
        runtime.spawn(async move {
            let _slot = slot;
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

    fn admit_answer(&self) -> bool {
        self.with_ledger(|Ledger { bucket, counts }| {
            let admitted = bucket.take(self.budget.max_per_second());
            if admitted {
                counts.answered += 1;
            } else {
                counts.over_budget += 1;
            }
            admitted
        })
    }
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
