//! The limiter behind an opaque pointer.

use crate::config::{ConnlimitConfig, Draft, limit_of};
use crate::handle::{self, Opaque};
use crate::status::{Status, guarded};
use connlimit::{Config, Limiter, config::ConfigError};
use core::ffi::c_void;

/// A handle of a limiter. All handles made by `connlimit_clone` share one limiter.
///
/// Any number of threads may use one handle at once, except that nobody may use it during and after its
/// `connlimit_destroy`.
#[derive(Debug)]
pub struct ConnlimitLimiter {
    _private: (),
}

impl Opaque for Limiter {
    type Handle = ConnlimitLimiter;
    const TAG: u64 = 0xd1a5_4c0e_9b67_f23b;
    const NOT_ONE: Status = Status::ConnlimitNotALimiter;
}

/// Makes a limiter. It keeps a copy of the configuration.
///
/// The handle goes to `*limiter` and ends with `connlimit_destroy`. On failure `*limiter` is null.
///
/// # Safety
///
/// 1. `config` is null, or at least eight bytes may be read from it, and it is no configuration that was destroyed.
/// 2. `limiter` is null or points to a pointer that may be written.
#[must_use = "on failure there is no limiter"]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_create(
    config: *const ConnlimitConfig,
    limiter: *mut *mut ConnlimitLimiter,
) -> Status {
    guarded(|| {
        let made = || {
            // SAFETY: duty 1 is the caller's by this function's own.
            let draft = unsafe { handle::get::<Draft>(config) }?;
            Limiter::try_new(draft.config.clone()).map_err(|error| Status::from(&error))
        };
        // SAFETY: duty 2 is the caller's by this function's own.
        unsafe { handle::create(limiter, made) }
    })
}

/// Makes another handle of the same limiter.
///
/// The handle goes to `*copy` and ends with a `connlimit_destroy` of its own. On failure `*copy` is null.
///
/// # Safety
///
/// 1. `limiter` is null, or at least eight bytes may be read from it, and it is no handle that was destroyed.
/// 2. `copy` is null or points to a pointer that may be written.
#[must_use = "on failure there is no copy"]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_clone(limiter: *const ConnlimitLimiter, copy: *mut *mut ConnlimitLimiter) -> Status {
    guarded(|| {
        // SAFETY: duty 1 is the caller's by this function's own.
        let limiter = || unsafe { handle::get::<Limiter>(limiter) }.cloned();
        // SAFETY: duty 2 is the caller's by this function's own.
        unsafe { handle::create(copy, limiter) }
    })
}

/// Ends a handle, and the limiter with its last handle. Sets `*limiter` to null.
///
/// Permits that are out stay valid and have to be released as before. Destroying a null handle does nothing but
/// return `CONNLIMIT_NULL_POINTER`.
///
/// # Safety
///
/// 1. `limiter` is null or points to a pointer that may be read and written, and no other thread uses the handle.
/// 2. `*limiter` is null, or at least eight bytes may be read from it, and it is no handle that was destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_destroy(limiter: *mut *mut ConnlimitLimiter) -> Status {
    guarded(|| {
        // SAFETY: the duties are the caller's by this function's own.
        unsafe { handle::destroy::<Limiter>(limiter) }
    })
}

/// Changes how many connections one client may have open, or to `CONNLIMIT_NO_LIMIT`. The rest of the configuration stays.
///
/// Calls of `connlimit_try_acquire` that begin afterwards obey it. Open connections stay open: a client may have
/// more than a lowered limit until enough of them are released.
///
/// # Safety
///
/// `limiter` is null, or at least eight bytes may be read from it, and it is no handle that was destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_set_limit(limiter: *mut ConnlimitLimiter, max_per_client: u32) -> Status {
    guarded(|| {
        // SAFETY: the duty is the caller's by this function's own.
        let limiter = unsafe { handle::get::<Limiter>(limiter) }?;
        let limit = limit_of(max_per_client);
        limiter.update_config(|config| config.with_max_per_client(limit)).map_err(|error| Status::from(&error))
    })
}

/// Called by `connlimit_update_config` with a copy of the configuration in force, which it may change, and with its
/// argument `arg`. Anything but `CONNLIMIT_OK` gives up. It must return, and not throw or jump.
#[expect(non_camel_case_types, reason = "this is how C will know it")]
pub type connlimit_change = Option<unsafe extern "C" fn(config: *mut ConnlimitConfig, arg: *mut c_void) -> i32>;

