//! Models of looking without taking part: the count of one client, and walks over all of them.

use super::*;

#[test]
fn num_open_is_true_at_some_moment() {
    model("num_open_is_true_at_some_moment", 4, 2, || {
        let world = World::new();
        let _first = world.acquire(0, 3);
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || {
            other.grow();
            other.acquire(0, 3)
        });
        let seen = world.open(0);
        assert!((1..=2).contains(&seen), "{seen} of one or two");
        let _second = thread.join().unwrap();
        assert_eq!(world.open(0), 2);
    });
}

/// A client with a connection is seen however busy its bin is.
#[test]
fn num_open_meets_neighbours() {
    model("num_open_meets_neighbours", 3, 2, || {
        let world = World::fixed();
        let _held = world.acquire(0, 1).unwrap();
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || {
            drop(other.acquire(2, 1).expect("there is room"));
            other.expire();
            drop(other.acquire(4, 1).expect("there is room"));
        });
        assert_eq!(world.open(0), 1);
        thread.join().unwrap();
    });
}

/// How often `key` is in `seen`, each time with `open` connections.
fn times(seen: &[(u32, u32)], key: u32, open: u32) -> usize {
    let seen_key = seen.iter().filter(|&&(other, _)| other == key);
    assert!(seen_key.clone().all(|&(_, count)| count == open), "a count that client {key} never had: {seen:?}");
    seen_key.count()
}

/// A walk that has to look at a bin again does not show what it has shown.
#[test]
fn a_walk_looks_again() {
    model("a_walk_looks_again", 3, 2, || {
        let world = World::fixed();
        let _held = world.acquire(0, 1).unwrap();
        drop(world.acquire(2, 1).unwrap());
        world.expire();
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || other.acquire(4, 1).expect("there is room"));
        let seen = world.walk();
        assert_eq!(times(&seen, 0, 1), 1, "a client that stays is seen once: {seen:?}");
        let _theirs = thread.join().unwrap();
    });
}

/// One client stays, another one comes to the level that is put in front meanwhile.
#[test]
fn a_walk_meets_growth() {
    model("a_walk_meets_growth", 4, 2, || {
        let world = World::new();
        let _stays = world.acquire(0, 2).unwrap();
        let _stays_too = world.acquire(0, 2).unwrap();
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || {
            other.grow();
            other.acquire(4, 1).expect("there is room")
        });
        let seen = world.walk();
        assert_eq!(times(&seen, 0, 2), 1, "a client that stays is seen once: {seen:?}");
        assert!(times(&seen, 4, 1) <= 1);
        let _new = thread.join().unwrap();
        assert_eq!(times(&world.walk(), 4, 1), 1);
    });
}

/// One client stays while the level behind its own, where it was before, is drained and freed.
#[test]
fn a_walk_meets_a_drain() {
    model("a_walk_meets_a_drain", 4, 2, || {
        let world = World::new();
        drop(world.acquire(0, 1).unwrap());
        world.grow();
        let _stays = world.acquire(0, 1).unwrap();
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || {
            let guard = pin();
            other.table.drain(other.table.levels.load(&guard), 0, 4, &guard);
            drop(guard);
            flush();
        });
        let seen = world.walk();
        assert_eq!(times(&seen, 0, 1), 1, "a client that stays is seen once: {seen:?}");
        thread.join().unwrap();
        assert_eq!(world.walk(), [(0, 1)]);
    });
}

/// One client stays in the level at the back while the level in the middle goes, and with it the walk's place.
#[test]
fn a_walk_loses_its_level() {
    model("a_walk_loses_its_level", 3, 1, || {
        let world = World::new();
        let _stays = world.acquire(0, 1).unwrap();
        world.grow();
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || {
            other.grow();
            let guard = pin();
            let middle = other.table.levels.load(&guard).levels().nth(1).unwrap();
            for _ in 0..middle.segments() {
                other.table.drain(other.table.levels.load(&guard), 0, 4, &guard);
            }
            assert_eq!(other.table.levels.load(&guard).levels().count(), 2, "the level in the middle is gone");
            drop(guard);
            flush();
        });
        let seen = world.walk();
        assert_eq!(seen, [(0, 1)], "a client that stays is seen once");
        thread.join().unwrap();
    });
}

/// What a walk shows for a slot that changes hands is the one client or the other, with a count of its own.
#[test]
fn a_walk_meets_a_slot_that_changes_hands() {
    model("a_walk_meets_a_slot_that_changes_hands", 4, 2, || {
        let world = World::fixed();
        // Three connections that have ended, and a walk that must see none of them.
        drop([(); 3].map(|()| world.acquire(0, 3).unwrap()));
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || {
            let guard = pin();
            let level = other.table.levels.load(&guard).newest();
            let segment = level.segment(0, &guard).unwrap();
            segment.bins()[0].for_each(|_, counter| assert!(counter.try_kill(other.table.clock.now())));
            drop(guard);
            for _ in 0..clock::GRACE {
                other.table.clock.tick();
            }
            other.acquire(4, 1).expect("the slot is free")
        });
        let seen = world.walk();
        assert!(times(&seen, 4, 1) == seen.len(), "not what client 4 has: {seen:?}");
        let _after = thread.join().unwrap();
        assert_eq!(world.walk(), [(4, 1)]);
    });
}
