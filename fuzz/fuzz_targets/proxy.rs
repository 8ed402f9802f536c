//! A PROXY header means what the specification says, and not a byte more than it is read.
#![no_main]

#[path = "../../crates/tokio/tests/oracle/mod.rs"]
mod oracle;

libfuzzer_sys::fuzz_target!(|data: &[u8]| oracle::check(data));
