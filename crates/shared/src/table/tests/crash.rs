//! A process dies just after any of its accesses to the table, and the one that sweeps after it as well.
//!
//! This knows the accesses of the source. `tests/kill.rs` kills real processes after each of their instructions.

#[cfg(not(any(connlimit_shared_loom, connlimit_shared_shuttle)))]
mod every_access {
    use super::super::*;
    use crate::sync::crash;

    const LIMIT: u32 = 3;
    const VICTIM: u8 = 1;

    /// Clients 0 to 4 have a connection of process 0, and 5 to 9 had one.
    fn prepared() -> (World, Vec<u128>) {
        let world = World::new(1);
        for key in 0..10 {
            let lane = world.acquire(0, key, LIMIT).unwrap();
            if key >= 5 {
                lane.release();
            }
        }
        (world, (0..5).collect())
    }

    /// Every kind of step at least once.
    fn script(world: &World) {
        let acquire = |key| world.acquire(VICTIM, key, LIMIT);
        let first = acquire(0).unwrap();
        let second = acquire(100).unwrap();
        let _third = acquire(101).unwrap();
        second.release();
        let _revived = acquire(100).unwrap();
        first.release();
        let (fourth, _fifth) = (acquire(1).unwrap(), acquire(1).unwrap());
        assert!(acquire(1).is_err());
        // Three records are free yet; then newcomers take the places of clients 5 to 9.
        for key in 102..110 {
            acquire(key).unwrap();
        }
        assert_eq!(acquire(110).unwrap_err(), Refusal::Full);
        fourth.release();
        acquire(1).unwrap();
    }

    /// What the others may still do while the dead one's traces are there.
    fn survive<'a>(world: &'a World, held: &mut Vec<(u128, Lane<'a>)>, kept: &[u128]) {
        for key in [0, 1, 2, 5, 100, 101, 105, 107, 200] {
            for _ in 0..4 {
                held.extend(world.acquire(0, key, LIMIT).map(|lane| (key, lane)));
            }
            let mine =
                held.iter().filter(|(held, _)| *held == key).count() + kept.iter().filter(|k| **k == key).count();
            assert!(mine <= LIMIT as usize && world.open(key) as usize >= mine, "client {key}: {mine} permits");
        }
    }

    fn exact(world: &World, held: Vec<(u128, Lane<'_>)>, kept: &[u128]) {
        world.check();
        for key in (0..10).chain(100..111).chain([200]) {
            let mine =
                held.iter().filter(|(held, _)| *held == key).count() + kept.iter().filter(|k| **k == key).count();
            assert_eq!(world.open(key) as usize, mine, "client {key}");
        }
        for (_, lane) in held {
            lane.release();
        }
        assert_eq!(world.table(2).sweep(1).connections, 5);
        world.check_no_record_is_lost();
    }

    /// The accesses of the script, and what holds after a death at each.
    fn at_every_access(mut then: impl FnMut(u64, &World, &[u128])) -> u64 {
        for accesses in 0.. {
            let (world, kept) = prepared();
            if crash::after(accesses, || script(&world)).is_some() {
                return accesses;
            }
            then(accesses, &world, &kept);
        }
        unreachable!("the script ends")
    }

    #[test]
    fn whoever_dies_holds_up_nobody_and_a_sweep_makes_all_counts_exact() {
        let accesses = at_every_access(|_, world, kept| {
            let mut held = Vec::new();
            survive(world, &mut held, kept);
            world.table(0).sweep(1 << VICTIM);
            exact(world, held, kept);
        });
        println!("died after each of {accesses} accesses");
        assert!(accesses > 400, "the script has become short: {accesses} accesses");
    }

    #[test]
    fn a_sweep_alone_makes_all_counts_exact() {
        at_every_access(|_, world, kept| {
            world.table(0).sweep(1 << VICTIM);
            exact(world, Vec::new(), kept);
        });
    }

    /// The sweeper dies too, after each of its accesses that follow each third death.
    #[test]
    fn whoever_sweeps_may_die_as_well() {
        let mut deaths = 0;
        for accesses in (0..).step_by(if cfg!(miri) { 97 } else { 3 }) {
            let (world, _) = prepared();
            if crash::after(accesses, || script(&world)).is_some() {
                break;
            }
            // What the first death left is there once: each death of the sweeper has it made anew.
            for of_sweep in 0.. {
                let (world, kept) = prepared();
                assert!(crash::after(accesses, || script(&world)).is_none());
                if crash::after(of_sweep, || world.table(2).sweep(1 << VICTIM)).is_some() {
                    break;
                }
                deaths += 1;
                let mut held = Vec::new();
                if of_sweep % 2 == 0 {
                    survive(&world, &mut held, &kept);
                }
                world.table(0).sweep(1 << VICTIM | 1 << 2);
                exact(&world, held, &kept);
            }
        }
        println!("{deaths} deaths of the sweeper");
    }

    /// One operation is under way when the other process acts, and dies later: the two meet at every pair of accesses.
    #[test]
    fn a_victim_that_others_met_half_way_is_swept_as_well() {
        at_every_access(|_, world, kept| {
            let mut held = Vec::new();
            // A newcomer for every record that can be had, then the old clients again.
            for key in 300..312 {
                held.extend(world.acquire(0, key, LIMIT).map(|lane| (key, lane)));
            }
            for (_, lane) in held.drain(..) {
                lane.release();
            }
            survive(world, &mut held, kept);
            world.table(0).sweep(1 << VICTIM);
            exact(world, held, kept);
        });
    }
}
