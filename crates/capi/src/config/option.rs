//! Everything in a configuration that is one number.

use super::{ConnlimitConfig, Draft, Fault, limit_of, number_of};
use crate::handle::{self, write};
use crate::status::{Status, guarded};
use connlimit::{
    Config,
    config::{Embedded, EmbeddedPolicy, Family, UnknownPeer, WhenFull},
};

/// What `connlimit_config_set` sets. Options that are "fixed" cannot change once the limiter is created.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigOption {
    /// Connections that one client may have open, or `CONNLIMIT_NO_LIMIT`: they are only counted. A limit above 2^30 - 1
    /// acts like that one.
    ConnlimitMaxPerClient = 1,
    /// Fixed. Leading bits of an IPv4 address that make a client, at most 32, which is the default.
    ConnlimitIpv4Prefix = 2,
    /// Fixed. Leading bits of an IPv6 address that make a client, at most 128, which is the default. 64 is what most
    /// servers want.
    ConnlimitIpv6Prefix = 3,
    /// Fixed. Upper bound on the memory of the tables, in bytes, at least 1 MiB. The default is 256 MiB.
    ConnlimitTableMemory = 4,
    /// Fixed. 1: all table memory is allocated at creation. The default is 0.
    ConnlimitPreallocation = 5,
    /// Connections that all clients together may have open, or `CONNLIMIT_NO_LIMIT`. Unless it is set they are not
    /// counted together, and whether they are is fixed. `CONNLIMIT_UNSET` takes the limit away.
    ConnlimitMaxTotal = 6,
    /// Share of a limit, in percent, above which a client is in the soft zone, at most 100. The default is no such zone.
    ConnlimitSoftPercent = 7,
    /// 1: limits and rules reject nobody, and what they would have rejected is counted. The default is 0.
    ConnlimitDryRun = 8,
    /// 1: decisions are counted by reason, for `connlimit_stats`. The default is 0.
    ConnlimitCounting = 9,
    /// What happens to a client that is not tracked yet when the table is full: `CONNLIMIT_REJECT`, the default, or
    /// `CONNLIMIT_ADMIT_UNTRACKED`.
    ConnlimitWhenFull = 10,
    /// The same for IPv4 clients alone. The default is what `CONNLIMIT_WHEN_FULL` says.
    ConnlimitWhenFullIpv4 = 11,
    /// The same for IPv6 clients alone.
    ConnlimitWhenFullIpv6 = 12,
    /// The same for named clients alone.
    ConnlimitWhenFullNamed = 13,
    /// What `connlimit_try_acquire_unknown` does: `CONNLIMIT_REJECT`, the default, or `CONNLIMIT_ADMIT_UNTRACKED`.
    ConnlimitUnknownPeers = 14,
    /// Fixed. Who is counted behind NAT64's well-known prefix: `CONNLIMIT_OWN_CLIENT`, the default, and the others.
    /// Prefixes of your own are in the text form only.
    ConnlimitNat64 = 15,
}

/// Values of `CONNLIMIT_WHEN_FULL` and its kin, and of `CONNLIMIT_UNKNOWN_PEERS`.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenInDoubt {
    /// Reject the connection.
    ConnlimitReject = 0,
    /// Admit it with a permit that does not count for a client.
    ConnlimitAdmitUntracked = 1,
}

/// Values of `CONNLIMIT_NAT64`: who is counted when an IPv6 address embeds the address of an IPv4 client.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmbeddedChoice {
    /// The embedded client, told from the IPv4 client with the same address.
    ConnlimitOwnClient = 0,
    /// The IPv6 address, like any other.
    ConnlimitKeepAddress = 1,
    /// The IPv4 client itself: only for a translator of your own.
    ConnlimitSameAsIpv4 = 2,
}

/// What `connlimit_config_get` answers for an option that has neither a value nor a default.
pub const CONNLIMIT_UNSET: u64 = u64::MAX;

/// Sets one option, a `connlimit_option`.
///
/// Returns `CONNLIMIT_BAD_OPTION` for one that this library does not know, and `CONNLIMIT_BAD_VALUE` or a status of its
/// own for a value that the option cannot have. `connlimit_config_patch` takes an option back to its default.
///
/// # Safety
///
/// `config` is null, or at least eight bytes may be read from it, it is no configuration that was destroyed, and nobody
/// else uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_config_set(config: *mut ConnlimitConfig, option: i32, value: u64) -> Status {
    guarded(|| {
        // SAFETY: the duty is the caller's by this function's own.
        let draft = unsafe { handle::get_mut::<Draft>(config) }?;
        draft.change(|config| match ConfigOption::of(option) {
            Some(option) => option.set(config, value),
            None => Err(Fault::new(Status::ConnlimitBadOption, format!("there is no option {option}"))),
        })
    })
}

