//! A configuration in text is valid and survives the way back, or it is an error.
#![no_main]

#[path = "../../tests/oracle/mod.rs"]
mod oracle;

libfuzzer_sys::fuzz_target!(|data: &[u8]| oracle::config_text::check(data));
