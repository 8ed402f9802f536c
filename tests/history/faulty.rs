//! Limiters with one planted fault each: recorded like the real one, they must not be explained.

use super::recorder::{Subject, record};
use super::{RUNS, explain_all};
use connlimit::Client;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// Admits one more than the limit.
    OverAdmission,
    /// Checks in one step and counts in another.
    CheckThenAct,
    /// Every eighth release takes nothing off.
    LostRelease,
    /// Every eighth admission is rejected, whatever the count.
    SpuriousRejection,
    /// Tells what the count was when it was last asked for.
    StaleCount,
}

/// A map under a lock, which is right but for its fault.
struct Faulty {
    fault: Fault,
    limit: u32,
    clients: Arc<Mutex<HashMap<Client, Counter>>>,
}

#[derive(Default)]
struct Counter {
    open: u32,
    told: u32,
    acquires: u32,
    releases: u32,
}

struct Held {
    fault: Fault,
    client: Client,
    clients: Arc<Mutex<HashMap<Client, Counter>>>,
}

impl Subject for Faulty {
    type Held = Held;

    fn try_acquire(&self, client: Client) -> Option<Held> {
        let limit = self.limit + u32::from(self.fault == Fault::OverAdmission);
        let mut clients = self.clients.lock().unwrap();
        let counter = clients.entry(client).or_default();
        counter.acquires += 1;
        let spurious = self.fault == Fault::SpuriousRejection && counter.acquires % 8 == 0;
        if counter.open >= limit || spurious {
            return None;
        }
        if self.fault == Fault::CheckThenAct {
            drop(clients);
            std::thread::yield_now();
            clients = self.clients.lock().unwrap();
        }
        clients.get_mut(&client)?.open += 1;
        Some(Held { fault: self.fault, client, clients: Arc::clone(&self.clients) })
    }

    fn open_connections(&self, client: Client) -> u32 {
        let mut clients = self.clients.lock().unwrap();
        let counter = clients.entry(client).or_default();
        let last = core::mem::replace(&mut counter.told, counter.open);
        if self.fault == Fault::StaleCount { last } else { counter.open }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut clients = self.clients.lock().unwrap();
        let counter = clients.get_mut(&self.client).expect("it was acquired");
        counter.releases += 1;
        if self.fault != Fault::LostRelease || counter.releases % 8 != 0 {
            counter.open -= 1;
        }
    }
}

fn runs_that_cannot_be_explained(fault: Fault, limit: u32) -> u64 {
    let run = |seed| {
        let subject = Faulty { fault, limit, clients: Arc::default() };
        u64::from(explain_all(&record(&subject, limit, seed)).is_err())
    };
    (0..RUNS).map(run).sum()
}

#[test]
fn a_limiter_without_a_fault_is_always_explained() {
    assert_eq!(runs_that_cannot_be_explained(Fault::None, 2), 0);
}

#[test]
fn over_admission_is_always_found() {
    assert_eq!(runs_that_cannot_be_explained(Fault::OverAdmission, 2), RUNS);
}

#[test]
fn a_check_apart_from_its_act_is_found() {
    assert!(runs_that_cannot_be_explained(Fault::CheckThenAct, 1) > 0);
}

#[test]
fn a_lost_release_is_always_found() {
    assert_eq!(runs_that_cannot_be_explained(Fault::LostRelease, 2), RUNS);
}

#[test]
fn a_spurious_rejection_is_always_found() {
    assert_eq!(runs_that_cannot_be_explained(Fault::SpuriousRejection, 5), RUNS);
}

#[test]
fn a_stale_count_is_always_found() {
    assert_eq!(runs_that_cannot_be_explained(Fault::StaleCount, 2), RUNS);
}
