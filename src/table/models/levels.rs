//! Models of growth, draining and shrinking.

use super::*;

#[test]
fn insert_meets_growth() {
    model("insert_meets_growth", 4, 2, || {
        let world = World::new();
        let _permits = one_permit(&world, 0, 1, World::grow);
        world.check(&[(0, 1)]);
    });
}

/// An insert that knows one level meets one that knows three: the oldest level too is closed before the newest is written.
#[test]
fn insert_meets_growth_twice() {
    model("insert_meets_growth_twice", 3, 1, || {
        let world = World::new();
        let _permits = one_permit(&world, 0, 1, |world| {
            world.grow();
            world.grow();
        });
        world.check(&[(0, 1)]);
    });
}

#[test]
#[cfg(connlimit_ideal)] // too large a world for the real epochs
fn three_inserts_meet_growth() {
    model("three_inserts_meet_growth", 2, 1, || {
        let world = World::new();
        let grower = {
            let world = Arc::clone(&world);
            thread::spawn(move || world.grow())
        };
        let _permits = one_permit(&world, 0, 1, |_| ());
        grower.join().unwrap();
        world.check(&[(0, 1)]);
    });
}

#[test]
fn two_threads_grow() {
    model("two_threads_grow", 4, 2, || {
        let world = World::new();
        let _first = world.acquire(0, 1);
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || other.acquire(4, 1).unwrap());
        let _mine = world.acquire(8, 1).unwrap();
        let _theirs = thread.join().unwrap();
        world.check(&[(0, 1), (4, 1), (8, 1)]);
    });
}

/// A client returns to an older level while that level is drained and unlinked.
#[test]
fn drain_meets_admission() {
    model("drain_meets_admission", 3, 2, || {
        let world = World::new();
        drop(world.acquire(0, 1).unwrap());
        world.grow();
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || {
            other.drain(0);
            flush();
        });
        let _mine = world.acquire(0, 1).expect("it has no other connection");
        thread.join().unwrap();
        world.check(&[(0, 1)]);
        world.drain(0);
        assert_eq!(world.levels(), 1, "a client that comes back moves to the newest level");
    });
}

/// The last connection in an older level ends while that level is drained: freed, once, after the release.
#[test]
fn drain_meets_release() {
    model("drain_meets_release", 3, 2, || {
        let world = World::new();
        let held = world.table.acquire(0, 1, PinNow).unwrap().0;
        world.grow();
        let thread = thread::spawn(move || drop(held));
        for _ in 0..2 {
            world.drain(0);
        }
        flush();
        thread.join().unwrap();
        world.check(&[]);
    });
}

fn two_drains(world: &Arc<World>) {
    world.grow();
    let other = Arc::clone(world);
    let thread = thread::spawn(move || {
        other.drain(0);
        flush();
    });
    world.drain(0);
    thread.join().unwrap();
    world.drain(0);
    assert_eq!(world.levels(), 1, "the empty level is off the list");
    world.check(&[]);
}

#[test]
fn two_threads_drain() {
    model("two_threads_drain", 3, 2, || {
        let world = World::new();
        drop(world.acquire(0, 1).unwrap());
        two_drains(&world);
    });
}

/// A segment that nobody has touched is given up once.
#[test]
fn two_threads_drain_what_nobody_touched() {
    model("two_threads_drain_what_nobody_touched", 3, 2, || two_drains(&World::new()));
}

/// A segment that a client holds is passed over, and the level goes once that client has gone.
#[test]
fn a_held_segment_is_passed_over() {
    model("a_held_segment_is_passed_over", 2, 1, || {
        let world = World::new();
        world.grow();
        world.drain(0);
        let held = world.acquire(0, 1).unwrap();
        world.grow();
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || (0..3).for_each(|_| other.drain(0)));
        world.drain(0);
        drop(held);
        thread.join().unwrap();
        (0..8).for_each(|_| world.drain(0));
        assert_eq!(world.levels(), 1, "the empty level is off the list");
    });
}

/// Growth upon growth: a client in the oldest level is found there, and so it is when the level in the middle has gone.
#[test]
fn growth_upon_growth_meets_admission() {
    model("growth_upon_growth_meets_admission", 2, 1, || {
        let world = World::new();
        let _held = world.acquire(0, 1).unwrap();
        world.grow();
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || assert!(other.acquire(0, 1).is_err(), "the limit is reached"));
        world.grow();
        (0..4).for_each(|_| world.drain(0));
        thread.join().unwrap();
        assert!(world.acquire(0, 1).is_err(), "the limit is reached");
        (0..4).for_each(|_| world.drain(0));
        assert_eq!(world.levels(), 2, "the level in the middle is off the list");
        world.check(&[(0, 1)]);
    });
}

