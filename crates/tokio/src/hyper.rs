//! A server loop for hyper: HTTP/1 and HTTP/2, upgrades, and an end that lets requests finish, but not for ever.
//!
//! The permit lives in the connection. One HTTP/2 connection is one permit, however many streams it has, and an
//! upgraded connection (WebSocket, `CONNECT`) keeps its permit until it ends.
//!
//! A loop of your own needs nothing from here: wrap what
//! [`LimitedListener::accept`](crate::LimitedListener::accept) yields in a `TokioIo`.

use crate::{LimitedListener, Listen};
use connlimit::Acquire;
use core::{error::Error, future::poll_fn, pin::pin, task::Poll, time::Duration};
use hyper::{
    Request, Response,
    body::{Body, Incoming},
    service::Service,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use std::io;
use tokio::{task::JoinSet, time::timeout};

/// How long [`serve`] waits at its end for requests under way: 10 seconds, which leaves room in the 30 that Kubernetes
/// gives a container.
pub const GRACE: Duration = Duration::from_secs(10);

/// Its [`Service`] is part of the interface.
pub use ::hyper;
/// Its [`Builder`](auto::Builder) is part of the interface.
pub use hyper_util;

/// Serves each admitted connection with a service of its own until `shutdown` is ready, and then waits for the
/// requests under way, for the time of [`GRACE`] at most.
///
/// `service` is called for each connection with the address of its peer. `builder` sets protocols and timeouts;
/// [`builder()`] is a good start.
///
/// After `shutdown`, nothing more is accepted, and idle connections are closed. Half a request, or an upstream that does
/// not answer, holds up the end until the grace is over: what is still there is then dropped, and its permits are
/// released. [`serve_with_grace`] takes another time. Dropping the future drops its connections at once.
///
/// Connections that were upgraded belong to the task that has them: they are not waited for, nor dropped.
///
/// # Errors
///
/// Those of [`LimitedListener::accept`]. An error on one connection ends that connection only.
///
/// # Examples
///
/// ```
/// use connlimit::{Config, Limiter};
/// use connlimit_tokio::LimitedListener;
/// use http_body_util::Full;
/// use hyper::{Request, Response, body::{Bytes, Incoming}, service::service_fn};
/// use std::convert::Infallible;
/// use tokio::net::TcpListener;
///
/// # async fn serve(socket: TcpListener) -> std::io::Result<()> {
/// let listener = LimitedListener::new(socket, Limiter::new(Config::new(16)));
/// let service = |peer: &std::net::SocketAddr| {
///     let peer = *peer;
///     service_fn(move |_: Request<Incoming>| async move {
///         Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(format!("hello {peer}"))))
///     })
/// };
/// let ctrl_c = async { drop(tokio::signal::ctrl_c().await) };
/// connlimit_tokio::hyper::serve(listener, connlimit_tokio::hyper::builder(), service, ctrl_c).await
/// # }
/// ```
pub async fn serve<L, M, S, B, A>(
    listener: LimitedListener<L, A>,
    builder: auto::Builder<TokioExecutor>,
    service: M,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()>
where
    L: Listen,
    A: Acquire,
    M: FnMut(&L::Addr) -> S,
    S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    serve_with_grace(listener, builder, service, shutdown, GRACE).await
}

/// [`serve`], with `grace` for the requests that are under way when `shutdown` is ready. With none they are dropped at
/// once; with [`Duration::MAX`] the client decides when the server ends.
///
/// # Errors
///
/// As for [`serve`].
pub async fn serve_with_grace<L, M, S, B, A>(
    mut listener: LimitedListener<L, A>,
    builder: auto::Builder<TokioExecutor>,
    mut service: M,
    shutdown: impl Future<Output = ()>,
    grace: Duration,
) -> io::Result<()>
where
    L: Listen,
    A: Acquire,
    M: FnMut(&L::Addr) -> S,
    S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let connections = GracefulShutdown::new();
    let mut tasks = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let next = poll_fn(|cx| {
            // What went wrong on one connection is between it and its peer.
            while let Poll::Ready(Some(_ended)) = tasks.poll_join_next(cx) {}
            match shutdown.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(None),
                Poll::Pending => listener.poll_accept(cx).map(Some),
            }
        });
        let Some(accepted) = next.await else { break };
        let (stream, addr) = accepted?;
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service(&addr)).into_owned();
        tasks.spawn(connections.watch(connection));
    }
    drop(listener);
    if timeout(grace, connections.shutdown()).await.is_err() {
        tasks.abort_all();
    }
    // So that every permit has been released when this returns.
    while tasks.join_next().await.is_some() {}
    Ok(())
}

/// HTTP/1 and HTTP/2 on Tokio, with the timer that hyper's default timeout for request heads needs.
#[must_use]
pub fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder.http2().timer(TokioTimer::new());
    builder
}
