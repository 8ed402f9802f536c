//! What may be open when this or that has happened, row by row; each with the lines of the protocol that it hangs on.
//!
//! A row is told twice: as the protocol is, where it must hold, and with a fault planted, where it must not.

use super::world::{Body, Packet, Setup, TTL, World};
use crate::protocol::Fault;
use crate::protocol::machine::Counts;
use crate::protocol::tests::world::key;
use crate::terms::WhenAway;

type Row = fn(&Setup) -> Result<(), String>;

/// Holds as it is, and not with any of the faults.
fn hangs_on(row: Row, setup: &Setup, faults: &[Fault]) {
    row(setup).unwrap();
    for &fault in faults {
        let broken = Setup { fault: Some(fault), ..setup.clone() };
        assert!(row(&broken).is_err(), "{fault:?} makes no difference");
    }
}

/// 10 connections, of which 7 are leased.
fn ten() -> Setup {
    Setup::new(10, 3, 1)
}

impl World {
    /// The client connects to a machine until it has that many there, or for as long as `millis`.
    fn get(&mut self, setup: &Setup, node: usize, wanted: u32, millis: u64) -> Result<u32, String> {
        for _ in 0..millis / 5 {
            if self.nodes[node].open.open(&key(0)) < wanted {
                self.connect(node, 0);
            }
            self.check(setup)?;
            self.run_for(setup, 5);
            self.check(setup)?;
        }
        Ok(self.nodes[node].open.open(&key(0)))
    }

    fn close(&mut self, node: usize, how_many: u32) {
        (0..how_many).for_each(|_| self.disconnect(node, 0));
    }

    /// The request that a machine has sent, off the wire.
    fn catch(&mut self, node: usize) -> Option<Packet> {
        let is_it = |packet: &Packet| packet.node == node && matches!(packet.body, Body::Request(_));
        self.wire.iter().position(is_it).map(|at| self.take(at))
    }
}

fn at_most(world: &World, bound: u32, when: &str) -> Result<(), String> {
    let total = world.total(0);
    if total <= bound { Ok(()) } else { Err(format!("{total} open {when}, more than {bound}")) }
}

#[test]
fn all_well() {
    let row: Row = |setup| {
        let mut world = World::settled(setup);
        let alone = world.get(setup, 0, 99, TTL)?;
        assert_eq!(alone, 8, "what others' shares leave");
        world.get(setup, 1, 99, TTL)?;
        world.get(setup, 2, 99, TTL)?;
        if world.total(0) == 10 { Ok(()) } else { Err(format!("{} open", world.total(0))) }
    };
    hangs_on(row, &ten(), &[Fault::HoldsIgnored]);
}

#[test]
fn a_lease_is_asked_for_and_the_answer_is_on_its_way() {
    let row: Row = |setup| {
        let mut world = World::settled(setup);
        world.get(setup, 0, 8, TTL)?;
        for _ in 0..20 {
            world.connect(1, 0);
            world.pass(1);
            world.check(setup)?;
        }
        Ok(())
    };
    hangs_on(row, &ten(), &[Fault::CapBeforeGrant]);
}

#[test]
fn a_lease_lies_idle_and_is_given_back() {
    let row: Row = |setup| {
        let mut world = World::settled(setup);
        world.get(setup, 0, 8, TTL)?;
        world.close(0, 6);
        // Its request arrives, the answer does not yet.
        let shrink = (0..200).find_map(|_| {
            world.pass(5);
            let packet = world.catch(0)?;
            let Body::Request(request) = &packet.body else { return None };
            let shrinks = !request.entries.is_empty();
            world.deliver(&packet);
            if shrinks {
                return world.wire.pop();
            }
            let answer = world.wire.pop().unwrap();
            world.deliver(&answer);
            None
        });
        let answer = shrink.expect("it gives back what lies idle");
        (0..8).for_each(|_| _ = world.connect(0, 0));
        let admitted_meanwhile = world.nodes[0].open.open(&key(0));
        world.wire.clear();
        world.get(setup, 1, 99, 60)?;
        world.deliver(&answer);
        world.get(setup, 2, 99, TTL / 4)?;
        if admitted_meanwhile <= 3 { Ok(()) } else { Err(format!("{admitted_meanwhile} by a lease given back")) }
    };
    hangs_on(row, &ten(), &[Fault::ShrinkTooSoon]);
}