/// Stores the value of one option in `*value`; `CONNLIMIT_UNSET` if it has neither a value nor a default.
///
/// # Safety
///
/// 1. `config` is null, or at least eight bytes may be read from it, and it is no configuration that was destroyed.
/// 2. `value` is null or points to a `uint64_t` that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_config_get(config: *const ConnlimitConfig, option: i32, value: *mut u64) -> Status {
    guarded(|| {
        // SAFETY: duty 1 is the caller's by this function's own.
        let draft = unsafe { handle::get::<Draft>(config) }?;
        let option = ConfigOption::of(option).ok_or(Status::ConnlimitBadOption)?;
        // SAFETY: duty 2 is the caller's by this function's own.
        unsafe { write(value, option.get(&draft.config)) }
    })
}

impl ConfigOption {
    const ALL: [Self; 15] = [
        Self::ConnlimitMaxPerClient,
        Self::ConnlimitIpv4Prefix,
        Self::ConnlimitIpv6Prefix,
        Self::ConnlimitTableMemory,
        Self::ConnlimitPreallocation,
        Self::ConnlimitMaxTotal,
        Self::ConnlimitSoftPercent,
        Self::ConnlimitDryRun,
        Self::ConnlimitCounting,
        Self::ConnlimitWhenFull,
        Self::ConnlimitWhenFullIpv4,
        Self::ConnlimitWhenFullIpv6,
        Self::ConnlimitWhenFullNamed,
        Self::ConnlimitUnknownPeers,
        Self::ConnlimitNat64,
    ];

    fn of(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|option| *option as i32 == number)
    }

    fn set(self, config: Config, value: u64) -> Result<Config, Fault> {
        // No `u8` is above its family's limit and wraps to a valid one.
        let small = u8::try_from(value).unwrap_or(u8::MAX);
        Ok(match self {
            Self::ConnlimitMaxPerClient => config.with_max_per_client(limit_of(self.number(value)?)),
            Self::ConnlimitIpv4Prefix => config.with_ipv4_prefix(small)?,
            Self::ConnlimitIpv6Prefix => config.with_ipv6_prefix(small)?,
            Self::ConnlimitTableMemory => self.with_table_memory(config, value)?,
            Self::ConnlimitPreallocation => config.with_preallocation(self.flag(value)?),
            Self::ConnlimitMaxTotal if value == CONNLIMIT_UNSET => config.without_max_total(),
            Self::ConnlimitMaxTotal => config.with_max_total(limit_of(self.number(value)?)),
            Self::ConnlimitSoftPercent if value > 100 => return Err(self.wrong(value)),
            Self::ConnlimitSoftPercent => config.with_soft_percent(small),
            Self::ConnlimitDryRun => config.with_dry_run(self.flag(value)?),
            Self::ConnlimitCounting => config.with_counting(self.flag(value)?),
            Self::ConnlimitWhenFull => config.with_when_full(self.when_full(value)?),
            Self::ConnlimitWhenFullIpv4 => config.with_when_full_for(Family::Ipv4, self.when_full(value)?),
            Self::ConnlimitWhenFullIpv6 => config.with_when_full_for(Family::Ipv6, self.when_full(value)?),
            Self::ConnlimitWhenFullNamed => config.with_when_full_for(Family::Named, self.when_full(value)?),
            Self::ConnlimitUnknownPeers => config.with_unknown_peer(match self.when_full(value)? {
                WhenFull::AdmitUntracked => UnknownPeer::AdmitUntracked,
                _ => UnknownPeer::Reject,
            }),
            Self::ConnlimitNat64 => self.with_nat64(config, value)?,
        })
    }

    fn get(self, config: &Config) -> u64 {
        match self {
            Self::ConnlimitMaxPerClient => number_of(config.max_per_client()).into(),
            Self::ConnlimitIpv4Prefix => config.ipv4_prefix().into(),
            Self::ConnlimitIpv6Prefix => config.ipv6_prefix().into(),
            Self::ConnlimitTableMemory => config.table_memory() as u64,
            Self::ConnlimitPreallocation => config.preallocation().into(),
            Self::ConnlimitMaxTotal => config.max_total().map_or(CONNLIMIT_UNSET, |limit| number_of(limit).into()),
            Self::ConnlimitSoftPercent => config.soft_percent().map_or(CONNLIMIT_UNSET, u64::from),
            Self::ConnlimitDryRun => config.dry_run().into(),
            Self::ConnlimitCounting => config.counting().into(),
            Self::ConnlimitWhenFull => (config.when_full() == WhenFull::AdmitUntracked).into(),
            Self::ConnlimitWhenFullIpv4 => (config.when_full_for(Family::Ipv4) == WhenFull::AdmitUntracked).into(),
            Self::ConnlimitWhenFullIpv6 => (config.when_full_for(Family::Ipv6) == WhenFull::AdmitUntracked).into(),
            Self::ConnlimitWhenFullNamed => (config.when_full_for(Family::Named) == WhenFull::AdmitUntracked).into(),
            Self::ConnlimitUnknownPeers => (config.unknown_peer() == UnknownPeer::AdmitUntracked).into(),
            Self::ConnlimitNat64 => choice_of(config.embedded().nat64()),
        }
    }

    fn number<T: TryFrom<u64>>(self, value: u64) -> Result<T, Fault> {
        T::try_from(value).map_err(|_| self.wrong(value))
    }

    /// A builder would take the least bound there is for a smaller one.
    fn with_table_memory(self, config: Config, value: u64) -> Result<Config, Fault> {
        if value < 1 << 20 {
            let text = format!("table memory of {value} bytes is below 1 MiB (1048576 bytes)");
            return Err(Fault::new(Status::ConnlimitBadTableMemory, text));
        }
        Ok(config.with_table_memory(self.number(value)?))
    }

    fn flag(self, value: u64) -> Result<bool, Fault> {
        match value {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.wrong(value)),
        }
    }

    fn when_full(self, value: u64) -> Result<WhenFull, Fault> {
        Ok(if self.flag(value)? { WhenFull::AdmitUntracked } else { WhenFull::Reject })
    }

    fn with_nat64(self, config: Config, value: u64) -> Result<Config, Fault> {
        let embedded = match value {
            0 => Embedded::OwnClient,
            1 => Embedded::KeepAddress,
            2 => Embedded::SameAsIpv4,
            _ => return Err(self.wrong(value)),
        };
        let policy = EmbeddedPolicy::with_nat64(config.embedded().clone(), embedded);
        Ok(config.with_embedded(policy))
    }

    fn wrong(self, value: u64) -> Fault {
        Fault::new(Status::ConnlimitBadValue, format!("option {} cannot be {value}", self as i32))
    }
}

