//! Where permits meet real connections. Each adapter is a file of its own and uses the public API only.

mod accept_error;
mod limited;
pub mod net;

pub use limited::Limited;
