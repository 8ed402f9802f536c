//! Lock-free, exact limits on concurrent connections per client IP.

mod client;
mod config;
mod hash;
mod limiter;
mod rejected;

pub use client::Client;
pub use config::{Config, ConfigError, WhenFull};
pub use limiter::{Limiter, Permit, Session};
pub use rejected::Rejected;
