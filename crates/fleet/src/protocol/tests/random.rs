//! Long random lives of small worlds.

use super::world::{Setup, TTL, World};
use crate::protocol::machine::Counts;
use crate::terms::WhenAway;
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Clone, Debug)]
pub(super) enum Op {
    Connect(usize, usize),
    Disconnect(usize, usize),
    /// Deliver one of the packets; the others wait.
    Deliver(usize),
    Duplicate(usize),
    Lose(usize),
    /// Everything that is under way arrives.
    Flush,
    Pass(u64),
    Stall(u64),
    Run(u64),
    Cut(usize, bool),
    Crash(usize),
    Forget(bool),
    Replicate,
    FailOver,
    SetClock(i64),
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    let time = prop_oneof![1..20u64, 1..TTL / 4, TTL / 2..TTL * 3 / 2];
    prop_oneof![
        16 => (0..3usize, 0..2usize).prop_map(|(node, client)| Op::Connect(node, client)),
        6 => (0..3usize, 0..2usize).prop_map(|(node, client)| Op::Disconnect(node, client)),
        12 => (0..8usize).prop_map(Op::Deliver),
        2 => (0..8usize).prop_map(Op::Duplicate),
        2 => (0..8usize).prop_map(Op::Lose),
        6 => Just(Op::Flush),
        6 => time.clone().prop_map(Op::Pass),
        1 => time.clone().prop_map(Op::Stall),
        8 => time.prop_map(Op::Run),
        2 => (0..3usize, any::<bool>()).prop_map(|(node, cut)| Op::Cut(node, cut)),
        1 => (0..3usize).prop_map(Op::Crash),
        1 => any::<bool>().prop_map(Op::Forget),
        1 => Just(Op::Replicate),
        1 => Just(Op::FailOver),
        1 => (-2000..2000i64).prop_map(Op::SetClock),
    ]
}

pub(super) fn apply(world: &mut World, setup: &Setup, op: &Op) {
    let packets = world.wire.len();
    match *op {
        Op::Connect(node, client) => _ = world.connect(node, client % setup.clients),
        Op::Disconnect(node, client) => world.disconnect(node, client % setup.clients),
        Op::Deliver(which) if packets > 0 => {
            let packet = world.take(which % packets);
            world.deliver(&packet);
        }
        Op::Duplicate(which) if packets > 0 && packets < 12 => {
            let packet = world.wire[which % packets].clone();
            world.wire.push(packet);
        }
        Op::Lose(which) if packets > 0 => drop(world.take(which % packets)),
        Op::Deliver(_) | Op::Duplicate(_) | Op::Lose(_) => {}
        Op::Flush => {
            for _ in 0..packets {
                let packet = world.take(0);
                world.deliver(&packet);
            }
        }
        Op::Pass(millis) => world.pass(millis),
        Op::Stall(millis) => world.stall_for(millis),
        Op::Run(millis) => world.run_for(setup, millis),
        Op::Cut(node, cut) => world.cut[node] = cut,
        Op::Crash(node) => world.crash(setup, node),
        Op::Forget(new_run) => world.forget(new_run),
        Op::Replicate => world.replicate(),
        Op::FailOver => world.fail_over(),
        Op::SetClock(by) => world.set_clock(by),
    }
}

prop_compose! {
    pub(super) fn setup()(
        (limit, seats, share) in prop_oneof![
            Just((4, 3, 1)), Just((4, 3, 0)), Just((4, 0, 0)), Just((6, 3, 1)), Just((7, 3, 2)), Just((12, 4, 1)), Just((4, 3, 2)),
        ],
        clients in 1..=2usize,
        drift in vec(-10..=10i64, 4),
    ) -> Setup {
        Setup { clients, drift, ..Setup::new(limit, seats, share) }
    }
}

