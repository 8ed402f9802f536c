#!/usr/bin/env bash
# Undefined behaviour and weak memory, by Miri. Tests that need sockets leave themselves out.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need_nightly miri rust-src
# crossbeam-epoch casts integers to pointers and breaks the rules of Stacked Borrows; under these two flags it is clean.
export MIRIFLAGS="-Zmiri-tree-borrows -Zmiri-permissive-provenance ${MIRIFLAGS:-}"
# proptest looks for its file of past failures, which Miri's isolation forbids, and Miri is slow: a few cases each.
export PROPTEST_DISABLE_FAILURE_PERSISTENCE=true PROPTEST_CASES=4
MIRIFLAGS+=" -Zmiri-env-forward=PROPTEST_DISABLE_FAILURE_PERSISTENCE -Zmiri-env-forward=PROPTEST_CASES"
cargo +nightly miri test --lib --tests --target-dir target/miri
