//! One limit for a fleet.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod client;
mod clock;
mod driver;
pub mod engine;
mod fleet;
mod gate;
mod protocol;
mod stats;
mod sync;
mod terms;

pub use client::FleetClient;
pub use fleet::{Fleet, JoinError, Rejection};
pub use stats::{Overhang, Stats};
pub use terms::{Bounds, OnLoss, Terms, TermsError, WhenAway};
