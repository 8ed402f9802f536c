//! Where permits meet real connections. Each adapter is a file of its own and uses the public API only.

mod accept_error;
#[cfg(feature = "axum")]
pub mod axum;
#[cfg(any(feature = "metrics", feature = "prometheus-client"))]
mod figures;
#[cfg(feature = "forwarded")]
pub mod forwarded;
#[cfg(any(feature = "forwarded", feature = "tokio"))]
mod http_status;
#[cfg(feature = "hyper")]
pub mod hyper;
mod limited_stream;
#[cfg(feature = "metrics")]
pub mod metrics;
pub mod net;
#[cfg(any(feature = "axum", feature = "tower"))]
mod peer;
#[cfg(feature = "prometheus-client")]
pub mod prometheus;
#[cfg(feature = "proxy-protocol")]
pub mod proxy;
#[cfg(feature = "tokio")]
mod reject;
#[cfg(feature = "tokio")]
pub mod tokio;
#[cfg(feature = "tonic")]
pub mod tonic;
#[cfg(feature = "tower")]
pub mod tower;
#[cfg(feature = "tracing")]
pub mod tracing;

pub use limited_stream::LimitedStream;
#[cfg(any(feature = "axum", feature = "tower"))]
pub use peer::PeerAddr;
