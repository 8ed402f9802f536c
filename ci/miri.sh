#!/usr/bin/env bash
# Undefined behaviour and weak memory, by Miri. Tests that need sockets leave themselves out.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need_nightly miri rust-src
# crossbeam-epoch casts integers to pointers and breaks the rules of Stacked Borrows; under these two flags it is clean.
export MIRIFLAGS="-Zmiri-tree-borrows -Zmiri-permissive-provenance -Zmiri-disable-isolation -Zmiri-ignore-leaks ${MIRIFLAGS:-}"
# The epoch's collector lives as long as the process, so Miri would report what it holds at the end as leaked; leaks
# are the business of tests/memory.rs, the models and AddressSanitizer.
# Isolation is off because tests read files of vectors. Miri is slow: a few cases for each property.
export PROPTEST_DISABLE_FAILURE_PERSISTENCE=true PROPTEST_CASES=4
cargo +nightly miri test --lib --test hand_written_limiters --test traits --target-dir target/miri
