//! Models of places that go from one client to another: the grace clock, and readers with an old header.

use super::*;

#[test]
fn revive_meets_stamp() {
    model("revive_meets_stamp", 4, 3, || {
        let world = World::new();
        drop(world.acquire(0, 1).unwrap());
        let other = Arc::clone(&world);
        // Its insert into the same bin stamps the other's word.
        let thread = thread::spawn(move || other.acquire(2, 1).expect("there is room"));
        let _mine = world.acquire(0, 1).expect("it has no other connection");
        let _theirs = thread.join().unwrap();
        world.check(&[(0, 1), (2, 1)]);
    });
}

/// I4, the short way: a slot passes from a client to the next while the first one comes back.
#[test]
#[cfg_attr(not(connlimit_ideal), ignore = "with real epochs one preemption takes minutes: ci/nightly.sh has them")]
fn revive_meets_reuse() {
    model("revive_meets_reuse", 3, 2, || {
        let world = World::new();
        drop(world.acquire(0, 1).unwrap());
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || other.acquire(0, 1).expect("it has no other connection"));
        drop(world.acquire(2, 1));
        tick(&world, 3);
        drop(world.acquire(4, 1));
        let _theirs = thread.join().unwrap();
        world.check(&[(0, 1)]);
    });
}

/// I4, the long way: a tick is on its way when the stamping thread reads the clock, the next one is deferred before
/// its stamp lands, and the late admission pins in between. With a grace of two this is the hole; and so it is with one
/// of three if a tick can be deferred while another one is pending.
#[test]
#[cfg(connlimit_ideal)]
fn stamp_meets_two_ticks() {
    model("stamp_meets_two_ticks", 4, 1, || {
        let world = World::fixed();
        drop(world.acquire(0, 1).unwrap());
        let early = pin();
        Clock::request_tick(&world.table.clock, &early);
        Clock::request_tick(&world.table.clock, &early);
        let stamper = {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                drop(world.acquire(2, 1)); // stamps client 0
                drop(world.acquire(4, 1)); // takes over its slot, if that may be
            })
        };
        let late = {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                drop(early);
                Clock::request_tick(&world.table.clock, &pin());
                world.acquire(0, 1)
            })
        };
        stamper.join().unwrap();
        let _late = late.join().unwrap();
        assert!(world.open(2) == 0 && world.open(4) == 0, "a permit landed on another client's word");
    });
}

/// I4, the clock alone: a word, and whether a thread that saw it alive is still pinned.
#[cfg(connlimit_ideal)]
struct Grace {
    clock: Arc<Clock>,
    word: Counter,
    inside: std::sync::atomic::AtomicBool,
}

#[cfg(connlimit_ideal)]
impl Grace {
    fn new() -> Arc<Self> {
        Arc::new(Self { clock: Clock::new(), word: Counter::new(0), inside: false.into() })
    }

    fn request(&self) {
        Clock::request_tick(&self.clock, &pin());
    }

    /// A late admission, in another thread.
    fn late(this: &Arc<Self>) -> thread::JoinHandle<()> {
        let grace = Arc::clone(this);
        thread::spawn(move || {
            let guard = pin();
            grace.inside.store(!grace.word.observe().is_dead(), SeqCst);
            grace.word.peek(); // other threads may run here
            grace.inside.store(false, SeqCst);
            drop(guard);
        })
    }

    fn check(&self, stamp: u32) {
        if Clock::has_expired(stamp, self.clock.now()) {
            assert!(!self.inside.load(SeqCst), "a thread may still admit on the word");
        }
    }
}

#[test]
#[cfg(connlimit_ideal)]
fn a_stamp_outlasts_whoever_saw_the_word_alive() {
    model("a_stamp_outlasts_whoever_saw_the_word_alive", 4, 1, || {
        let grace = Grace::new();
        let early = pin();
        (0..3).for_each(|_| Clock::request_tick(&grace.clock, &early));
        let late = Grace::late(&grace);
        let stamps = pin();
        let now = grace.clock.now();
        drop(early);
        grace.request();
        grace.word.try_kill(now);
        drop(stamps);
        grace.check(now);
        (0..3).for_each(|_| grace.request());
        grace.check(now);
        late.join().unwrap();
        (0..3).for_each(|_| grace.request());
        assert!(Clock::has_expired(now, grace.clock.now()), "the clock moves when nobody is pinned");
    });
}

/// The same while a tick is half done: who asks for the next one then must not get ahead of it.
#[test]
#[cfg(connlimit_ideal)]
fn a_stamp_meets_half_a_tick() {
    model("a_stamp_meets_half_a_tick", 4, 1, || {
        let grace = Grace::new();
        let early = pin();
        Clock::request_tick(&grace.clock, &early);
        let ticker = thread::spawn(move || drop(early));
        let late = Grace::late(&grace);
        let asks = pin();
        Clock::request_tick(&grace.clock, &asks);
        let stamps = pin();
        let now = grace.clock.now();
        drop(asks);
        grace.request();
        grace.word.try_kill(now);
        drop(stamps);
        ticker.join().unwrap();
        grace.check(now);
        late.join().unwrap();
    });
}

