#!/usr/bin/env bash
# The tests under AddressSanitizer (`address`) or ThreadSanitizer (`thread`).
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# What races and what frees; the adapters add no unsafe code and no atomics.
tests=(--lib --test hand_written_limiters --test history --test stress)
host=$(rustc -vV | sed -n 's/^host: //p')
case ${1:-} in
  address)
    need_nightly
    # Freed memory is not kept back for long: a test looks at the size of the process.
    RUSTFLAGS="-Zsanitizer=address" ASAN_OPTIONS="quarantine_size_mb=1" LSAN_OPTIONS="suppressions=$PWD/ci/lsan.supp" \
      cargo +nightly test "${tests[@]}" --target "$host" --target-dir target/asan
    ;;
  thread)
    # The standard library has to be instrumented too, or its synchronisation is not seen; the cfg replaces the fences
    # of crossbeam-epoch, which ThreadSanitizer does not understand.
    need_nightly rust-src
    RUSTFLAGS="-Zsanitizer=thread --cfg crossbeam_sanitize_thread" \
      cargo +nightly test "${tests[@]}" -Zbuild-std --target "$host" --target-dir target/tsan
    ;;
  *) fail "usage: ci/sanitize.sh address|thread" ;;
esac