/// Changes the configuration of a running limiter: copies the one in force into `config`, calls `change`, and puts the
/// result in force. When another thread was faster it begins anew, so of two changes none is lost.
///
/// Returns what `change` returned if that is not `CONNLIMIT_OK`; nothing has changed then. For the rest it is as
/// `connlimit_set_config`.
///
/// # Safety
///
/// 1. As for `connlimit_set_config`.
/// 2. `change` is null, or keeps to what `connlimit_change` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_update_config(
    limiter: *mut ConnlimitLimiter,
    config: *mut ConnlimitConfig,
    change: connlimit_change,
    arg: *mut c_void,
) -> i32 {
    let mut given_up = None;
    let status = guarded(|| {
        // SAFETY: duty 1 is the caller's by this function's own.
        let limiter = unsafe { handle::get::<Limiter>(limiter) }?;
        // SAFETY: duty 1 is the caller's by this function's own.
        unsafe { handle::get::<Draft>(config) }?;
        let change = change.ok_or(Status::ConnlimitNullPointer)?;
        let updated = limiter.update_config(|current| {
            // SAFETY: duty 1 is the caller's by this function's own; of it nothing is held while `change` runs.
            let changed = unsafe { handle::get_mut::<Draft>(config) }.and_then(|draft| draft.change(|_| Ok(current)));
            // SAFETY: duty 2 is the caller's by this function's own.
            let status = changed.map_or_else(|status| status as i32, |()| unsafe { change(config, arg) });
            if status != 0 {
                given_up = Some(status);
                return Err(ConfigError::FixedAtBuild("nothing: the change was given up"));
            }
            // SAFETY: duty 1 is the caller's by this function's own.
            let draft = unsafe { handle::get::<Draft>(config) };
            draft.map(|draft| draft.config.clone()).map_err(|_| ConfigError::FixedAtBuild("the configuration"))
        });
        if given_up.is_some() {
            // `config` still says what was wrong.
            return Ok(());
        }
        // SAFETY: duty 1 is the caller's by this function's own.
        unsafe { handle::get_mut::<Draft>(config) }?.note(updated.map_err(Into::into))
    });
    given_up.unwrap_or(status as i32)
}

/// Replaces the configuration of a running limiter by a copy of `config`.
///
/// Admissions that begin afterwards obey it, and open connections stay open. What is fixed at creation may be left at
/// its default or repeated; to change it is `CONNLIMIT_FIXED_AT_CREATION`, and changes nothing.
///
/// # Safety
///
/// 1. `limiter` is null, or at least eight bytes may be read from it, and it is no handle that was destroyed.
/// 2. `config` is null, or at least eight bytes may be read from it, it is no configuration that was destroyed, and
///    nobody else uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_set_config(limiter: *mut ConnlimitLimiter, config: *mut ConnlimitConfig) -> Status {
    guarded(|| {
        // SAFETY: duty 1 is the caller's by this function's own.
        let limiter = unsafe { handle::get::<Limiter>(limiter) }?;
        // SAFETY: duty 2 is the caller's by this function's own.
        let draft = unsafe { handle::get_mut::<Draft>(config) }?;
        let answer = limiter.set_config(draft.config.clone());
        draft.note(answer.map_err(Into::into))
    })
}

/// Copies the configuration in force into `config`, with what is fixed spelt out.
///
/// # Safety
///
/// As for `connlimit_set_config`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_get_config(
    limiter: *const ConnlimitLimiter,
    config: *mut ConnlimitConfig,
) -> Status {
    guarded(|| {
        // SAFETY: the duty is the caller's by this function's own.
        let limiter = unsafe { handle::get::<Limiter>(limiter) }?;
        // SAFETY: the duty is the caller's by this function's own.
        let draft = unsafe { handle::get_mut::<Draft>(config) }?;
        draft.change(|_| Ok(Config::clone(&limiter.config())))
    })
}

/// Gives memory back that would be given back in passing while new clients come.
///
/// A server that falls idle after a crowd may call it from a timer. It takes about a millisecond for each hundred
/// thousand clients there have been, and disturbs nobody.
///
/// # Safety
///
/// `limiter` is null, or at least eight bytes may be read from it, and it is no handle that was destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_reclaim(limiter: *mut ConnlimitLimiter) -> Status {
    guarded(|| {
        // SAFETY: the duty is the caller's by this function's own.
        unsafe { handle::get::<Limiter>(limiter) }?.reclaim();
        Ok(())
    })
}