#[test]
#[cfg(connlimit_ideal)] // too large a world for the real epochs
fn a_stamp_expires_and_the_slot_serves_again() {
    model("a_stamp_expires_and_the_slot_serves_again", 2, 1, || {
        let world = World::fixed();
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || drop(other.acquire(0, 1)));
        drop(world.acquire(2, 1));
        thread.join().unwrap();
        // Both slots are used up; two more clients need them back.
        let mut held = Vec::new();
        for key in [4, 6] {
            for _ in 0..8 {
                match world.acquire(key, 1) {
                    Ok(out) => {
                        held.push(out);
                        break;
                    }
                    // It has asked for a tick itself.
                    Err(_) => flush(),
                }
            }
        }
        assert!(held.len() == 2, "the clock does not move");
        world.check(&held.iter().map(|out| (out.key, 1)).collect::<Vec<_>>());
    });
}

/// A reader that holds an old header meets a slot that changes hands: neither a key nor a count that it sees there
/// before publication may be trusted.
#[cfg(connlimit_ideal)]
fn slot_changes_hands(key: u32) {
    let world = World::fixed();
    drop(world.acquire(0, 1).unwrap());
    world.expire();
    let threads = [(); 2].map(|()| {
        let world = Arc::clone(&world);
        thread::spawn(move || world.acquire(key, 3))
    });
    let mine = world.acquire(key, 3);
    let [first, second] = threads.map(|thread| thread.join().unwrap());
    // While the other two have claims in both slots, a third one finds no room, in a table that cannot grow.
    let answers = [&mine, &first, &second];
    let admitted = answers.iter().filter(|answer| answer.is_ok()).count();
    assert!(
        admitted >= 2 && answers.iter().all(|answer| answer.as_ref().err().is_none_or(|why| *why == Refusal::Full))
    );
    world.check(&[(key, u32::try_from(admitted).unwrap())]);
}

/// A collector reads the clock, the clock moves, and another thread stamps a word with the new time: to the first one that
/// stamp is from the future, not from long ago.
#[test]
#[cfg(connlimit_ideal)]
fn a_clock_that_is_behind_meets_a_fresh_stamp() {
    model("a_clock_that_is_behind_meets_a_fresh_stamp", 3, 1, || {
        let world = World::fixed();
        let _neighbour = world.acquire(2, 1).unwrap();
        drop(world.acquire(0, 1).unwrap()); // both slots are taken, and no insert has stamped this one
        let early = pin();
        Clock::request_tick(&world.table.clock, &early);
        let newcomer = {
            let world = Arc::clone(&world);
            thread::spawn(move || drop(world.acquire(4, 1)))
        };
        let returning = {
            let world = Arc::clone(&world);
            thread::spawn(move || world.acquire(0, 1))
        };
        drop(early);
        world.try_kill(world.table.clock.now()); // client 0, with the new time
        newcomer.join().unwrap();
        let _returning = returning.join().unwrap();
        assert_eq!(world.open(4), 0, "a permit landed on another client's word");
    });
}

/// The same in short: a thread that is pinned since before the stamp may still admit, so the place must not be used again.
#[test]
#[cfg(connlimit_ideal)]
fn a_fresh_stamp_is_not_taken_for_an_old_one() {
    model("a_fresh_stamp_is_not_taken_for_an_old_one", 3, 1, || {
        let world = World::fixed();
        let _neighbour = world.acquire(2, 1).unwrap();
        drop(world.acquire(0, 1).unwrap()); // both slots are taken
        let early = pin();
        Clock::request_tick(&world.table.clock, &early);
        let watcher = pin();
        let stamper = {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                drop(early); // the clock moves
                world.try_kill(world.table.clock.now());
            })
        };
        // One preemption in here, between two looks, and the other thread runs to its end.
        assert_eq!(world.acquire(4, 1).err(), Some(Refusal::Full), "somebody may still admit there");
        drop(watcher);
        stamper.join().unwrap();
    });
}

/// A client comes back to a slot that is on its way to another one: the old header does not vouch for the new count.
#[test]
fn an_old_header_meets_a_new_client() {
    model("an_old_header_meets_a_new_client", 4, 2, || {
        let world = World::fixed();
        drop(world.acquire(0, 1).unwrap());
        world.expire();
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || other.acquire(4, 3).expect("there are two slots"));
        let _mine = world.acquire(0, 3).expect("there are two slots");
        let _theirs = thread.join().unwrap();
        world.check(&[(0, 1), (4, 1)]);
    });
}

#[test]
#[cfg(connlimit_ideal)] // too large a world for the real epochs
fn a_slot_goes_to_another_client() {
    model("a_slot_goes_to_another_client", 3, 1, || slot_changes_hands(4));
}

#[test]
#[cfg(connlimit_ideal)] // too large a world for the real epochs
fn a_slot_goes_to_the_same_client_again() {
    model("a_slot_goes_to_the_same_client_again", 3, 1, || slot_changes_hands(0));
}
