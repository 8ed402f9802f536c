//! Tiers, the total, the soft zone, shadow and dry run: what a configuration says beyond one limit for everybody.
#![cfg(not(connlimit_model))]
#![allow(clippy::std_instead_of_core, reason = "a test has the standard library")]

mod builder;
mod full;
#[path = "../oracle/mod.rs"]
mod oracle;
mod properties;
mod worked;
