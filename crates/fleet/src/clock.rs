//! The machine's clock: it never steps, and goes on while the machine is suspended.

use crate::protocol::machine::Time;

/// The time since some moment before this process began.
#[cfg(target_os = "linux")]
pub(crate) fn now() -> Time {
    // Not `Instant`, which stands still while the machine is suspended: it would rely on leases that have ended.
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Time::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// The time since the first call.
#[cfg(not(target_os = "linux"))]
pub(crate) fn now() -> Time {
    use std::sync::OnceLock;
    use std::time::Instant;
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// As a number that fits into an atomic.
pub(crate) fn nanos(time: Time) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