#[test]
fn a_request_arrives_late() {
    let row: Row = |setup| {
        let mut world = World::settled(setup);
        world.get(setup, 0, 4, TTL / 2)?;
        world.close(0, 4);
        let mut late = None;
        for _ in 0..200 {
            world.pass(5);
            if let Some(packet) = world.catch(0) {
                if matches!(&packet.body, Body::Request(request) if !request.entries.is_empty()) {
                    late = Some(packet);
                    break;
                }
                world.deliver(&packet);
            }
            while let Some(packet) = world.wire.pop() {
                world.deliver(&packet);
            }
        }
        let late = late.expect("it gives back what lies idle");
        world.pass(150);
        assert_eq!(world.get(setup, 0, 8, TTL / 2)?, 8, "it has found use for it again");
        world.deliver(&late);
        world.wire.clear();
        world.get(setup, 1, 99, TTL / 2).map(drop)
    };
    hangs_on(row, &ten(), &[Fault::LateRequestsCount]);
}

#[test]
fn the_engine_forgets_everything() {
    for new_run in [false, true] {
        // One after the other is told of it.
        let rows: [Row; 2] = [|setup| forget(setup, false), |setup| forget(setup, true)];
        hangs_on(rows[usize::from(new_run)], &ten(), &[Fault::NoLearning]);
    }
}

fn forget(setup: &Setup, new_run: bool) -> Result<(), String> {
    let mut world = World::settled(setup);
    world.get(setup, 0, 8, TTL)?;
    world.forget(new_run);
    world.cut[0] = true;
    world.get(setup, 1, 99, TTL / 2)?;
    world.cut[0] = false;
    world.get(setup, 2, 99, 3 * TTL)?;
    at_most(&world, 10, "in the end")
}

#[test]
fn a_replica_takes_over_that_lacks_the_last_grants() {
    let row: Row = |setup| {
        let mut world = World::settled(setup);
        world.replicate();
        world.get(setup, 0, 8, TTL / 4)?;
        world.fail_over();
        world.cut[0] = true;
        world.get(setup, 1, 99, TTL / 4)?;
        world.cut[0] = false;
        world.get(setup, 2, 99, 3 * TTL)?;
        at_most(&world, 10, "in the end")
    };
    hangs_on(row, &ten(), &[Fault::FailoverUnseen]);
}

#[test]
fn the_engines_clock_is_set() {
    let row: Row = |setup| {
        for by in [900, 400, 5_000, 3_600_000, -900, -400, -3_600_000] {
            let mut world = World::settled(setup);
            world.get(setup, 0, 8, TTL)?;
            world.run_for(setup, TTL / 2);
            world.set_clock(by);
            world.cut[0] = true;
            world.get(setup, 1, 99, TTL / 2)?;
            world.cut[0] = false;
            world.get(setup, 2, 99, 3 * TTL)?;
            at_most(&world, 10, "in the end")?;
        }
        Ok(())
    };
    hangs_on(row, &ten(), &[Fault::StepUnseen]);
}

#[test]
fn a_request_that_began_a_session_arrives_again_after_the_engine_forgot() {
    let row: Row = |setup| {
        let mut world = World::new(setup);
        world.pass(1);
        let first = world.wire.iter().find(|packet| packet.node == 0).unwrap().clone();
        world.run_for(setup, TTL * 3 / 2);
        world.get(setup, 0, 8, TTL)?;
        world.forget(false);
        world.deliver(&first);
        world.wire.clear();
        for _ in 0..TTL / 5 {
            world.run_for(setup, 5);
            world.check(setup)?;
        }
        world.get(setup, 1, 99, TTL)?;
        at_most(&world, 10, "in the end")
    };
    hangs_on(row, &ten(), &[Fault::EpochIgnored]);
}

