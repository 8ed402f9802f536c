//! A layer that tells handlers who their client is and how many connections it has open.
//!
//! It limits nothing; the listener does that. It is for handlers that want to be stingy with a client that has many
//! connections, and for logs.

mod layer;

pub use layer::{ConnectionInfoLayer, ConnectionInfoService};

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
///     format!("you have {} connections open", connection.open())
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
    pub fn open(&self) -> u32 {
        self.limiter.num_open(self.client)
    }
}
