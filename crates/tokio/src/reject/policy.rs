//! What is done with a connection over its limit.

use super::Rejection;
use core::{fmt, pin::Pin, time::Duration};

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
    /// Needs an [`AnswerBudget`](crate::AnswerBudget); the default one is used unless a [`Rejecter`](crate::Rejecter)
    /// brings another.
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
pub struct Handler<S>(pub(super) Answer<S>);

pub(super) type Answer<S> = Box<dyn Fn(S, Rejection) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

impl<S> fmt::Debug for Handler<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handler").finish_non_exhaustive()
    }
}
