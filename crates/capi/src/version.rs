//! Which version this is.

use core::ffi::{CStr, c_char};

const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => panic!("no version has a zero byte"),
};

/// The version of the library, for instance `0.2.0`; `CONNLIMIT_VERSION` is that of the header. The text lives as long
/// as the library.
#[unsafe(no_mangle)]
pub const extern "C" fn connlimit_version() -> *const c_char {
    VERSION.as_ptr()
}
