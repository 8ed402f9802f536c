//! Behind HTTP proxies, connections are the proxies'; what a client has open is requests.
//!
//! An HTTP proxy carries the requests of many clients over few connections, so the limit on connections says nothing
//! about a client there. [`LimitRequestsLayer`] holds a permit for each request, from its arrival to the end of its
//! response's body, for the client that trusted proxies name in `X-Forwarded-For` or `Forwarded`
//! ([RFC 7239](https://www.rfc-editor.org/rfc/rfc7239)).
//!
//! Both headers are written by everybody on the way, the client first. [`Forwarded`] therefore reads from the right,
//! where the trusted proxies write, and only when the connection comes from a trusted network.
//!
//! # Examples
//!
//! At most 4 requests in flight per client, behind one load balancer:
//!
//! ```
//! use axum::{Router, extract::ConnectInfo, routing::get};
//! use connlimit::{Config, Limiter};
//! use connlimit_http::forwarded::{Forwarded, LimitRequestsLayer};
//! use core::num::NonZeroUsize;
//! use ipnet::IpNet;
//! use std::net::SocketAddr;
//! use tokio::net::TcpListener;
//!
//! # async fn serve(socket: TcpListener) -> Result<(), Box<dyn std::error::Error>> {
//! let trusted: IpNet = "10.1.2.0/24".parse()?;
//! let forwarded = Forwarded::x_forwarded_for(NonZeroUsize::MIN, [trusted]);
//! let limiter = Limiter::new(Config::new(4));
//! let app = Router::new()
//!     .route("/", get(|| async { "hello" }))
//!     .layer(
//!         LimitRequestsLayer::new(limiter, forwarded)
//!             .peer_from(|extensions| extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0)),
//!     );
//! axum::serve(socket, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
//! # Ok(())
//! # }
//! ```

mod body;
mod header;
mod layer;

pub use body::LimitedBody;
pub use header::{Forwarded, ForwardedError};
pub use layer::{LimitRequests, LimitRequestsLayer, LimitedResponse};
