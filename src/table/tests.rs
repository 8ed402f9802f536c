//! What the models cannot see: memory as it is laid out in normal builds. For Miri above all.

use super::*;
use crate::epoch::PinNow;
use slots::Slots;

/// A table of one level of one segment whose clients are in the bins and in their overflow blocks, with their permits.
fn full<K: Key>(furnished: bool, key: fn(u32) -> K) -> (Table<K>, Vec<CountGuard>) {
    let blocks = BINS * size_of::<K::Overflow>();
    let bytes = if furnished { 2 * Table::<K>::SMALLEST + blocks } else { Table::<K>::SMALLEST + blocks };
    let table = Table::<K>::new(bytes, furnished).unwrap();
    let held: Vec<_> = (0..)
        .take(2 * BINS * K::Inline::LEN)
        .filter_map(|n| table.acquire(key(n), 2, PinNow).ok())
        .map(|held| held.0)
        .collect();
    assert_eq!(table.census().levels, 1);
    assert!(held.len() > BINS * K::Inline::LEN, "{} clients: some are in overflow blocks", held.len());
    (table, held)
}

fn permits_outlive_their_table<K: Key>(key: fn(u32) -> K) {
    for furnished in [false, true] {
        let (table, mut held) = full(furnished, key);
        let again: Vec<_> = (0..20).filter_map(|n| table.acquire(key(n), 2, PinNow).ok()).collect();
        // Some end before the table, some after it, in another order, and the last in another thread.
        held.truncate(held.len() - 5);
        drop(table);
        let half = held.split_off(held.len() / 2);
        held.reverse();
        drop(held);
        drop(again);
        std::thread::spawn(move || drop(half)).join().unwrap();
    }
}

#[test]
fn permits_of_narrow_keys_outlive_their_table_inline_and_in_blocks() {
    permits_outlive_their_table::<u32>(|n| n);
}

#[test]
fn permits_of_wide_keys_outlive_their_table_inline_and_in_blocks() {
    permits_outlive_their_table::<u128>(|n| u128::from(n) << 64 | 1);
}

/// A client finds its place again after all others have come and gone.
#[test]
fn the_mapping_of_hashes_to_bins_covers_a_level_of_any_size() {
    let (table, held) = full::<u32>(true, |n| n);
    let guard = pin();
    let level = table.levels.load(&guard).newest();
    let last = level.segment(u64::from(u32::MAX), &guard).expect("preallocated");
    let first = level.segment(0, &guard).expect("preallocated");
    assert!(core::ptr::eq(level.bin(&first, 0), &raw const first.bins()[0]));
    assert!(core::ptr::eq(level.bin(&last, u64::from(u32::MAX)), &raw const last.bins()[BINS - 1]));
    drop(held);
}
