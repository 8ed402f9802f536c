//! The peer of a request, as axum attaches it, and the layers of `connlimit-http` that look for it there.

use axum::{extract::ConnectInfo, http::Extensions};
use connlimit::Limiter;
use connlimit_http::{
    ConnectionInfoLayer,
    forwarded::{Forwarded, LimitRequestsLayer},
};
use core::net::SocketAddr;

/// The peer that axum attached to a request.
#[must_use]
pub fn attached_peer(extensions: &Extensions) -> Option<SocketAddr> {
    extensions.get().map(|ConnectInfo(addr)| *addr)
}

/// A layer that adds a [`ConnectionInfo`](connlimit_http::ConnectionInfo) to each request: who the client is, how many
/// connections it has open with `limiter`, and whether those are many.
///
/// # Examples
///
/// ```
/// use axum::{Extension, Router, routing::get};
/// use connlimit::{Config, Limiter};
/// use connlimit_axum::connection_info;
/// use connlimit_http::ConnectionInfo;
///
/// async fn count(Extension(connection): Extension<ConnectionInfo>) -> String {
///     format!("you have {} connections open", connection.open_connections())
/// }
///
/// let limiter = Limiter::new(Config::new(16));
/// let app: Router = Router::new()
///     .route("/", get(count))
///     .layer(connection_info(limiter));
/// ```
#[must_use]
pub fn connection_info(limiter: Limiter) -> ConnectionInfoLayer {
    ConnectionInfoLayer::new(limiter).peer_from(attached_peer)
}

/// A layer that limits the requests that a client has in flight, behind HTTP proxies; see
/// [`forwarded`](connlimit_http::forwarded).
///
/// # Examples
///
/// At most 4 requests in flight per client, behind one load balancer:
///
/// ```
/// use axum::{Router, routing::get};
/// use connlimit::{Config, Limiter};
/// use connlimit_axum::limit_requests;
/// use connlimit_http::{forwarded::Forwarded, ipnet::IpNet};
/// use core::num::NonZeroUsize;
///
/// let trusted: IpNet = "10.1.2.0/24".parse()?;
/// let forwarded = Forwarded::x_forwarded_for(NonZeroUsize::MIN, [trusted]);
/// let app: Router = Router::new()
///     .route("/", get(|| async { "hello" }))
///     .layer(limit_requests(Limiter::new(Config::new(4)), forwarded));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn limit_requests(limiter: Limiter, forwarded: Forwarded) -> LimitRequestsLayer {
    LimitRequestsLayer::new(limiter, forwarded).peer_from(attached_peer)
}