/// A client comes back by a list from before the growth while it is looked for in the new level.
#[test]
fn revive_meets_growth() {
    model("revive_meets_growth", 3, 2, || {
        let world = World::new();
        drop(world.acquire(0, 1).unwrap());
        let _permits = one_permit(&world, 0, 1, World::grow);
        world.check(&[(0, 1)]);
    });
}

/// An insert into a level that is in use already, and that drains nothing in passing: that a client is not in its bin there
/// says nothing of the older ones, which another insert still takes for the newest.
#[test]
fn insert_meets_a_level_in_use() {
    model("insert_meets_a_level_in_use", 3, 1, || {
        const CLIENT: u32 = 0x308;
        let world = World::new();
        let _permits = one_permit(&world, CLIENT, 1, |world| {
            world.grow();
            let guard = pin();
            let _ = world.table.levels.load(&guard).newest().touch(8, &guard);
        });
        world.check(&[(CLIENT, 1)]);
    });
}

/// A client comes back by a list from before the growth while its segment is drained.
#[test]
fn revive_meets_unlink() {
    model("revive_meets_unlink", 3, 2, || {
        let world = World::new();
        drop(world.acquire(0, 1).unwrap());
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || {
            other.grow();
            other.drain(0);
            flush();
        });
        let mine = world.acquire(0, 1).expect("it has no other connection");
        thread.join().unwrap();
        world.check(&[(0, 1)]);
        drop(mine);
    });
}

/// An insert that still takes the old level for the newest meets the end of that level.
#[test]
fn insert_meets_unlink() {
    model("insert_meets_unlink", 3, 2, || {
        let world = World::new();
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || {
            let guard = pin();
            other.table.grow(other.table.levels.load(&guard), 0, &guard);
            other.table.drain(other.table.levels.load(&guard), 0, 4, &guard);
            drop(guard);
            flush();
        });
        let _mine = world.acquire(0, 1).expect("it has no other connection");
        thread.join().unwrap();
        world.check(&[(0, 1)]);
    });
}

/// The list shrinks while a client is admitted that has connections in the level that drains.
#[test]
fn shrink_meets_admission() {
    model("shrink_meets_admission", 3, 1, || {
        let world = World::new();
        let guard = pin();
        world.table.grow(world.table.levels.load(&guard), 0, &guard);
        world.table.drain(world.table.levels.load(&guard), 0, 4, &guard);
        drop(guard);
        let first = world.acquire(1, 2).unwrap().held.take();
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || {
            let guard = pin();
            let list = other.table.levels.load(&guard);
            assert!(other.table.shrink(list, || other.table.estimate(list, 2, &guard), &guard));
            assert_eq!(other.table.levels.load(&guard).newest().bins(), 1);
        });
        let second = world.acquire(1, 2).expect("two permits of two at most").held.take();
        thread.join().unwrap();
        world.check(&[(1, 2)]);
        drop((first, second));
    });
}

/// What a connection's thread did comes before what the connection admitted in its place does, also where that is on
/// another word: the client's first one was in a level that has been drained and taken off the list meanwhile.
#[test]
fn a_release_in_a_level_that_goes_happens_before_the_next_admission() {
    model("a_release_in_a_level_that_goes_happens_before_the_next_admission", 3, 1, || {
        const CLIENT: u32 = 0x301; // in the second segment of four
        let world = World::new();
        world.grow();
        world.drain(0);
        assert_eq!(world.levels(), 1);
        let held = world.acquire(CLIENT, 1).unwrap();
        world.grow();
        // Two of the other three segments go now.
        world.drain(0);
        drop(world.acquire(0x302, 1).unwrap());
        let data = Arc::new(loom::cell::UnsafeCell::new(0));
        let (other, others) = (Arc::clone(&world), Arc::clone(&data));
        let thread = thread::spawn(move || {
            // SAFETY: loom checks that the accesses are ordered; nothing but the permit orders them.
            others.with_mut(|data| unsafe { *data += 1 });
            drop(held);
            other.drain(0);
        });
        // All under one pin: the order must come from the table, not from pinning anew.
        let guard = pin();
        drop(world.table.acquire(0x303, 1, &guard));
        world.table.drain(world.table.levels.load(&guard), 0, 4, &guard);
        if let Ok(_held) = world.table.acquire(CLIENT, 1, &guard) {
            // SAFETY: as above.
            data.with_mut(|data| unsafe { *data += 1 });
        }
        drop(guard);
        thread.join().unwrap();
    });
}