#[test]
fn a_machine_is_cut_off_and_keeps_what_is_open() {
    let row: Row = |setup| {
        let mut world = World::settled(setup);
        world.get(setup, 0, 8, TTL)?;
        world.cut[0] = true;
        assert_eq!(world.get(setup, 1, 99, 2 * TTL)?, 8, "what was leased is free after a time to live");
        assert_eq!(world.total(0), 16, "N, and the 7 above the share less the share nobody uses");
        assert_eq!(world.nodes[0].machine.overhang(&world.nodes[0].open), [(key(0), 7)]);
        world.cut[0] = false;
        world.get(setup, 2, 99, 2 * TTL)?;
        at_most(&world, 17, "with what was kept")?;
        // What is too much ends, and nobody grows until it has.
        world.close(0, 7);
        world.get(setup, 0, 99, 2 * TTL)?;
        at_most(&world, 10, "in the end")
    };
    hangs_on(row, &ten(), &[]);
}

#[test]
fn a_machine_comes_back_and_what_it_kept_is_in_the_books() {
    let row: Row = |setup| {
        let mut world = World::settled(setup);
        world.get(setup, 0, 8, TTL)?;
        world.cut[0] = true;
        world.run_for(setup, 2 * TTL);
        world.cut[0] = false;
        world.run_for(setup, TTL / 2);
        world.get(setup, 1, 99, TTL)?;
        at_most(&world, 10, "though nobody else had grown")
    };
    hangs_on(row, &ten(), &[Fault::NothingReasserted]);
}

#[test]
fn a_machine_is_cut_off_whose_leases_lie_idle() {
    let row: Row = |setup| {
        let mut world = World::settled(setup);
        world.get(setup, 0, 8, TTL)?;
        (world.cut[0], world.stalled[0]) = (true, true);
        world.close(0, 8);
        world.get(setup, 1, 99, 2 * TTL)?;
        (0..20).for_each(|_| _ = world.connect(0, 0));
        world.check(setup)
    };
    hangs_on(row, &ten(), &[Fault::LeasesOutliveSession]);
}

#[test]
fn a_machine_is_told_that_the_engine_forgot_and_then_cut_off() {
    let row: Row = |setup| {
        let mut world = World::settled(setup);
        world.get(setup, 0, 8, TTL)?;
        world.forget(false);
        // Told so, it cannot say what it has.
        for _ in 0..TTL / 4 {
            world.pass(2);
            if let Some(packet) = world.catch(0) {
                world.deliver(&packet);
                let answer = world.wire.pop().unwrap();
                world.deliver(&answer);
                world.cut[0] = true;
                break;
            }
        }
        assert!(world.cut[0]);
        world.close(0, 8);
        world.get(setup, 1, 99, 3 * TTL)?;
        (0..20).for_each(|_| _ = world.connect(0, 0));
        world.check(setup)
    };
    hangs_on(row, &ten(), &[Fault::UnheardLeasesKept]);
}

#[test]
fn an_answer_takes_long_and_then_the_machine_is_cut_off() {
    let row: Row = |setup| {
        let mut world = World::settled(setup);
        world.get(setup, 0, 8, TTL)?;
        let mut answer = None;
        for _ in 0..TTL {
            world.pass(1);
            if let Some(packet) = world.catch(0) {
                world.deliver(&packet);
                answer = world.wire.pop();
                break;
            }
        }
        world.pass(95);
        world.wire.retain(|packet| packet.node != 0);
        world.deliver(&answer.unwrap());
        world.cut[0] = true;
        world.get(setup, 1, 99, 2 * TTL).map(drop)
    };
    hangs_on(row, &ten(), &[Fault::DeadlineFromAnswer]);
}

#[test]
fn a_machines_clock_is_slow_and_the_engines_is_fast() {
    let row: Row = |setup| {
        let mut world = World::settled(setup);
        world.get(setup, 0, 8, TTL)?;
        world.get(setup, 1, 1, 5)?;
        world.get(setup, 2, 1, 5)?;
        let heartbeat = (0..TTL).find_map(|_| {
            world.pass(1);
            world.catch(0)
        });
        world.deliver(&heartbeat.unwrap());
        let answer = world.wire.pop().unwrap();
        world.deliver(&answer);
        world.cut[0] = true;
        // The engine ends the session after 990 ms of true time; the machine's clock would say so after 1010.
        world.run_for(setup, 991);
        world.get(setup, 1, 99, 15).map(drop)
    };
    hangs_on(row, &Setup { drift: vec![-10, 0, 0, 10], ..ten() }, &[Fault::NoMargin]);
}

