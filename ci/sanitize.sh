#!/usr/bin/env bash
# The tests under AddressSanitizer (`address`) or ThreadSanitizer (`thread`).
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

host=$(rustc -vV | sed -n 's/^host: //p')
case ${1:-} in
  address)
    need_nightly
    RUSTFLAGS="-Zsanitizer=address" \
      cargo +nightly test --lib --tests --target "$host" --target-dir target/asan
    ;;
  thread)
    # The standard library has to be instrumented too, or its synchronisation is not seen; the cfg replaces the fences
    # of crossbeam-epoch, which ThreadSanitizer does not understand.
    need_nightly rust-src
    RUSTFLAGS="-Zsanitizer=thread --cfg crossbeam_sanitize_thread" \
      cargo +nightly test --lib --tests -Zbuild-std --target "$host" --target-dir target/tsan
    ;;
  *) fail "usage: ci/sanitize.sh address|thread" ;;
esac
