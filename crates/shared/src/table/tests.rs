//! The table over the memory of one process, whose threads or turns stand for processes.

mod crash;
#[cfg(connlimit_shared_loom)]
mod models;
#[cfg(not(any(connlimit_shared_loom, connlimit_shared_shuttle)))]
mod plain;
#[cfg(not(any(connlimit_shared_loom, connlimit_shared_shuttle)))]
mod properties;
#[cfg(connlimit_shared_shuttle)]
mod scenarios;

use super::words::{RECORDS, State};
use super::{Group, Lane, Refusal, Table};
use crate::hash::Secret;
use crate::key::Key;
use crate::sync::Acquire;

pub(super) const WORDS: usize = if cfg!(connlimit_shared_loom) { 2 } else { 5 };
pub(super) const SECRET: Secret = Secret([1, 2]);

/// A table, and all its processes.
pub(super) struct World {
    pub(super) groups: Box<[Group<WORDS>]>,
}

impl World {
    pub(super) fn new(groups: usize) -> Self {
        Self { groups: (0..groups).map(|_| Group::new()).collect() }
    }

    /// The table as process `me` sees it.
    pub(super) fn table(&self, me: u8) -> Table<'_, WORDS> {
        Table { groups: &self.groups, secret: SECRET, me }
    }

    pub(super) fn acquire(&self, me: u8, key: u128, limit: u32) -> Result<Lane<'_>, Refusal> {
        self.table(me).acquire(Key::from_bits(key), limit)
    }

    pub(super) fn open(&self, key: u128) -> u32 {
        self.table(0).open(Key::from_bits(key))
    }

    /// What holds when nothing is under way: a client has one record, and every record is a client's or free.
    pub(super) fn check(&self) {
        let mut clients = Vec::new();
        for group in &self.groups {
            for (index, record) in group.records() {
                match (record.meta().state(), group.header().holds(index)) {
                    (State::Live, true) => clients.push(record.key().bits()),
                    (State::Free, false) => assert_eq!(record.sum(Acquire), 0, "a free record counts"),
                    other => panic!("record {index} was left as {other:?} by process {}", record.meta().owner()),
                }
            }
        }
        let found = clients.len();
        clients.sort_unstable();
        clients.dedup();
        assert_eq!(clients.len(), found, "a client has two records");
    }

    /// That each record of a one-group table can be had, when no client has connections.
    pub(super) fn check_no_record_is_lost(&self) {
        let all: Vec<_> = (0..RECORDS as u128).map(|key| self.acquire(0, 1 << 90 | key, 1)).collect();
        assert!(all.iter().all(Result::is_ok), "a record is lost: {all:?}");
        assert_eq!(self.acquire(0, 1 << 91, 1).unwrap_err(), Refusal::Full);
        all.into_iter().flatten().for_each(Lane::release);
    }
}