#[test]
fn more_machines_than_seats() {
    let row: Row = |setup| {
        let mut world = World::settled(setup);
        (0..3).try_for_each(|node| world.get(setup, node, 99, TTL / 2).map(drop))
    };
    hangs_on(row, &Setup::new(4, 2, 2), &[Fault::SeatsForAll]);
    hangs_on(row, &Setup::new(5, 2, 2), &[Fault::SeatsForAll]);
}

#[test]
fn shares_beyond_the_limit() {
    let row: Row = |setup| {
        let mut world = World::settled(setup);
        (0..3).try_for_each(|node| world.get(setup, node, 99, TTL / 2).map(drop))?;
        at_most(&world, 6, "of three shares of two")
    };
    hangs_on(row, &Setup::new(4, 3, 2), &[]);
}

#[test]
fn a_machine_dies_and_what_it_had_is_free_after_a_time_to_live() {
    let row: Row = |setup| {
        let mut world = World::settled(setup);
        world.get(setup, 0, 8, TTL)?;
        world.crash(setup, 0);
        assert_eq!(world.get(setup, 1, 99, TTL / 2)?, 1, "not before");
        assert_eq!(world.get(setup, 1, 99, TTL)?, 8);
        Ok(())
    };
    hangs_on(row, &ten(), &[]);
}

#[test]
fn the_engine_is_away() {
    for (when_away, most) in [(WhenAway::Share, 10), (WhenAway::Hold, 10), (WhenAway::Open, 30)] {
        let setup = Setup { when_away, ..ten() };
        let mut world = World::settled(&setup);
        world.get(&setup, 0, 4, TTL).unwrap();
        world.cut.fill(true);
        for _ in 0..60 {
            world.run_for(&setup, TTL / 20);
            (0..3).for_each(|node| _ = world.connect(node, 0));
            assert!(world.total(0) <= most, "{when_away:?}");
        }
        // With shares: what is open, and at most the share on each machine. With holds: what was leased, too.
        let expected = match when_away {
            WhenAway::Share => 6..=9,
            WhenAway::Hold => 6..=10,
            WhenAway::Open => 30..=30,
        };
        assert!(expected.contains(&world.total(0)), "{when_away:?}: {}", world.total(0));
        world.cut.fill(false);
        world.run_for(&setup, 3 * TTL);
        let before = world.total(0);
        (0..20).for_each(|turn| {
            world.connect(turn % 3, 0);
            world.run_for(&setup, 20);
        });
        assert!(world.total(0) <= before.max(10), "{when_away:?}: nobody grows beyond the limit afterwards");
    }
}

#[test]
fn what_is_named_is_closed_and_the_limit_holds_again() {
    let setup = ten();
    let mut world = World::settled(&setup);
    world.get(&setup, 0, 8, TTL).unwrap();
    world.cut[0] = true;
    for _ in 0..TTL / 5 * 3 {
        world.connect(1, 0);
        world.run_for(&setup, 5);
        world.close_overhang();
        at_most(&world, 10, "once what is named is closed").unwrap();
    }
    assert_eq!(world.nodes[1].open.open(&key(0)), 8);
    world.cut[0] = false;
    world.run_for(&setup, TTL);
    assert!(world.nodes[0].machine.overhang(&world.nodes[0].open).is_empty());
}

#[test]
fn who_leaves_frees_what_it_had_at_once() {
    let setup = ten();
    let mut world = World::settled(&setup);
    world.get(&setup, 0, 8, TTL).unwrap();
    world.feed(0, crate::protocol::machine::Event::Leave);
    world.run_for(&setup, TTL / 4);
    assert!(!world.connect(0, 0) && !world.nodes[0].left);
    world.close(0, 8);
    world.run_for(&setup, TTL / 10);
    assert!(world.nodes[0].left);
    assert_eq!(world.get(&setup, 1, 99, TTL / 4).unwrap(), 8);
}
