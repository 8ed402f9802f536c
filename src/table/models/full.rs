//! Models of a table at its bound.
//!
//! Keys with a three above their low byte do nothing in passing, neither drain nor shrink.

use super::*;

/// A client with a word in an older level meets itself: one thread finds no room in the newest level and takes the old
/// word, the other finds the room that a neighbour leaves, and kills it.
#[test]
fn a_client_without_a_place_meets_one_with_a_place() {
    model("a_client_without_a_place_meets_one_with_a_place", 3, 1, || {
        const CLIENT: u32 = 0x300;
        let world = World::bounded(1);
        drop(world.acquire(CLIENT, 1).unwrap());
        world.grow();
        let _neighbour = world.acquire(0x304, 1).unwrap();
        let leaves = world.acquire(0x308, 1).unwrap();
        assert_eq!(world.levels(), 2);
        let [mine, theirs] = one_permit(&world, CLIENT, 1, move |_| drop(leaves));
        assert!(mine.is_some() || theirs.is_some());
        world.check(&[(0x00, 1), (0x04, 1)].map(|(key, open)| (key | 0x300, open)));
    });
}

/// At the bound a client that comes back to its old word has the place it had, and its old word is not killed for nothing.
#[test]
fn a_client_that_finds_no_room_keeps_the_place_it_had() {
    model("a_client_that_finds_no_room_keeps_the_place_it_had", 3, 1, || {
        const CLIENT: u32 = 0x300;
        let world = World::bounded(1);
        drop(world.acquire(CLIENT, 2).unwrap());
        world.grow();
        let _neighbours = [0x304, 0x308].map(|key| world.acquire(key, 1).unwrap());
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || other.acquire(CLIENT, 2).expect("it has a place"));
        let _mine = world.acquire(CLIENT, 2).expect("it has a place");
        let _theirs = thread.join().unwrap();
        world.check(&[(0x300, 2), (0x304, 1), (0x308, 1)]);
    });
}

/// Nobody drains in passing where nobody gets in: a client that is rejected does it for the next one.
#[test]
fn a_rejected_client_drains_for_the_next() {
    model("a_rejected_client_drains_for_the_next", 2, 1, || {
        let world = World::bounded(3);
        let leaves = world.acquire(0x302, 1).unwrap();
        world.grow();
        let _held = [0x304, 0x308].map(|key| world.acquire(key, 1).unwrap());
        let thread = thread::spawn(move || drop(leaves));
        let early = world.acquire(0x30c, 1).is_ok();
        thread.join().unwrap();
        let _late = (0..3).find_map(|_| world.acquire(0x310, 1).ok());
        // The level that nobody is in any more has given its memory back, and that is room for a level or a block.
        assert!(early || _late.is_some() || !cfg!(connlimit_ideal), "the old level is still there");
    });
}

/// Places without connections are places, also for a client that comes alone: it lets time pass and looks again.
#[test]
fn nobody_is_rejected_where_nobody_has_a_connection() {
    model("nobody_is_rejected_where_nobody_has_a_connection", 3, 1, || {
        let world = World::fixed();
        [0, 2].into_iter().for_each(|key| drop(world.acquire(key, 1).unwrap()));
        let other = Arc::clone(&world);
        // A release is not pinned, and takes nobody's time.
        let held = other.acquire(0, 1).unwrap();
        let thread = thread::spawn(move || drop(held));
        let mine = world.acquire(4, 1);
        // The real epoch may stand still: loom lets a thread read another one's old pin forever.
        assert!(mine.is_ok() || !cfg!(connlimit_ideal), "there is a place without a connection");
        thread.join().unwrap();
        drop(mine);
        world.check(&[]);
    });
}

/// A caller that holds a guard is told so at once: its pin stops the clock that it would wait for. A batch lets go by
/// itself, while others come and go.
#[test]
#[cfg(connlimit_ideal)] // too large a world for the real epochs
fn a_pinned_caller_does_not_wait_for_itself() {
    model("a_pinned_caller_does_not_wait_for_itself", 3, 1, || {
        let world = World::fixed();
        [0, 2].into_iter().for_each(|key| drop(world.acquire(key, 1).unwrap()));
        let guard = pin();
        let before = world.table.clock.now();
        assert_eq!(world.table.acquire(4, 1, &guard).err(), Some(Refusal::Full));
        assert_eq!(world.table.clock.now(), before, "it has not let time pass");
        drop(guard);
        let held = world.acquire(0, 1).ok();
        let thread = thread::spawn(move || drop(held));
        let mut batch = pin();
        let _ = world.table.acquire(4, 1, &mut batch);
        drop(batch);
        thread.join().unwrap();
        world.check(&[]);
    });
}

