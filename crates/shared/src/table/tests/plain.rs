//! One turn after the other.

use super::*;

#[test]
fn a_client_gets_as_many_places_as_the_limit_says_over_all_processes() {
    let world = World::new(1);
    let held: Vec<_> = (0..3).map(|me| world.acquire(me * 7, 1, 3).unwrap()).collect();
    assert_eq!(world.open(1), 3);
    for me in 0..20 {
        assert_eq!(world.acquire(me, 1, 3).unwrap_err(), Refusal::AtLimit);
    }
    world.acquire(1, 2, 3).unwrap().release();
    held.into_iter().for_each(Lane::release);
    assert_eq!(world.open(1), 0);
    world.check();
}

#[test]
fn a_raised_limit_admits_and_a_lowered_one_closes_nobody() {
    let world = World::new(1);
    let first = world.acquire(0, 1, 1).unwrap();
    assert!(world.acquire(1, 1, 1).is_err());
    let second = world.acquire(1, 1, 2).unwrap();
    assert!(world.acquire(1, 1, 1).is_err());
    first.release();
    assert!(world.acquire(1, 1, 1).is_err());
    second.release();
    world.acquire(1, 1, 1).unwrap().release();
}

#[test]
fn a_client_keeps_its_record_and_comes_back_to_it() {
    let world = World::new(1);
    for _ in 0..100 {
        world.acquire(0, 1, 1).unwrap().release();
    }
    let used = world.groups[0].records().filter(|(_, record)| record.meta().state() == State::Live).count();
    assert_eq!(used, 1);
}

#[test]
fn newcomers_take_the_places_of_clients_without_connections_and_no_others() {
    let world = World::new(1);
    let held: Vec<_> = (0..RECORDS as u128).map(|key| world.acquire(0, key, 1).unwrap()).collect();
    assert_eq!(world.acquire(0, 100, 1).unwrap_err(), Refusal::Full);
    held[3].release();
    let newcomer = world.acquire(0, 100, 1).unwrap();
    assert_eq!((world.open(100), world.open(3)), (1, 0));
    assert_eq!(world.acquire(1, 3, 1).unwrap_err(), Refusal::Full);
    newcomer.release();
    world.check();
}

#[test]
fn counts_reach_the_largest_limit_and_no_further() {
    let most = if cfg!(miri) { 300 } else { 32_767 };
    let world = World::new(1);
    let held: Vec<_> = (0..most).map(|n| world.acquire(u8::try_from(n % 4).unwrap(), 1, most).unwrap()).collect();
    assert_eq!(world.acquire(0, 1, most).unwrap_err(), Refusal::AtLimit);
    assert_eq!(world.open(1), most);
    held.into_iter().for_each(Lane::release);
    assert_eq!(world.open(1), 0);
}

#[test]
fn a_sweep_takes_what_the_dead_hold_and_nothing_else() {
    let world = World::new(4);
    let kept: Vec<_> = (0..20).map(|key| world.acquire(0, key, 9).unwrap()).collect();
    for key in 10..30 {
        world.acquire(1, key, 9).unwrap();
        world.acquire(19, key, 9).unwrap();
    }
    let swept = world.table(0).sweep(1 << 1 | 1 << 19);
    assert_eq!(swept.connections, 40);
    for key in 0..30 {
        assert_eq!(world.open(key), u32::from(key < 20));
    }
    assert_eq!(world.table(0).sweep(1 << 1 | 1 << 19).connections, 0);
    world.check();
    assert!(world.table(1).holds_nothing() && !world.table(0).holds_nothing());
    kept.into_iter().for_each(Lane::release);
    assert!(world.table(0).holds_nothing());
}

#[test]
fn a_walk_shows_each_client_with_connections_once() {
    let world = World::new(8);
    let held: Vec<_> = (0..60_u128).map(|n| world.acquire((n % 20) as u8, n % 40, 9).unwrap()).collect();
    held[39].release();
    let mut seen = Vec::new();
    world.table(0).for_each(|key, open| seen.push((key.bits(), open)));
    seen.sort_unstable();
    let expected: Vec<_> = (0..39).map(|key| (key, if key < 20 { 2 } else { 1 })).collect();
    assert_eq!(seen, expected);
}

/// Threads of several processes, each count against an exact oracle.
#[test]
fn threads_of_four_processes_never_pass_the_limit() {
    use core::sync::atomic::{AtomicU32, Ordering::SeqCst};
    const KEYS: usize = 24;
    let turns = if cfg!(miri) { 60 } else { 40_000 };
    let world = World::new(1);
    let out: Vec<AtomicU32> = (0..KEYS).map(|_| AtomicU32::new(0)).collect();
    std::thread::scope(|scope| {
        for thread in 0..8_u8 {
            let (world, out) = (&world, &out);
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(thread.into());
                let mut mine: Vec<(usize, Lane<'_>)> = Vec::new();
                for _ in 0..turns {
                    if random.u8(..100) < 55 && mine.len() < 6 {
                        let key = random.usize(..KEYS);
                        if let Ok(lane) = world.acquire(thread % 4, key as u128, 3) {
                            assert!(out[key].fetch_add(1, SeqCst) < 3, "over the limit");
                            mine.push((key, lane));
                        }
                    } else if !mine.is_empty() {
                        let (key, lane) = mine.swap_remove(random.usize(..mine.len()));
                        out[key].fetch_sub(1, SeqCst);
                        lane.release();
                    }
                }
                for (key, lane) in mine {
                    out[key].fetch_sub(1, SeqCst);
                    lane.release();
                }
            });
        }
    });
    assert!((0..KEYS).all(|key| world.open(key as u128) == 0));
    world.check();
    world.check_no_record_is_lost();
}
