//! Chapters that belong to no single item: how to choose a limit, what things cost, how to come from go-connlimit, and the
//! way through the source. There is no code in these modules.

#[doc = include_str!("docs/operating.md")]
pub mod operating {}

#[doc = include_str!("docs/performance.md")]
pub mod performance {}

#[doc = include_str!("docs/from_go.md")]
pub mod from_go {}

#[doc = include_str!("docs/walkthrough.md")]
pub mod walkthrough {}

/// The programs in the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
