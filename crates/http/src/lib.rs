//! Layers for tower, on top of [`connlimit`].
//!
//! [`ConnectionInfoLayer`] tells handlers who their client is, how many connections it has open, and whether those are
//! many. It limits nothing; the listener does that. It is for handlers that want to be stingy with a client that has
//! many connections, and for logs. [`forwarded`] limits requests in flight behind HTTP proxies.
//!
//! Both learn the peer of a request from its extensions: a [`PeerAddr`], or what [`peer_from`] is told to look for. The
//! crates `connlimit-axum` and `connlimit-tonic` make layers that know what those servers attach.
//!
//! [`peer_from`]: ConnectionInfoLayer::peer_from

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod forwarded;
mod layer;
mod peer;

pub use connlimit;
pub use http;
pub use http_body;
pub use ipnet;
pub use layer::{ConnectionInfoLayer, ConnectionInfoService};
pub use peer::PeerAddr;
pub use tower_layer;
pub use tower_service;

use connlimit::stats::Usage;
use connlimit::{Client, Limiter};

/// Who a request came from, in its extensions.
///
/// # Examples
///
/// A handler in axum, where `connlimit_axum::connection_info` makes the layer:
///
/// ```
/// use axum::{Extension, Router, routing::get};
/// use connlimit::{Config, Limiter};
/// use connlimit_http::{ConnectionInfo, ConnectionInfoLayer};
///
/// async fn count(Extension(connection): Extension<ConnectionInfo>) -> String {
///     format!("you have {} connections open", connection.open_connections())
/// }
///
/// let limiter = Limiter::new(Config::new(16));
/// let app: Router = Router::new()
///     .route("/", get(count))
///     .layer(ConnectionInfoLayer::new(limiter));
/// ```
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    client: Client,
    limiter: Limiter,
}

impl ConnectionInfo {
    pub(crate) const fn new(client: Client, limiter: Limiter) -> Self {
        Self { client, limiter }
    }

    /// Who the connection is counted for.
    #[must_use]
    pub const fn client(&self) -> Client {
        self.client
    }

    /// Connections that the client has open right now. Other threads open and close them meanwhile.
    #[must_use]
    pub fn open_connections(&self) -> u32 {
        self.limiter.open_connections(self.client)
    }

    /// What the client has open right now, of how many, and how near the nearest limit is. In the [soft
    /// zone](connlimit::Config::with_soft_percent) a handler may give it less: a shorter keep-alive, a smaller page.
    ///
    /// # Examples
    ///
    /// ```
    /// use axum::{Extension, http::header::{CONNECTION, HeaderName}};
    /// use connlimit::stats::Zone;
    /// use connlimit_http::ConnectionInfo;
    ///
    /// /// Ends the connection after this answer when its client has many.
    /// async fn hello(Extension(connection): Extension<ConnectionInfo>) -> (Option<[(HeaderName, &'static str); 1]>, String) {
    ///     let close = (connection.usage().zone == Zone::Soft).then_some([(CONNECTION, "close")]);
    ///     (close, "hello".into())
    /// }
    /// # axum::Router::<()>::new().route("/", axum::routing::get(hello));
    /// ```
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.limiter.usage(self.client)
    }
}

/// The code of this crate's README is compiled with the other examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
