//! The peers of the benchmarks do the same work: each exact one agrees with a plain hash map.

#[path = "../peers/mod.rs"]
mod peers;

use core::net::IpAddr;
use core::sync::atomic::{AtomicU32, Ordering};
use peers::{Peer, client, each_peer};
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::Barrier;

const CLIENTS: u32 = 6;
const LIMIT: u32 = 3;

#[derive(Clone, Debug)]
enum Step {
    Acquire(u32),
    /// Of the connections open, the one at this share of the list.
    Release(prop::sample::Index),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![(0..CLIENTS).prop_map(Step::Acquire), any::<prop::sample::Index>().prop_map(Step::Release),];
    prop::collection::vec(step, 0..200)
}

/// Runs `steps` against `P` and a hash map side by side.
fn agrees<P: Peer>(steps: &[Step]) -> Result<(), TestCaseError> {
    let peer = P::new(LIMIT, CLIENTS);
    let mut open = Vec::new();
    let mut oracle = HashMap::<u32, u32>::new();
    for step in steps {
        match step {
            Step::Acquire(index) => {
                let mut batch = peer.batch();
                let permit = peer.try_acquire(&mut batch, IpAddr::V4(client(*index)));
                let count = oracle.entry(*index).or_default();
                if P::EXACT {
                    prop_assert_eq!(permit.is_some(), *count < LIMIT, "{} at {:?}", P::NAME, step);
                } else {
                    prop_assert!(permit.is_none() || *count < LIMIT, "{} admits too many", P::NAME);
                }
                if let Some(permit) = permit {
                    *count += 1;
                    open.push((*index, permit));
                }
            }
            Step::Release(_) if open.is_empty() => {}
            Step::Release(which) => {
                let (index, permit) = open.swap_remove(which.index(open.len()));
                drop(permit);
                oracle.entry(index).and_modify(|count| *count -= 1);
            }
        }
    }
    Ok(())
}

type Check = fn(&[Step]) -> Result<(), TestCaseError>;

fn check<P: Peer>() -> Check {
    agrees::<P>
}

proptest! {
    #[test]
    fn each_exact_peer_agrees_with_a_plain_map(steps in steps()) {
        for check in each_peer!(check) {
            check(&steps)?;
        }
    }
}

/// Threads admit and release one client, through zero again and again; then the limit must be whole.
fn keeps_the_limit<P: Peer>() -> fn(u32) {
    |limit| {
        const THREADS: u32 = 4;
        let peer = P::new(limit, CLIENTS);
        let address = IpAddr::V4(client(0));
        let (inside, start) = (AtomicU32::new(0), Barrier::new(THREADS as usize));
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    start.wait();
                    for round in 0..20_000 {
                        let permit = peer.try_acquire(&mut peer.batch(), address);
                        if permit.is_some() {
                            let before = inside.fetch_add(1, Ordering::SeqCst);
                            assert!(before < limit || !P::EXACT, "{}: more than {limit} inside", P::NAME);
                            if round % 64 == 0 {
                                std::thread::yield_now();
                            }
                            inside.fetch_sub(1, Ordering::SeqCst);
                        }
                    }
                });
            }
        });
        let mut batch = peer.batch();
        let mut permits: Vec<_> = (0..limit).map_while(|_| peer.try_acquire(&mut batch, address)).collect();
        assert_eq!(permits.len(), limit as usize, "{}: a slot was lost", P::NAME);
        assert!(peer.try_acquire(&mut batch, address).is_none(), "{}: a slot was won", P::NAME);
        permits.pop();
        assert!(peer.try_acquire(&mut batch, address).is_some(), "{}: a released slot does not admit", P::NAME);
    }
}

#[test]
fn no_peer_loses_or_wins_a_slot_between_threads() {
    for run in each_peer!(keeps_the_limit) {
        run(1);
        run(3);
    }
}
