//! Models of the limiter's end.

use super::*;

#[test]
fn the_limiter_goes_while_permits_are_released() {
    model("the_limiter_goes_while_permits_are_released", 5, 3, || {
        let table = Table::<u32>::new(usize::MAX / 2, false).unwrap();
        let held = [0, 0, 4].map(|key| table.acquire(key, 2, PinNow).unwrap().0);
        let threads = held.map(|held| thread::spawn(move || drop(held)));
        drop(table);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// Two words of one segment: whoever ends last frees it, after all that the other one did.
#[test]
fn two_clients_of_one_segment_outlive_the_limiter() {
    model("two_clients_of_one_segment_outlive_the_limiter", 5, 3, || {
        let mut table = Table::<u32>::new(usize::MAX / 2, false).unwrap();
        table.fixed = true;
        let held = [0, 2].map(|key| table.acquire(key, 1, PinNow).unwrap().0);
        let threads = held.map(|held| thread::spawn(move || drop(held)));
        drop(table);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn a_permit_outlives_the_limiter() {
    model("a_permit_outlives_the_limiter", 5, 3, || {
        let table = Table::<u32>::new(usize::MAX / 2, false).unwrap();
        let first = table.acquire(0, 2, PinNow).unwrap().0;
        let second = table.acquire(0, 2, PinNow).unwrap().0;
        drop(table);
        let thread = thread::spawn(move || drop(first));
        drop(second);
        thread.join().unwrap();
    });
}
