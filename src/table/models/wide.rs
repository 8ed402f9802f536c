//! Models with segments of two bins, and two inline slots per bin: what is about more than one of these.

use super::*;

/// A key that this model's hash puts into bin `bin` of the segment, and that neither drains nor shrinks in passing.
const fn key(bin: u32, number: u32) -> u32 {
    0x300 | number << 2 | bin
}

/// Two threads drain a segment bin by bin while the connection in one of its bins ends: the mark says only what is so, and
/// what is freed is freed after the release.
#[test]
fn two_drains_advance_one_mark() {
    model("two_drains_advance_one_mark", 3, 1, || {
        let world = World::new();
        let held = [0, 1].map(|bin| world.table.acquire(key(bin, 0), 1, PinNow).unwrap().0);
        world.grow();
        let threads = held.map(|held| thread::spawn(move || drop(held)));
        let other = Arc::clone(&world);
        let drains = thread::spawn(move || {
            let guard = pin();
            (0..2).for_each(|_| other.table.drain(other.table.levels.load(&guard), 0, 1, &guard));
        });
        let guard = pin();
        (0..2).for_each(|_| world.table.drain(world.table.levels.load(&guard), 0, 1, &guard));
        drop(guard);
        drains.join().unwrap();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        (0..4).for_each(|_| world.drain(0));
        assert_eq!(world.levels(), 1, "the empty level is off the list");
        world.check(&[]);
    });
}

/// A client's dead word and its live one are both inline: the first candidate is not the one.
#[test]
fn the_second_candidate_is_the_client() {
    model("the_second_candidate_is_the_client", 3, 1, || {
        let world = World::fixed();
        drop(world.acquire(key(0, 0), 2).unwrap());
        world.try_kill(world.table.clock.now());
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || other.acquire(key(0, 0), 2).expect("there is room"));
        let _mine = world.acquire(key(0, 0), 2).expect("there is room");
        let _theirs = thread.join().unwrap();
        world.check(&[(key(0, 0), 2)]);
    });
}

/// A claim clears two slots at once while a client of one of them comes back by an old header.
#[test]
fn a_claim_that_clears_two_slots_meets_their_clients() {
    model("a_claim_that_clears_two_slots_meets_their_clients", 3, 1, || {
        let world = World::fixed();
        [0, 1].into_iter().for_each(|number| drop(world.acquire(key(0, number), 1).unwrap()));
        world.expire();
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || other.acquire(key(0, 2), 3).expect("there is room"));
        let _mine = world.acquire(key(0, 1), 3).expect("there is room");
        let _theirs = thread.join().unwrap();
        world.check(&[(key(0, 1), 1), (key(0, 2), 1)]);
    });
}

/// A wide key is written in halves: a reader with an old header may meet the half of one client and the half of another,
/// which is a third one's key.
#[test]
fn a_torn_key_is_nobodys() {
    model("a_torn_key_is_nobodys", 3, 1, || {
        const OLD: u128 = 1 << 64 | 0x300;
        const NEW: u128 = 2 << 64 | 0x304;
        // As torn from the two.
        const TORN: [u128; 2] = [1 << 64 | 0x304, 2 << 64 | 0x300];
        let mut table = Table::<u128>::new(usize::MAX / 2, false).unwrap();
        table.fixed = true;
        drop([(); 2].map(|()| table.acquire(OLD, 2, PinNow).unwrap()));
        {
            let guard = pin();
            let segment = table.levels.load(&guard).newest().segment(0, &guard).unwrap();
            segment.bins()[0].for_each(|_, counter| assert!(counter.try_kill(table.clock.now())));
        }
        (0..clock::GRACE).for_each(|_| table.clock.tick());
        let table = Arc::new(table);
        let other = Arc::clone(&table);
        let thread = thread::spawn(move || other.acquire(NEW, 2, PinNow).expect("the slot is free").0);
        for torn in TORN {
            assert_eq!(table.open(torn, &pin()), 0, "nobody has ever had this key");
        }
        let admitted = table.acquire(TORN[0], 2, PinNow).map(|(_, open)| open);
        assert!(matches!(admitted, Ok(1)), "its first connection");
        let _theirs = thread.join().unwrap();
        assert_eq!(table.open(NEW, &pin()), 1);
    });
}
