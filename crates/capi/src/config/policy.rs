//! Tiers, rules and the shadow: what is more than a number.

use super::{ConnlimitConfig, Draft, Fault, limit_of};
use crate::handle;
use crate::status::{Status, guarded};
use connlimit::config::{Action, Limit};
use core::ffi::{CStr, c_char};
use ipnet::IpNet;

/// The limit of a rule that admits nobody.
pub const CONNLIMIT_DENY: u32 = 0;

/// Sets a tier: at most `limit` connections from all addresses together that share their first `ipv4_prefix` or
/// `ipv6_prefix` bits, or `CONNLIMIT_NO_LIMIT`. Narrow tiers come before wide ones, and there are at most four. The same
/// prefix lengths again replace the limit.
///
/// Prefix lengths of tiers are fixed when the limiter is created; limits may change.
///
/// # Safety
///
/// `config` is null, or at least eight bytes may be read from it, it is no configuration that was destroyed, and nobody
/// else uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_config_set_tier(
    config: *mut ConnlimitConfig,
    ipv4_prefix: u32,
    ipv6_prefix: u32,
    limit: u32,
) -> Status {
    guarded(|| {
        // SAFETY: the duty is the caller's by this function's own.
        let draft = unsafe { handle::get_mut::<Draft>(config) }?;
        draft.change(|config| Ok(config.with_tier(bits(ipv4_prefix), bits(ipv6_prefix), limit_of(limit))?))
    })
}

/// Takes a tier away, if it is there. A limiter that was created with it goes on counting its networks, without a limit.
///
/// # Safety
///
/// As for `connlimit_config_set_tier`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_config_remove_tier(
    config: *mut ConnlimitConfig,
    ipv4_prefix: u32,
    ipv6_prefix: u32,
) -> Status {
    guarded(|| {
        // SAFETY: the duty is the caller's by this function's own.
        let draft = unsafe { handle::get_mut::<Draft>(config) }?;
        draft.change(|config| Ok(config.without_tier(bits(ipv4_prefix), bits(ipv6_prefix))))
    })
}

/// Sets a rule: a limit for each client of one network, instead of the limit for everybody; `CONNLIMIT_DENY` and
/// `CONNLIMIT_NO_LIMIT` are limits too. Of all rules for networks that contain an address the one with the longest prefix
/// counts. The same network again replaces the limit.
///
/// `network` is text like `192.0.2.0/24` or `2001:db8::/32`. For many rules, `connlimit_config_parse` takes them at once.
///
/// # Safety
///
/// 1. `config` is null, or at least eight bytes may be read from it, it is no configuration that was destroyed, and
///    nobody else uses it.
/// 2. `network` is null or a text that ends with a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_config_set_rule(
    config: *mut ConnlimitConfig,
    network: *const c_char,
    limit: u32,
) -> Status {
    guarded(|| {
        // SAFETY: duty 1 is the caller's by this function's own.
        let draft = unsafe { handle::get_mut::<Draft>(config) }?;
        // SAFETY: duty 2 is the caller's by this function's own.
        let network = unsafe { network_of(network) }?;
        let action = match limit_of(limit) {
            Limit::AtMost(CONNLIMIT_DENY) => Action::Deny,
            Limit::AtMost(limit) => Action::Limit(limit),
            Limit::Unlimited => Action::Unlimited,
        };
        draft.change(|config| Ok(config.with_rule(network?, action)?))
    })
}

/// Takes the rule for a network away, if there is one.
///
/// # Safety
///
/// As for `connlimit_config_set_rule`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_config_remove_rule(config: *mut ConnlimitConfig, network: *const c_char) -> Status {
    guarded(|| {
        // SAFETY: the duty is the caller's by this function's own.
        let draft = unsafe { handle::get_mut::<Draft>(config) }?;
        // SAFETY: the duty is the caller's by this function's own.
        let network = unsafe { network_of(network) }?;
        draft.change(|config| Ok(config.without_rule(network?)))
    })
}

/// Copies the limits of `shadow` into `config`, to be tried out beside those in force: what they would have rejected is
/// counted, and rejects nobody.
///
/// # Safety
///
/// Each of `config` and `shadow` is null, or at least eight bytes may be read from it, it is no configuration that was
/// destroyed, and nobody else uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_config_set_shadow(
    config: *mut ConnlimitConfig,
    shadow: *const ConnlimitConfig,
) -> Status {
    guarded(|| {
        // Copied first: it may be the same one.
        // SAFETY: the duty is the caller's by this function's own.
        let shadow = unsafe { handle::get::<Draft>(shadow) }?.config.clone();
        // SAFETY: the duty is the caller's by this function's own.
        let draft = unsafe { handle::get_mut::<Draft>(config) }?;
        draft.change(|config| Ok(config.with_shadow(shadow)))
    })
}

/// A prefix length; what no `u8` holds is too long for either family, and has to stay so.
pub(super) fn bits(prefix: u32) -> u8 {
    u8::try_from(prefix).unwrap_or(u8::MAX)
}

/// # Safety
///
/// `text` is null or ends with a zero byte.
unsafe fn network_of(text: *const c_char) -> Result<Result<IpNet, Fault>, Status> {
    if text.is_null() {
        return Err(Status::ConnlimitNullPointer);
    }
    // SAFETY: not null, so it ends with a zero byte by the caller's duty.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    let fault =
        |_| Fault::new(Status::ConnlimitBadRule, format!("rule for {text}: not in the form address/prefix length"));
    Ok(text.parse().map_err(fault))
}
