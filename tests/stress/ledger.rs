//! What can be said for certain about the open connections of a client while threads are at work.
//!
//! A connection is booked after `try_acquire` returned and taken off before the permit is dropped, so the ledger
//! never shows more than the limiter counts: a balance above the limit proves that the limit was broken.

use connlimit::{Limiter, Permit};
use core::net::Ipv4Addr;
use core::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::Arc;

pub(crate) struct Ledger {
    limiter: Limiter,
    limit: u32,
    balances: Arc<[AtomicU32]>,
}

/// A permit and its line in the ledger.
pub(crate) struct Booked {
    permit: Permit,
    client: usize,
    balances: Arc<[AtomicU32]>,
}

impl Ledger {
    /// A ledger for the first `clients` steady clients, none of whom ever has more than `limit` open.
    pub(crate) fn new(limiter: &Limiter, clients: u32, limit: u32) -> Self {
        Self { limiter: limiter.clone(), limit, balances: (0..clients).map(|_| AtomicU32::new(0)).collect() }
    }

    pub(crate) fn clients(&self) -> u32 {
        u32::try_from(self.balances.len()).expect("a ledger is short")
    }

    /// Acquires for the client, unless it is at its limit.
    pub(crate) fn acquire(&self, client: u32) -> Option<Booked> {
        self.book(client, |addr| self.limiter.try_acquire(addr).ok())
    }

    /// Books what `acquire` gets for the client.
    pub(crate) fn book(&self, client: u32, acquire: impl FnOnce(Ipv4Addr) -> Option<Permit>) -> Option<Booked> {
        let permit = acquire(super::steady(client))?;
        let client = client as usize;
        let balance = self.balances[client].fetch_add(1, SeqCst) + 1;
        assert!(balance <= self.limit, "client {client} holds {balance} permits of {}", self.limit);
        Some(Booked { permit, client, balances: Arc::clone(&self.balances) })
    }

    /// While nobody acquires or releases, the limiter and the ledger say the same.
    pub(crate) fn settle(&self) {
        for (client, balance) in (0..).zip(self.balances.iter()) {
            assert_eq!(self.limiter.open_connections(super::steady(client)), balance.load(SeqCst), "client {client}");
        }
    }
}

impl Booked {
    pub(crate) fn release(self) {
        self.balances[self.client].fetch_sub(1, SeqCst);
        drop(self.permit);
    }
}
