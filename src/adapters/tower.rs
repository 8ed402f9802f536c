//! A layer that tells handlers who their client is, how many connections it has open, and whether those are many.
//!
//! It limits nothing; the listener does that. It is for handlers that want to be stingy with a client that has many
//! connections, and for logs.

mod layer;

pub use layer::{ConnectionInfoLayer, ConnectionInfoService};

use crate::stats::Usage;
use crate::{Client, Limiter};

/// Who a request came from, in its extensions.
///
/// # Examples
///
/// A handler in axum, served with `into_make_service_with_connect_info::<PeerAddr>()`:
///
/// ```
/// use axum::{Extension, Router, routing::get};
/// use connlimit::{Config, Limiter, tower::{ConnectionInfo, ConnectionInfoLayer}};
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
    /// zone](crate::Config::with_soft_percent) a handler may give it less: a shorter keep-alive, a smaller page.
    ///
    /// # Examples
    ///
    /// ```
    /// use axum::{Extension, http::header::{CONNECTION, HeaderName}};
    /// use connlimit::{stats::Zone, tower::ConnectionInfo};
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
