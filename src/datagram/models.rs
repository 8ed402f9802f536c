//! Models of the places. How they run is said in `table::models`.

use super::places::Places;
use crate::sync::Arc;
use crate::table::model;
use core::time::Duration;
use loom::thread;

/// As many preemptions as there can be.
const UNBOUNDED: usize = 99;
const HOLD: u64 = 10;

fn places(places: u8) -> Arc<Places> {
    Arc::new(Places::new(places, Duration::from_nanos(HOLD)))
}

/// Three threads, two places: exactly two find one, and not the same.
#[test]
fn threads_never_share_a_place() {
    model("threads_never_share_a_place", UNBOUNDED, UNBOUNDED, || {
        let places = places(2);
        let others = [1, 2].map(|now| {
            let places = Arc::clone(&places);
            thread::spawn(move || places.take_at(now).is_some())
        });
        let mine = places.take_at(3).is_some();
        let theirs = others.map(|thread| thread.join().unwrap());
        let found = [mine, theirs[0], theirs[1]];
        assert_eq!(found.into_iter().filter(|&found| found).count(), 2, "{found:?}");
    });
}

/// A place is given back by one thread while another looks for one, and found at most once.
#[test]
fn a_place_given_back_is_taken_once() {
    model("a_place_given_back_is_taken_once", UNBOUNDED, UNBOUNDED, || {
        let places = places(1);
        let taken = places.take_at(1).unwrap();
        let other = Arc::clone(&places);
        let thread = thread::spawn(move || other.take_at(3));
        places.give_back_at(taken, 2);
        let mine = places.take_at(4);
        let theirs = thread.join().unwrap();
        assert!(mine.is_some() != theirs.is_some(), "{mine:?} {theirs:?}");
    });
}

/// A place changes hands when its time has passed. The first taker gives back nothing then, though its clock stands
/// still and though the clock of the third says what the first one's said.
#[test]
fn a_late_taker_gives_back_nothing() {
    model("a_late_taker_gives_back_nothing", UNBOUNDED, UNBOUNDED, || {
        let places = places(1);
        let late = places.take_at(1).unwrap();
        let other = Arc::clone(&places);
        let thread = thread::spawn(move || {
            let second = other.take_at(1 + HOLD).unwrap();
            let while_taken = other.take_at(1 + HOLD);
            assert!(while_taken.is_none(), "it was given back by the first: {while_taken:?}");
            other.give_back_at(second, 2 + HOLD);
            other.take_at(1)
        });
        places.give_back_at(late, HOLD);
        let third = thread.join().unwrap();
        assert!(third.is_none() || places.take_at(2).is_none(), "{third:?} was given back by the first");
    });
}