/// A table that was full to the last byte becomes smaller: what that takes is kept from everybody else.
#[test]
fn a_table_at_its_bound_shrinks() {
    model("a_table_at_its_bound_shrinks", 3, 1, || {
        let world = World::bounded(4);
        world.grow();
        world.drain(0);
        let held: Vec<_> = (0..12).filter_map(|n| world.acquire(0x304 + n, 1).ok()).collect();
        assert!(held.len() >= 4);
        assert!(world.table.budget.reserve(world.table.budget.left_for_room(), Purpose::Room), "to the last byte");
        let before = world.table.budget.reserved();
        let thread = thread::spawn(move || drop(held));
        let guard = pin();
        let shrink = || {
            let list = world.table.levels.load(&guard);
            world.table.shrink(list, || world.table.estimate(list, 0x304, &guard), &guard)
        };
        let early = shrink();
        thread.join().unwrap();
        assert!(early || shrink(), "there is memory for a smaller level");
        let budget = &world.table.budget;
        assert!(before < budget.reserved() && budget.reserved() <= budget.bound(), "a level more");
    });
}

/// What parked connections hold is not waited for when the table should become smaller: it is counted once, whoever finds
/// it, and not any more when it has gone.
#[test]
#[cfg(connlimit_ideal)] // too large a world for the real epochs
fn a_parked_connection_does_not_keep_the_table_large() {
    model("a_parked_connection_does_not_keep_the_table_large", 3, 1, || {
        let world = World::new();
        let parked = world.acquire(0x300, 1).unwrap();
        world.grow();
        let guard = pin();
        let old = || world.table.levels.load(&guard).older().next();
        assert_eq!(old().map(Level::undrained), Some(1), "nobody has looked whether it can go");
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || other.drain(0));
        world.drain(0);
        thread.join().unwrap();
        assert_eq!(old().map(|level| (level.left(), level.undrained())), Some((1, 0)), "it holds one connection");
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || other.drain(0));
        drop(parked);
        world.drain(0);
        thread.join().unwrap();
        let level = world.table.levels.load(&guard).older().next();
        assert!(level.is_none_or(|level| level.undrained() == 0));
        drop(guard);
        world.drain(0);
        assert_eq!(world.levels(), 1, "it has gone");
    });
}

/// A level is denied once, not each time; and when memory has come back it is asked for again.
#[test]
fn growth_that_was_denied_is_tried_when_memory_has_come_back() {
    model("growth_that_was_denied_is_tried_when_memory_has_come_back", 3, 1, || {
        let world = World::bounded(3);
        world.grow();
        let _held = [0x304, 0x308].map(|key| world.acquire(key, 1).unwrap());
        world.grow();
        assert_eq!(world.levels(), 2, "there is no memory for a third");
        assert!(world.table.budget.is_exhausted());
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || {
            other.drain(0);
            flush();
        });
        world.grow();
        thread.join().unwrap();
        flush();
        world.grow();
        // It has come back, in whichever order the two went.
        let newest = world.table.levels.load(&pin()).newest().bins();
        assert!(newest == 1 || !cfg!(connlimit_ideal), "a level of {newest} bins");
    });
}

/// Two segments with overflow blocks behind them, and a limiter that goes while permits point into both.
#[test]
fn a_preallocated_table_ends_with_its_permits() {
    model("a_preallocated_table_ends_with_its_permits", 4, 2, || {
        let each = 2 * (Level::<u32>::bytes(2) + 2 * size_of::<<u32 as Key>::Overflow>());
        let table = Table::<u32>::new(each, true).unwrap();
        let held = [0, 2, 4].map(|key| table.acquire(key, 1, PinNow).unwrap().0);
        let threads = held.map(|held| thread::spawn(move || drop(held)));
        drop(table);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}
