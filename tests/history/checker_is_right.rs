//! The checker is held against trying every order, and against histories that are wrong in one known way.

use super::checker::{apply, explain};
use super::recorder::{Answer, Event};
use Answer::{Admitted, Open, Rejected, Released};
use proptest::collection::vec;
use proptest::prelude::*;

const IN: Answer = Admitted { most: 1 };
const FULL: Answer = Rejected { least: 1 };

const fn event((called, returned, answer): (u64, u64, Answer)) -> Event {
    Event { called, returned, answer }
}

/// A history from one list of (called, returned, answer) for each thread.
fn history<const N: usize>(threads: [&[(u64, u64, Answer)]; N]) -> Vec<Vec<Event>> {
    threads.map(|thread| thread.iter().copied().map(event).collect()).to_vec()
}

#[test]
fn overlapping_operations_may_be_explained_in_either_order() {
    // |--- admitted ---|   |-- released --|
    //        |-- open: 0 --|
    //                          |-- open: 0 --|
    let told = [(3, 12, Open(0)), (15, 20, Open(0))];
    let used = [(1, 10, IN), (13, 18, Released)];
    explain(&history([&used, &told])).unwrap();
}

#[test]
fn two_admissions_at_a_limit_of_one_are_not_explained() {
    let first = [(1, 4, IN)];
    let second = [(2, 5, IN)];
    explain(&history([&first, &second])).unwrap_err();
}

#[test]
fn a_release_that_was_lost_is_not_explained() {
    let first = [(1, 2, IN), (3, 4, Released)];
    let second = [(5, 6, FULL)];
    explain(&history([&first, &second])).unwrap_err();
}

#[test]
fn a_rejection_with_room_throughout_is_not_explained() {
    // The only connection was released before the rejected call began, or taken after it had returned.
    let first = [(1, 2, IN), (3, 4, Released), (9, 10, IN)];
    let second = [(5, 8, FULL)];
    explain(&history([&first, &second])).unwrap_err();
    // With the release still under way there is an explanation.
    let first = [(1, 2, IN), (3, 6, Released), (9, 10, IN)];
    explain(&history([&first, &second])).unwrap();
}

#[test]
fn a_count_that_is_out_of_date_is_not_explained() {
    let first = [(1, 2, IN), (3, 4, Released)];
    let second = [(5, 6, Open(1))];
    explain(&history([&first, &second])).unwrap_err();
}

#[test]
fn two_readers_that_saw_a_change_in_opposite_orders_are_not_explained() {
    let used = [(1, 20, IN)];
    let early = [(2, 3, Open(1))];
    let late = [(4, 5, Open(0))];
    explain(&history([&used, &early, &late])).unwrap_err();
}

fn any_answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        4 => Just(Admitted { most: 2 }),
        1 => Just(Rejected { least: 2 }),
        3 => Just(Released),
        2 => (0..3u32).prop_map(Open),
    ]
}

/// Up to six operations of three threads, with calls and returns at random places.
fn any_history() -> impl Strategy<Value = Vec<Vec<Event>>> {
    let thread = || vec((any_answer(), 1..12u64, 1..20u64), 0..3);
    [thread(), thread(), thread()].prop_map(|threads| threads.map(in_its_own_order).to_vec())
}

fn in_its_own_order(thread: Vec<(Answer, u64, u64)>) -> Vec<Event> {
    let mut clock = 0;
    let run = thread.into_iter().map(|(answer, pause, length)| {
        let called = clock + pause;
        clock = called + length;
        event((called, clock, answer))
    });
    run.collect()
}

/// Tries every order of all operations, and asks only at the end whether it was true to time and to the counter.
fn explained_by_some_order(events: &mut Vec<Event>, chosen: &mut Vec<Event>) -> bool {
    if events.is_empty() {
        let in_time =
            (0..chosen.len()).all(|late| (0..late).all(|early| chosen[early].called <= chosen[late].returned));
        let counted = chosen.iter().try_fold(0, |open, event| apply(event.answer, open));
        return in_time && counted.is_some();
    }
    (0..events.len()).any(|which| {
        chosen.push(events.swap_remove(which));
        let found = explained_by_some_order(events, chosen);
        events.extend(chosen.pop());
        let last = events.len() - 1;
        events.swap(which, last);
        found
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 20 } else { 1500 }, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_checker_agrees_with_trying_every_order(history in any_history()) {
        let mut events = history.concat();
        prop_assert_eq!(
            explain(&history).is_ok(),
            explained_by_some_order(&mut events, &mut Vec::new())
        );
    }
}
