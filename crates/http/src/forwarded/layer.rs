//! One permit for each request in flight.

use super::{Forwarded, LimitedBody};
use crate::{
    ConnectionInfo,
    peer::{PeerFrom, attached},
};
use connlimit::{Client, Limiter, Permit, Rejected};
use core::{
    fmt,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
};
use http::{Extensions, Request, Response, StatusCode};
use pin_project_lite::pin_project;
use std::sync::Arc;
use tower_layer::Layer;
use tower_service::Service;

/// Limits the requests that a client has in flight, behind HTTP proxies.
///
/// The client is found by a [`Forwarded`], starting from the peer that the server attached to the request: a
/// [`PeerAddr`](crate::PeerAddr), or what [`peer_from`](Self::peer_from) finds. What is rejected is answered with an empty
/// body and
///
/// - `429 Too Many Requests` over the client's limit, or 503 when the server is full for everybody, or 403 when the
///   client is denied;
/// - `400 Bad Request` when a trusted proxy names no client;
/// - `500 Internal Server Error` when no peer is attached, which is a mistake in the server's set-up.
///
/// Handlers find a [`ConnectionInfo`] in the request's extensions, whose count is that of requests, and the permit as
/// an `Arc<Permit>`. A request that is upgraded is over when the response is: move the `Arc<Permit>` into the
/// upgraded connection to have it counted.
///
/// See the [module](super) for an example.
#[derive(Clone)]
pub struct LimitRequestsLayer {
    limiter: Limiter,
    forwarded: Forwarded,
    peer_from: Arc<PeerFrom>,
}

impl LimitRequestsLayer {
    /// Counts requests with `limiter`, which should be another than the one that counts connections.
    #[must_use]
    pub fn new(limiter: Limiter, forwarded: Forwarded) -> Self {
        Self { limiter, forwarded, peer_from: Arc::new(attached) }
    }

    /// Finds the peer of a request elsewhere in its extensions than in a [`PeerAddr`](crate::PeerAddr).
    #[must_use]
    pub fn peer_from(mut self, peer: impl Fn(&Extensions) -> Option<SocketAddr> + Send + Sync + 'static) -> Self {
        self.peer_from = Arc::new(peer);
        self
    }

    /// What the request has to be rejected with, if it has.
    fn admit<B>(&self, request: &mut Request<B>) -> Result<Arc<Permit>, StatusCode> {
        let peer = (self.peer_from)(request.extensions()).ok_or(StatusCode::INTERNAL_SERVER_ERROR)?;
        let addr = self.forwarded.client(peer.ip(), request.headers());
        let client = Client::from(addr.map_err(|_| StatusCode::BAD_REQUEST)?);
        let permit = self.limiter.try_acquire(client);
        let permit = Arc::new(permit.map_err(status)?);
        let info = ConnectionInfo::new(client, self.limiter.clone());
        request.extensions_mut().insert(info);
        request.extensions_mut().insert(Arc::clone(&permit));
        Ok(permit)
    }
}

fn status(reason: Rejected) -> StatusCode {
    StatusCode::from_u16(reason.http_status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
}

impl<S> Layer<S> for LimitRequestsLayer {
    type Service = LimitRequests<S>;

    fn layer(&self, inner: S) -> LimitRequests<S> {
        LimitRequests { inner, layer: self.clone() }
    }
}

impl fmt::Debug for LimitRequestsLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitRequestsLayer")
            .field("limiter", &self.limiter)
            .field("forwarded", &self.forwarded)
            .finish_non_exhaustive()
    }
}

/// The service that [`LimitRequestsLayer`] makes.
#[derive(Clone, Debug)]
pub struct LimitRequests<S> {
    inner: S,
    layer: LimitRequestsLayer,
}

impl<S, B, R> Service<Request<B>> for LimitRequests<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<LimitedBody<R>>;
    type Error = S::Error;
    type Future = LimitedResponse<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        match self.layer.admit(&mut request) {
            Ok(permit) => LimitedResponse {
                response: Some(self.inner.call(request)),
                permit: Some(permit),
                rejection: StatusCode::OK,
            },
            Err(rejection) => LimitedResponse { response: None, permit: None, rejection },
        }
    }
}

pin_project! {
    /// The response of [`LimitRequests`], to come.
    #[derive(Debug)]
    pub struct LimitedResponse<F> {
        #[pin]
        response: Option<F>,
        permit: Option<Arc<Permit>>,
        // What is answered when there is no response to wait for.
        rejection: StatusCode,
    }
}

impl<F, B, E> Future for LimitedResponse<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<LimitedBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(response) = this.response.as_pin_mut() else {
            let mut rejection = Response::new(LimitedBody::empty());
            *rejection.status_mut() = *this.rejection;
            return Poll::Ready(Ok(rejection));
        };
        let response = ready!(response.poll(cx))?;
        let permit = this.permit.take();
        Poll::Ready(Ok(response.map(|body| LimitedBody::new(body, permit))))
    }
}
