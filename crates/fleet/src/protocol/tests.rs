//! The protocol in small worlds, with virtual time: every row of the guarantees, and the faults that break each.

mod exhaustive;
mod random;
mod rows;
mod world;
