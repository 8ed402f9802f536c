//! Finds the client of a request in what the server has attached to it.

use crate::{ConnectionInfo, peer::attached};
use connlimit::{Client, Limiter};
use core::{
    fmt,
    net::SocketAddr,
    task::{Context, Poll},
};
use http::{Extensions, Request};
use std::sync::Arc;
use tower_layer::Layer;
use tower_service::Service;

/// Adds a [`ConnectionInfo`] to each request whose client is known.
///
/// The client is the peer that the server attached to the request: a [`PeerAddr`](crate::PeerAddr), or what
/// [`peer_from`](Self::peer_from) finds. For peers without an address, or to decide otherwise, say
/// [`count_as`](Self::count_as). It has to name the client that the listener counts.
///
/// A request that comes with none of these passes unchanged.
#[derive(Clone)]
pub struct ConnectionInfoLayer {
    limiter: Limiter,
    count_as: Arc<CountAs>,
}

type CountAs = dyn Fn(&Extensions) -> Option<Client> + Send + Sync;

impl ConnectionInfoLayer {
    /// Reports what `limiter` has counted.
    #[must_use]
    pub fn new(limiter: Limiter) -> Self {
        Self { limiter, count_as: Arc::new(|extensions| attached(extensions).map(Client::from)) }
    }

    /// Finds the peer of a request elsewhere in its extensions than in a [`PeerAddr`](crate::PeerAddr).
    ///
    /// # Examples
    ///
    /// ```
    /// use axum::extract::ConnectInfo;
    /// use connlimit::{Config, Limiter};
    /// use connlimit_http::ConnectionInfoLayer;
    /// use std::net::SocketAddr;
    ///
    /// let layer = ConnectionInfoLayer::new(Limiter::new(Config::new(16)))
    ///     .peer_from(|extensions| extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0));
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn peer_from(self, peer: impl Fn(&Extensions) -> Option<SocketAddr> + Send + Sync + 'static) -> Self {
        self.count_as(move |extensions| peer(extensions).map(Client::from))
    }

    /// Decides who a request came from.
    ///
    /// # Examples
    ///
    /// ```
    /// use connlimit::{Client, Config, Limiter};
    /// use connlimit_http::ConnectionInfoLayer;
    ///
    /// #[derive(Clone)]
    /// struct Tenant(String);
    ///
    /// let layer = ConnectionInfoLayer::new(Limiter::new(Config::new(16)))
    ///     .count_as(|extensions| extensions.get().map(|Tenant(name)| Client::named(name)));
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn count_as(mut self, client: impl Fn(&Extensions) -> Option<Client> + Send + Sync + 'static) -> Self {
        self.count_as = Arc::new(client);
        self
    }
}

impl<S> Layer<S> for ConnectionInfoLayer {
    type Service = ConnectionInfoService<S>;

    fn layer(&self, inner: S) -> ConnectionInfoService<S> {
        ConnectionInfoService { inner, layer: self.clone() }
    }
}

impl fmt::Debug for ConnectionInfoLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionInfoLayer").field("limiter", &self.limiter).finish_non_exhaustive()
    }
}

/// The service that [`ConnectionInfoLayer`] makes.
#[derive(Clone, Debug)]
pub struct ConnectionInfoService<S> {
    inner: S,
    layer: ConnectionInfoLayer,
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for ConnectionInfoService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        if let Some(client) = (self.layer.count_as)(request.extensions()) {
            let info = ConnectionInfo::new(client, self.layer.limiter.clone());
            request.extensions_mut().insert(info);
        }
        self.inner.call(request)
    }
}
