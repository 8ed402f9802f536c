//! What a run is judged against: a plain map, and the rules written a second time.
//!
//! The property tests, the fuzz targets and the replay of the fuzz corpus all come here with bytes, so a crash
//! found by one of them is a test case for the others.
#![allow(dead_code, reason = "compiled into several test binaries and fuzz targets; each calls the part it is about")]

#[cfg(feature = "serde")]
pub(crate) mod config_text;
pub(crate) mod keys;
mod operation;
mod peer;
pub(crate) mod policy;
mod world;

use connlimit::config::{Embedded, EmbeddedPolicy, Limit};
use operation::{Operation, Setup};
use world::World;

/// IPv6 addresses as they are behind NAT64: what is embedded there is `client_vectors.csv`'s matter.
pub(crate) const AS_THEY_ARE: EmbeddedPolicy = EmbeddedPolicy::new().with_nat64(Embedded::KeepAddress);

/// The bytes of a run write "no limit" as 0.
pub(crate) const fn limit(number: u32) -> Limit {
    if number == 0 { Limit::Unlimited } else { Limit::AtMost(number) }
}

/// Runs the operations that `data` spells against a limiter and against a plain map.
///
/// # Panics
///
/// When the two disagree.
pub(crate) fn check_operations(data: &[u8]) {
    let (setup, operations) = data.split_at(data.len().min(Setup::WIDTH));
    let mut world = World::new(Setup::decode(setup));
    for bytes in operations.chunks_exact(Operation::WIDTH) {
        world.apply(&Operation::decode(bytes));
    }
    world.finish();
}
