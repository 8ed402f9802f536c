//! A configuration behind an opaque pointer: it can grow without a program noticing.

mod option;
mod policy;
mod text;

pub use option::{
    CONNLIMIT_UNSET, ConfigOption, EmbeddedChoice, WhenInDoubt, connlimit_config_get, connlimit_config_set,
};
pub use policy::{
    CONNLIMIT_DENY, connlimit_config_remove_rule, connlimit_config_remove_tier, connlimit_config_set_rule,
    connlimit_config_set_shadow, connlimit_config_set_tier,
};
pub use text::{connlimit_config_parse, connlimit_config_patch, connlimit_config_text};

use crate::handle::{self, Opaque};
use crate::status::{Status, guarded};
use connlimit::{
    Config,
    config::{ConfigError, Limit},
};
use core::ffi::{CStr, c_char};
use std::ffi::CString;

/// What an operator may set: limits, how clients are told apart, memory, rules.
///
/// A configuration is made with `connlimit_config_create`, filled with `connlimit_config_set` and its kin, handed to
/// `connlimit_create` or `connlimit_set_config`, which copy it, and ended with `connlimit_config_destroy`. It is valid
/// at any time: a call that would break it changes nothing, returns what is wrong, and `connlimit_config_fault` says
/// where. One thread at a time may use it.
#[derive(Debug)]
pub struct ConnlimitConfig {
    _private: (),
}

/// What the pointer leads to.
pub(crate) struct Draft {
    pub(crate) config: Config,
    fault: CString,
}

impl Opaque for Draft {
    type Handle = ConnlimitConfig;
    const TAG: u64 = 0x9c3e_71b8_52d0_46af;
    const NOT_ONE: Status = Status::ConnlimitNotAConfig;
}

/// Stands for a limit that there is not: any number of connections, which are still counted. Where a limit is asked for it
/// has to be said; 0 is a limit like any other, and admits nothing.
pub const CONNLIMIT_NO_LIMIT: u32 = u32::MAX;

/// A limit as the header has it.
pub(crate) const fn limit_of(number: u32) -> Limit {
    if number == CONNLIMIT_NO_LIMIT { Limit::Unlimited } else { Limit::AtMost(number) }
}

/// A limit for the header.
pub(crate) const fn number_of(limit: Limit) -> u32 {
    match limit {
        Limit::AtMost(number) => number,
        Limit::Unlimited => CONNLIMIT_NO_LIMIT,
    }
}

/// What is wrong with a change.
pub(crate) struct Fault {
    status: Status,
    text: String,
}

impl From<ConfigError> for Fault {
    fn from(error: ConfigError) -> Self {
        Self { status: Status::from(&error), text: error.to_string() }
    }
}

impl From<Fault> for Status {
    fn from(fault: Fault) -> Self {
        fault.status
    }
}

impl Fault {
    pub(crate) fn new(status: Status, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }
}

impl Draft {
    /// Replaces the configuration, or leaves it and remembers why.
    pub(crate) fn change(&mut self, change: impl FnOnce(Config) -> Result<Config, Fault>) -> Result<(), Status> {
        let changed = change(self.config.clone());
        self.note(changed).map(|config| self.config = config)
    }

    /// Remembers what is wrong, if anything is.
    pub(crate) fn note<T>(&mut self, result: Result<T, Fault>) -> Result<T, Status> {
        let (fault, result) = match result {
            Ok(value) => (String::new(), Ok(value)),
            Err(fault) => (fault.text, Err(fault.status)),
        };
        // A text of the caller's may be quoted in it, zero bytes included.
        self.fault = CString::new(fault.replace('\0', " ")).unwrap_or_default();
        result
    }
}

/// Makes a configuration: at most `max_per_client` connections for each client, or `CONNLIMIT_NO_LIMIT`. Everything else
/// has its default: each address is a client of its own, and the tables take up to 256 MiB.
///
/// The pointer goes to `*config` and ends with `connlimit_config_destroy`. On failure `*config` is null.
///
/// # Safety
///
/// `config` is null or points to a pointer that may be written.
#[must_use = "on failure there is no configuration"]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_config_create(max_per_client: u32, config: *mut *mut ConnlimitConfig) -> Status {
    guarded(|| {
        // SAFETY: the duty is the caller's by this function's own.
        unsafe {
            handle::create(config, || {
                Ok(Draft { config: Config::new(limit_of(max_per_client)), fault: CString::default() })
            })
        }
    })
}

/// Ends a configuration, and sets `*config` to null. Limiters that were made with it are not affected.
///
/// # Safety
///
/// `config` is null or points to a pointer that may be read and written; that one is null or leads to a configuration
/// that nobody else uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_config_destroy(config: *mut *mut ConnlimitConfig) -> Status {
    guarded(|| {
        // SAFETY: the duty is the caller's by this function's own.
        unsafe { handle::destroy::<Draft>(config) }
    })
}

/// Says in English what was wrong with the last call that changed, parsed or applied this configuration, and where: the
/// member of a text, the network of a rule. Empty if nothing was, and if `config` is no configuration.
///
/// The text belongs to the configuration, and is valid until the next call with it. It is for an operator, not for a
/// peer.
///
/// # Safety
///
/// `config` is null, or at least eight bytes may be read from it, and it is no configuration that was destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_config_fault(config: *const ConnlimitConfig) -> *const c_char {
    // SAFETY: the duty is the caller's by this function's own.
    unsafe { handle::get::<Draft>(config) }.map_or(c"", |draft| CStr::as_ref(&draft.fault)).as_ptr()
}