/// Lives through `ops`: the first thing that should not be.
pub(super) fn live(setup: &Setup, ops: &[Op]) -> Result<World, String> {
    let mut world = World::settled(setup);
    for (step, op) in ops.iter().enumerate() {
        apply(&mut world, setup, op);
        world.check(setup).map_err(|fault| format!("step {step}, after {op:?}: {fault}"))?;
    }
    Ok(world)
}

/// Everything works again, and clients go.
fn heal(world: &mut World, setup: &Setup) {
    world.cut.fill(false);
    world.run_for(setup, 5 * TTL);
    for node in 0..setup.machines {
        for client in 0..setup.clients {
            (0..world.total(client)).for_each(|_| world.disconnect(node, client));
        }
    }
    world.run_for(setup, 5 * TTL);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_no_client_exceeds_the_limit_by_more_than_what_cut_off_machines_kept(
        setup in setup(),
        ops in vec(op(), 1..120),
    ) {
        if let Err(fault) = live(&setup, &ops) {
            prop_assert!(false, "{}", fault);
        }
    }

    #[test]
    fn after_everything_nothing_is_leaked_and_one_machine_gets_what_the_others_do_not_need(
        setup in setup(),
        ops in vec(op(), 1..60),
    ) {
        let mut world = live(&setup, &ops).unwrap();
        heal(&mut world, &setup);
        prop_assert!(world.ledger.is_empty(), "{:?}", world.ledger);
        prop_assert!(world.nodes.iter().all(|node| node.machine.leased() == (0, 0)));

        let mut admitted = 0;
        for _ in 0..200 {
            admitted += u32::from(world.connect(0, 0));
            world.run_for(&setup, 20);
            world.check(&setup).unwrap();
        }
        let alone = setup.pool() + if setup.seats > 0 { setup.share } else { 0 };
        prop_assert_eq!(admitted, alone);
    }

    #[test]
    fn a_lease_that_another_machine_needs_is_given_back(
        (limit, seats, share) in prop_oneof![Just((12, 3, 1)), Just((40, 3, 1)), Just((40, 0, 0))],
        first in 0..60usize,
        closed in 0..60usize,
    ) {
        let setup = Setup::new(limit, seats, share);
        let mut world = World::settled(&setup);
        for _ in 0..first {
            world.connect(0, 0);
            world.run_for(&setup, 10);
        }
        (0..closed).for_each(|_| world.disconnect(0, 0));
        for _ in 0..200 {
            world.connect(1, 0);
            world.run_for(&setup, 20);
            world.check(&setup).unwrap();
        }
        // All of the limit is in use but the shares where the client is not.
        let shares_elsewhere = seats.saturating_sub(if world.nodes[0].open.open(&super::world::key(0)) > 0 { 2 } else { 1 });
        prop_assert_eq!(world.total(0), limit - shares_elsewhere * share);
    }

    #[test]
    fn an_open_machine_admits_the_limit_and_what_it_admitted_is_in_the_books_afterwards(
        ops in vec(op(), 1..60),
        drift in vec(-10..=10i64, 4),
    ) {
        let setup = Setup { when_away: WhenAway::Open, drift, ..Setup::new(6, 3, 1) };
        let mut world = World::settled(&setup);
        for op in &ops {
            apply(&mut world, &setup, op);
            // A machine that dies is replaced by one that may be open again.
            prop_assert!(world.total(0) <= 3 * setup.limit);
        }
        world.cut.fill(false);
        world.run_for(&setup, 5 * TTL);
        for node in &world.nodes {
            let above = node.open.open(&super::world::key(0)).saturating_sub(setup.share);
            prop_assert!(world.ledger.leased(&node.machine.session(), &super::world::key(0)) >= above);
        }
        let before = world.total(0);
        if before >= setup.limit {
            for turn in 0..30 {
                world.connect(turn % 3, 0);
                world.run_for(&setup, 20);
            }
            prop_assert!(world.total(0) <= before.max(setup.limit) + 2 * setup.share, "only shares are left");
        }
    }
}
