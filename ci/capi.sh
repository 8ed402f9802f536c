#!/usr/bin/env bash
# The C ABI: its header is fresh, a C program runs with both libraries, Valgrind finds no fault, and the shared
# library exports nothing but what the header declares.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

for tool in cc c++ valgrind nm; do
  command -v "$tool" >/dev/null || skip "no $tool"
done

cargo clippy --locked -p connlimit-capi --no-deps --all-targets -- -D warnings
# With all tools here an ignored test would be a lie.
cargo test --locked -p connlimit-capi --lib
cargo test --locked -p connlimit-capi --test abi -- --include-ignored

cargo build --locked --release -p connlimit-capi
declared=$(grep -o 'connlimit_[a-z_]*(' crates/capi/include/connlimit.h | tr -d '(' | sort)
exported=$(nm -D --defined-only "${CARGO_TARGET_DIR:-target}/release/libconnlimit_capi.so" | awk '{ print $3 }' | sort)
[[ $declared == "$exported" ]] ||
  fail "the header declares"$'\n'"$declared"$'\n'"but the library exports"$'\n'"$exported"
echo "capi: all green"
