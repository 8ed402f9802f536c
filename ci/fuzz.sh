#!/usr/bin/env bash
# Every fuzz target for FUZZ_SECONDS (20 unless told).
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[[ -f fuzz/Cargo.toml ]] || fail "fuzz/Cargo.toml is missing"
need_nightly
command -v c++ >/dev/null || skip "libFuzzer needs a C++ compiler"
cargo fuzz --version || cargo install cargo-fuzz --locked || skip "cargo-fuzz cannot be installed"

targets=$(cargo +nightly fuzz list)
[[ -n $targets ]] || fail "there are no fuzz targets"
for target in $targets; do
  echo "== $target"
  # A region that says this process holds places in it keeps its mapping and its lock for as long as the process lives.
  leaks=1
  [[ $target != shared ]] || leaks=0
  ASAN_OPTIONS=detect_leaks=$leaks cargo +nightly fuzz run "$target" -- -max_total_time="${FUZZ_SECONDS:-20}" -timeout=10
done
