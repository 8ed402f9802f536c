//! The text form of a configuration: JSON, with the members that serde gives it in Rust.

use super::{ConnlimitConfig, Draft, Fault};
use crate::address::read;
use crate::handle::{self, write};
use crate::status::{Status, guarded};
use connlimit::Config;
use core::ffi::{c_char, c_void};
use core::ptr;
use serde_json::Value;

/// Replaces a configuration by the one that a text of `len` bytes says: JSON, as `connlimit_config_text` writes it and
/// as connlimit in Rust reads it.
///
/// ```json
/// {"max_per_client": 16, "ipv6_prefix": 64, "max_total": 10000, "counting": true,
///  "tiers": [{"ipv4_prefix": 24, "ipv6_prefix": 48, "limit": 256}],
///  "rules": [{"network": "127.0.0.0/8", "action": "unlimited"}, {"network": "192.0.2.0/24", "action": 4}]}
/// ```
///
/// A limit is a number, `"unlimited"` or `"deny"`. `max_per_client` has to be there; what else the text does not mention
/// has its default. On failure, among others for a member that is not known, the
/// configuration stays as it was, the status is `CONNLIMIT_BAD_TEXT`, and `connlimit_config_fault` names the place.
///
/// # Safety
///
/// 1. `config` is null, or at least eight bytes may be read from it, it is no configuration that was destroyed, and
///    nobody else uses it.
/// 2. `text` is null, or `len` bytes may be read from it.
#[must_use = "on failure the configuration is the one from before"]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_config_parse(
    config: *mut ConnlimitConfig,
    text: *const c_char,
    len: usize,
) -> Status {
    guarded(|| {
        // SAFETY: duty 1 is the caller's by this function's own.
        let draft = unsafe { handle::get_mut::<Draft>(config) }?;
        // SAFETY: duty 2 is the caller's by this function's own.
        let text = unsafe { read(text.cast::<c_void>(), len) }?;
        draft.change(|_| Ok(serde_json::from_slice(object(text)?)?))
    })
}

/// Changes the members of a configuration that a text of `len` bytes mentions, and leaves the rest: a merge patch as
/// RFC 7396 has it. `null` takes a member back to its default; `{"shadow": null}` for instance. An array replaces the
/// array that was there.
///
/// On failure it is as for `connlimit_config_parse`.
///
/// # Safety
///
/// As for `connlimit_config_parse`.
#[must_use = "on failure the configuration is the one from before"]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_config_patch(
    config: *mut ConnlimitConfig,
    text: *const c_char,
    len: usize,
) -> Status {
    guarded(|| {
        // SAFETY: the duty is the caller's by this function's own.
        let draft = unsafe { handle::get_mut::<Draft>(config) }?;
        // SAFETY: the duty is the caller's by this function's own.
        let text = unsafe { read(text.cast::<c_void>(), len) }?;
        draft.change(|config| patched(&config, serde_json::from_slice(object(text)?)?))
    })
}

/// Writes a configuration as text, in the form that `connlimit_config_parse` reads, and stores its length in `*len`.
///
/// Like `snprintf` it writes at most `size` bytes, a zero byte at the end included, and says in `*len` how long the
/// whole text is without that. When `size` is not above `*len` it writes nothing and returns `CONNLIMIT_BAD_LENGTH`;
/// `text` may be null if `size` is 0.
///
/// # Safety
///
/// 1. `config` is null, or at least eight bytes may be read from it, and it is no configuration that was destroyed.
/// 2. `size` bytes may be written at `text`.
/// 3. `len` is null or points to a `size_t` that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_config_text(
    config: *const ConnlimitConfig,
    text: *mut c_char,
    size: usize,
    len: *mut usize,
) -> Status {
    guarded(|| {
        // SAFETY: duty 1 is the caller's by this function's own.
        let draft = unsafe { handle::get::<Draft>(config) }?;
        let whole = serde_json::to_string(&draft.config).map_err(|_| Status::ConnlimitInternal)?;
        // SAFETY: duty 3 is the caller's by this function's own.
        unsafe { write(len, whole.len()) }?;
        if size <= whole.len() {
            return Err(Status::ConnlimitBadLength);
        }
        if text.is_null() {
            return Err(Status::ConnlimitNullPointer);
        }
        // SAFETY: duty 2 is the caller's by this function's own, and `size` is above the length.
        unsafe { ptr::copy_nonoverlapping(whole.as_ptr(), text.cast::<u8>(), whole.len()) };
        // SAFETY: likewise.
        let end = unsafe { text.add(whole.len()) };
        // SAFETY: likewise.
        unsafe { end.write(0) };
        Ok(())
    })
}

/// The text, if it begins as an object does. To serde an array is a structure too, whose members it takes in their order.
fn object(text: &[u8]) -> Result<&[u8], Fault> {
    if text.trim_ascii_start().starts_with(b"{") {
        return Ok(text);
    }
    Err(Fault::new(Status::ConnlimitBadText, "not an object: a configuration begins with {"))
}

/// A configuration with a patch merged into its text.
///
/// By way of the text, and not of serde's trees: each way through a configuration is some 20 KB of code.
fn patched(config: &Config, patch: Value) -> Result<Config, Fault> {
    let mut whole: Value = serde_json::from_slice(&serde_json::to_vec(config)?)?;
    merge(&mut whole, patch);
    serde_json::from_slice(whole.to_string().as_bytes()).map_err(|error| {
        let text = error.to_string();
        // The place is one in a text that nobody has written.
        let what = text.split_once(" at line ").map_or(text.as_str(), |(what, _)| what);
        Fault::new(Status::ConnlimitBadText, what)
    })
}

/// RFC 7396, section 2.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(members) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(object) = target else { return };
    for (name, value) in members {
        if value.is_null() {
            object.remove(&name);
        } else {
            merge(object.entry(name).or_insert(Value::Null), value);
        }
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self::new(Status::ConnlimitBadText, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_patch_changes_what_it_mentions() {
        let mut target = json!({"a": 1, "b": {"c": 2, "d": 3}, "e": [1, 2]});
        merge(&mut target, json!({"a": null, "b": {"c": 4, "f": {"g": null}}, "e": [3]}));
        assert_eq!(target, json!({"b": {"c": 4, "d": 3, "f": {}}, "e": [3]}));
    }

    #[test]
    fn a_patch_that_is_no_object_is_all() {
        let mut target = json!({"a": 1});
        merge(&mut target, json!([1]));
        assert_eq!(target, json!([1]));
    }
}