const fn choice_of(embedded: Embedded) -> u64 {
    match embedded {
        Embedded::KeepAddress => EmbeddedChoice::ConnlimitKeepAddress as u64,
        Embedded::SameAsIpv4 => EmbeddedChoice::ConnlimitSameAsIpv4 as u64,
        _ => EmbeddedChoice::ConnlimitOwnClient as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(option: ConfigOption, value: u64) -> Result<Config, Status> {
        option.set(Config::new(1), value).map_err(|fault| fault.status)
    }

    #[test]
    fn each_option_keeps_what_was_set() {
        for (option, value) in
            ConfigOption::ALL.into_iter().zip([7, 24, 64, 1 << 20, 1, 0, 80].into_iter().chain([1; 8]))
        {
            let default = option.get(&Config::new(1));
            assert_ne!(default, value, "{option:?}");
            assert_eq!(set(option, value).map(|config| option.get(&config)), Ok(value), "{option:?}");
            assert_eq!(ConfigOption::of(option as i32), Some(option));
        }
        assert_eq!(ConfigOption::of(0), None);
        assert_eq!(ConfigOption::of(16), None);
    }

    #[test]
    fn no_option_takes_every_value() {
        let refused: Vec<_> = ConfigOption::ALL.into_iter().map(|option| set(option, u64::MAX).err()).collect();
        assert!(refused.iter().enumerate().all(|(at, status)| status.is_some() || [3, 5].contains(&at)), "{refused:?}");
        assert_eq!(refused[1], Some(Status::ConnlimitBadIpv4Prefix));
        assert_eq!(refused[2], Some(Status::ConnlimitBadIpv6Prefix));
        assert_eq!(refused[7], Some(Status::ConnlimitBadValue));
        assert_eq!(set(ConfigOption::ConnlimitTableMemory, 1).err(), Some(Status::ConnlimitBadTableMemory));
        // Does not wrap to 24.
        assert_eq!(set(ConfigOption::ConnlimitIpv4Prefix, 256 + 24).err(), Some(Status::ConnlimitBadIpv4Prefix));
    }
}
