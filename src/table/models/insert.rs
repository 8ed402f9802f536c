//! Models of inserts that meet in a bin, and of the limit.

use super::*;

#[test]
fn two_inserts_of_one_key() {
    model("two_inserts_of_one_key", 5, 3, || {
        let world = World::new();
        let _permits = one_permit(&world, 0, 1, |_| ());
        world.check(&[(0, 1)]);
    });
}

#[test]
fn two_inserts_share_a_bin() {
    model("two_inserts_share_a_bin", 5, 3, || {
        let world = World::fixed();
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || other.acquire(2, 1).expect("there is room"));
        let _mine = world.acquire(0, 1).expect("there is room");
        let _theirs = thread.join().unwrap();
        world.check(&[(0, 1), (2, 1)]);
    });
}

#[test]
#[cfg(connlimit_ideal)] // too large a world for the real epochs
fn three_inserts_of_one_key_and_its_neighbour() {
    model("three_inserts_of_one_key_and_its_neighbour", 3, 1, || {
        let world = World::fixed();
        let threads = [0, 2].map(|key| {
            let world = Arc::clone(&world);
            thread::spawn(move || world.acquire(key, 1))
        });
        let mine = world.acquire(0, 1);
        let [same, neighbour] = threads.map(|thread| thread.join().unwrap());
        assert!(mine.is_ok() != same.is_ok(), "one place, one permit");
        // While claims are out in both slots there is no room, though one of them is given back.
        match neighbour {
            Ok(_) => world.check(&[(0, 1), (2, 1)]),
            Err(refusal) => {
                assert_eq!(refusal, Refusal::Full);
                world.check(&[(0, 1)]);
            }
        }
    });
}

#[test]
fn two_admissions_for_one_place() {
    model("two_admissions_for_one_place", 5, 3, || {
        let world = World::new();
        let _held = world.acquire(0, 2).unwrap();
        let _permits = one_permit(&world, 0, 2, |_| ());
        world.check(&[(0, 2)]);
    });
}

/// A claim that is given back has left its key in the slot: the next client's key comes after it.
#[test]
fn a_claim_given_back_meets_the_next_client() {
    model("a_claim_given_back_meets_the_next_client", 3, 1, || {
        let world = World::fixed();
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || other.acquire(4, 2).expect("one slot is enough"));
        let guard = pin();
        let first = world.table.acquire(4, 2, &guard).expect("one slot is enough");
        // Full while the other one's claim is out.
        let second = world.table.acquire(2, 1, &guard).ok();
        drop(guard);
        let _theirs = thread.join().unwrap();
        world.check(if second.is_some() { &[(2, 1), (4, 2)] } else { &[(4, 2)] });
        drop((first, second));
    });
}

/// One thread puts the overflow block there, another one uses it.
#[test]
fn two_inserts_meet_in_the_overflow_block() {
    model("two_inserts_meet_in_the_overflow_block", 4, 2, || {
        let world = World::fixed();
        let _held = world.acquire(0, 1).unwrap();
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || other.acquire(2, 2).ok());
        // Full while the other one's claim is out.
        let mine = world.acquire(2, 2).ok();
        let theirs = thread.join().unwrap();
        let open = u32::from(mine.is_some()) + u32::from(theirs.is_some());
        assert!(open > 0, "there is room for one client");
        world.check(&[(0, 1), (2, open)]);
    });
}

#[test]
fn release_at_the_limit() {
    model("release_at_the_limit", 5, 3, || {
        let world = World::new();
        let held = world.acquire(0, 1).unwrap();
        let thread = thread::spawn(move || drop(held));
        let mine = world.acquire(0, 1);
        thread.join().unwrap();
        world.check(if mine.is_ok() { &[(0, 1)] } else { &[] });
    });
}

#[test]
fn below_the_limit_nobody_is_refused() {
    model("below_the_limit_nobody_is_refused", 5, 3, || {
        let world = World::new();
        let first = world.acquire(0, 3).unwrap().held.take();
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || drop(other.acquire(0, 3).expect("two permits of three at most")));
        drop(world.acquire(0, 3).expect("two permits of three at most"));
        drop(first);
        drop(world.acquire(0, 3).expect("two permits of three at most"));
        thread.join().unwrap();
        world.check(&[]);
    });
}

/// I6: however many attempts fail, none makes another one fail.
#[test]
fn a_rejected_attempt_changes_nothing() {
    model("a_rejected_attempt_changes_nothing", 5, 2, || {
        let world = World::new();
        let held = world.table.acquire(0, 2, PinNow).unwrap().0;
        let other = Arc::clone(&world);
        // By a limit of one this client is full: refused at every moment until the release.
        let thread = thread::spawn(move || drop(other.acquire(0, 1)));
        drop(world.acquire(0, 2).expect("one permit of two at most"));
        drop(held);
        drop(world.acquire(0, 2).expect("one permit of two at most"));
        thread.join().unwrap();
        world.check(&[]);
    });
}

/// What a connection's thread did comes before what the connection admitted in its place does.
#[test]
fn release_happens_before_the_next_admission() {
    model("release_happens_before_the_next_admission", 4, 2, || {
        let world = World::new();
        let data = Arc::new(loom::cell::UnsafeCell::new(0));
        let write = |world: &World, data: &loom::cell::UnsafeCell<u32>, value| {
            if let Ok(_held) = world.acquire(0, 1) {
                // SAFETY: loom checks that the accesses are ordered; nothing but the permit orders them.
                data.with_mut(|data| unsafe { *data = value });
            }
        };
        let (other, others) = (Arc::clone(&world), Arc::clone(&data));
        let thread = thread::spawn(move || write(&other, &others, 1));
        write(&world, &data, 2);
        thread.join().unwrap();
    });
}

/// The same for a word that is there already.
#[test]
fn a_release_happens_before_the_admission_in_its_place() {
    model("a_release_happens_before_the_admission_in_its_place", 5, 3, || {
        let world = World::new();
        drop(world.acquire(0, 1).unwrap());
        let data = Arc::new(loom::cell::UnsafeCell::new(0));
        let write = |world: &World, data: &loom::cell::UnsafeCell<u32>| {
            if let Ok(_held) = world.acquire(0, 1) {
                // SAFETY: loom checks that the accesses are ordered; nothing but the permit orders them.
                data.with_mut(|data| unsafe { *data += 1 });
            }
        };
        let (other, others) = (Arc::clone(&world), Arc::clone(&data));
        let thread = thread::spawn(move || write(&other, &others));
        write(&world, &data);
        thread.join().unwrap();
    });
}
