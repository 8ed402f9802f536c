//! Every order of a few events, in worlds of three machines and a limit of four.

use super::world::{Setup, TTL, World};
use crate::protocol::machine::Counts;
use crate::protocol::tests::world::key;
use core::hash::{Hash, Hasher};
use std::collections::HashSet;
use std::hash::DefaultHasher;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Connect(usize),
    Disconnect(usize),
    /// One of the packets arrives; the others wait.
    Deliver(usize),
    Lose(usize),
    /// One of the packets arrives, and will once more.
    Copy(usize),
    /// All that is under way arrives, and time passes until answers are overdue.
    Settle,
    /// Nothing arrives for a while.
    Wait,
    /// A machine reaches nobody for a time to live, and all others go on.
    CutOff(usize),
    Crash(usize),
    Forget,
    FailOver,
    Replicate,
}

fn ops(world: &World, setup: &Setup) -> Vec<Op> {
    let mut ops = vec![Op::Settle, Op::Wait, Op::Forget, Op::FailOver, Op::Replicate];
    for node in 0..setup.machines {
        ops.extend([Op::Connect(node), Op::CutOff(node)]);
        if world.nodes[node].open.any() {
            ops.extend([Op::Disconnect(node), Op::Crash(node)]);
        }
    }
    for packet in 0..world.wire.len().min(4) {
        ops.extend([Op::Deliver(packet), Op::Lose(packet)]);
        if world.wire.len() < 4 {
            ops.push(Op::Copy(packet));
        }
    }
    ops
}

fn apply(world: &mut World, setup: &Setup, op: Op) {
    match op {
        Op::Connect(node) => _ = world.connect(node, 0),
        Op::Disconnect(node) => world.disconnect(node, 0),
        Op::Deliver(which) => {
            let packet = world.take(which);
            world.deliver(&packet);
        }
        Op::Lose(which) => drop(world.take(which)),
        Op::Copy(which) => {
            let packet = world.wire[which].clone();
            world.deliver(&packet);
        }
        Op::Settle => world.run_for(setup, 110),
        Op::Wait => world.pass(110),
        Op::CutOff(node) => {
            world.cut[node] = true;
            world.run_for(setup, TTL + 10);
            world.cut[node] = false;
        }
        Op::Crash(node) => world.crash(setup, node),
        Op::Forget => world.forget(false),
        Op::FailOver => world.fail_over(),
        Op::Replicate => world.replicate(),
    }
}

fn fingerprint(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    hasher.finish()
}

/// Everything that can happen in `depth` events after `start`: how many different worlds that makes.
fn explore(setup: &Setup, start: &World, depth: usize) -> usize {
    let mut seen = HashSet::from([fingerprint(start)]);
    let mut worlds = vec![(start.clone(), Vec::new())];
    for _ in 0..depth {
        let mut next = Vec::new();
        for (world, path) in worlds {
            for op in ops(&world, setup) {
                let mut world = world.clone();
                apply(&mut world, setup, op);
                let path: Vec<_> = path.iter().copied().chain([op]).collect();
                if let Err(fault) = world.check(setup) {
                    panic!("{fault}, after {path:?}");
                }
                if seen.insert(fingerprint(&world)) {
                    next.push((world, path));
                }
            }
        }
        worlds = next;
    }
    seen.len()
}

/// A world in which the first machine has all that can be leased.
fn with_leases(setup: &Setup) -> World {
    let mut world = World::settled(setup);
    world.replicate();
    for _ in 0..20 {
        world.connect(0, 0);
        world.run_for(setup, 10);
    }
    assert_eq!(world.nodes[0].open.open(&key(0)), setup.pool() + setup.share);
    world
}

/// `CONNLIMIT_FLEET_DEPTH` makes it look further.
fn depth(usual: usize) -> usize {
    std::env::var("CONNLIMIT_FLEET_DEPTH").ok().and_then(|depth| depth.parse().ok()).unwrap_or(usual)
}

#[test]
fn no_order_of_events_lets_a_client_exceed_its_bound() {
    for (seats, share) in [(3, 1), (0, 0), (2, 1)] {
        let setup = Setup::new(4, seats, share);
        let worlds =
            explore(&setup, &World::settled(&setup), depth(4)) + explore(&setup, &with_leases(&setup), depth(4));
        println!("{seats} seats, share {share}: {worlds} worlds");
        assert!(worlds > 1000);
    }
}

#[test]
fn no_order_of_events_does_with_clocks_that_drift_apart() {
    for drift in [vec![-10, 10, 0, 10], vec![10, -10, 10, -10]] {
        let setup = Setup { drift, ..Setup::new(4, 3, 1) };
        explore(&setup, &with_leases(&setup), depth(4));
    }
}
