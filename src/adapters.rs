//! Where permits meet real connections. Each adapter is a file of its own and uses the public API only.

mod accept_error;
mod limited;
pub mod net;
#[cfg(feature = "tokio")]
mod refuse;
#[cfg(feature = "tokio")]
pub mod tokio;

pub use limited::Limited;
