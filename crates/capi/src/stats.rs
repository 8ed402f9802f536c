//! What a limiter holds and what it has decided.

use crate::handle;
use crate::limiter::ConnlimitLimiter;
use crate::sized::{self, Grows, SaysSize};
use crate::status::{Status, guarded};
use connlimit::{
    Limiter,
    stats::{Stats, TableStats},
};
use core::mem::offset_of;

/// What one table holds. It will never have other members: later numbers go to the end of `connlimit_limiter_stats`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct ConnlimitTableStats {
    /// Open connections.
    pub open_connections: u64,
    /// Clients that have connections open.
    pub clients: u64,
    /// Clients whose last connection has ended, and whose slot is still theirs should they return.
    pub lingering: u64,
    /// Slots that serve again once no thread can be looking at what they held.
    pub dead: u64,
    /// Slots that have memory.
    pub slots: u64,
    /// Arrays that make up the table: one, and more while it changes size.
    pub levels: u64,
    /// Memory taken from the bound, in bytes. Arrays are reserved whole, and take memory as they fill.
    pub reserved_bytes: u64,
    /// Bound on the memory, in bytes: this table's share of `CONNLIMIT_TABLE_MEMORY`.
    pub bound_bytes: u64,
}

/// The numbers of a limiter. Zero it, and set `size` to `sizeof(connlimit_limiter_stats)`.
///
/// Decisions are counted since the limiter was created, while `CONNLIMIT_COUNTING` is 1; those of the shadow and of a
/// dry run always. They only grow. `connlimit_status_text` has a text for each reason.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ConnlimitLimiterStats {
    /// Bytes of this structure, as the caller knows it.
    pub size: usize,
    /// All clients together.
    pub total: ConnlimitTableStats,
    /// IPv4 clients.
    pub ipv4: ConnlimitTableStats,
    /// IPv6 clients.
    pub ipv6: ConnlimitTableStats,
    /// Named clients.
    pub named: ConnlimitTableStats,
    /// Per tier the networks, which stand in the place of clients there. Not part of `total`.
    pub tiers: [ConnlimitTableStats; 4],
    /// How many of `tiers` there are.
    pub num_tiers: u64,
    /// Admitted with a permit that counts.
    pub admitted: u64,
    /// Admitted with a permit that does not count for a client.
    pub admitted_untracked: u64,
    /// `CONNLIMIT_CLIENT_LIMIT`.
    pub rejected_client_limit: u64,
    /// `CONNLIMIT_TABLE_FULL`.
    pub rejected_table_full: u64,
    /// `CONNLIMIT_TIER_LIMIT`.
    pub rejected_tier_limit: u64,
    /// `CONNLIMIT_TOTAL_LIMIT`.
    pub rejected_total_limit: u64,
    /// `CONNLIMIT_DENIED`.
    pub rejected_denied: u64,
    /// `CONNLIMIT_UNKNOWN_PEER`.
    pub rejected_unknown_peer: u64,
    /// Attempts that the shadow would have rejected, whatever the configuration in force said.
    pub shadow_rejected: u64,
    /// Admitted only because of a dry run.
    pub dry_run_rejected: u64,
}

impl Grows for ConnlimitLimiterStats {
    const FIRST: usize = offset_of!(Self, dry_run_rejected) + size_of::<u64>();
}

impl SaysSize for ConnlimitLimiterStats {}

/// Fills `*stats` with the numbers of a limiter. They are of different moments within the call.
///
/// Reads the whole table, in pieces and without holding anything up: right for a look every few seconds, not for each
/// connection.
///
/// # Safety
///
/// 1. `limiter` is null, or at least eight bytes may be read from it, and it is no handle that was destroyed.
/// 2. `stats` is null, or as many bytes may be read and written as its `size` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_stats(
    limiter: *const ConnlimitLimiter,
    stats: *mut ConnlimitLimiterStats,
) -> Status {
    guarded(|| {
        // SAFETY: duty 1 is the caller's by this function's own.
        let limiter = unsafe { handle::get::<Limiter>(limiter) }?;
        // SAFETY: duty 2 is the caller's by this function's own.
        unsafe { sized::answer(stats, || Ok(limiter.stats().into())) }
    })
}

impl From<Stats> for ConnlimitLimiterStats {
    fn from(stats: Stats) -> Self {
        let mut tiers = [ConnlimitTableStats::default(); 4];
        for (to, from) in tiers.iter_mut().zip(&stats.tiers) {
            *to = (*from).into();
        }
        let decisions = stats.decisions;
        Self {
            size: size_of::<Self>(),
            total: stats.total.into(),
            ipv4: stats.v4.into(),
            ipv6: stats.v6.into(),
            named: stats.named.into(),
            tiers,
            num_tiers: stats.tiers.len().min(tiers.len()) as u64,
            admitted: decisions.admitted,
            admitted_untracked: decisions.admitted_untracked,
            rejected_client_limit: decisions.rejected.client_limit,
            rejected_table_full: decisions.rejected.table_full,
            rejected_tier_limit: decisions.rejected.tier_limit,
            rejected_total_limit: decisions.rejected.total_limit,
            rejected_denied: decisions.rejected.denied,
            rejected_unknown_peer: decisions.rejected.unknown_peer,
            shadow_rejected: decisions.shadow_rejected,
            dry_run_rejected: decisions.dry_run_rejected,
        }
    }
}

impl From<TableStats> for ConnlimitTableStats {
    fn from(stats: TableStats) -> Self {
        Self {
            open_connections: stats.open_connections,
            clients: stats.clients,
            lingering: stats.lingering,
            dead: stats.dead,
            slots: stats.slots,
            levels: stats.levels,
            reserved_bytes: stats.reserved_bytes,
            bound_bytes: stats.bound_bytes,
        }
    }
}
