//! Operations on a limiter with tiers, a total and rules, against plain maps.
#![no_main]

#[path = "../../tests/oracle/mod.rs"]
mod oracle;

libfuzzer_sys::fuzz_target!(|data: &[u8]| oracle::policy::check(data));
