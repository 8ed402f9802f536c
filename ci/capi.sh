#!/usr/bin/env bash
# The C ABI: its header is fresh, what `make install` puts down can be used as the README says, C programs run with both
# libraries, Valgrind and the sanitizers find no fault, the shared library exports nothing but what the header declares,
# the libraries are small, and a call costs little more than in Rust.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

for tool in cc c++ valgrind nm make pkg-config cmake readelf; do
  command -v "$tool" >/dev/null || skip "no $tool"
done

cargo clippy --locked -p connlimit-capi --no-deps --all-targets -- -D warnings
# With all tools here an ignored test would be a lie.
cargo test --locked -p connlimit-capi --lib
cargo test --locked -p connlimit-capi --test abi -- --include-ignored

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
work=$target/capi-check
rm -rf "$work"
make -s -C crates/capi install TARGET_DIR="$target" PREFIX="$work"

declared=$(grep -oE '\bconnlimit_[a-z0-9_]+\(' "$work/include/connlimit.h" | tr -d '(' | sort -u)
exported=$(nm -D --defined-only "$work/lib/libconnlimit.so" | awk '{ print $3 }' | sort)
# The top of the header speaks of functions as well; those are all declared.
[[ $declared == "$exported" ]] ||
  fail "declared or exported, but not both:"$'\n'"$(diff <(echo "$declared") <(echo "$exported"))"

# In KB. Rust's standard library is some 300 of the shared one's.
small() {
  local size=$(($(stat -Lc %s "$1") / 1000))
  echo "$(basename "$1"): $size KB"
  [ "$size" -le "$2" ] || fail "$1 is larger than $2 KB"
}
small "$work/lib/libconnlimit.so" 800
small "$work/lib/libconnlimit.a" 9000

echo "== instructions for a call, in C and in Rust"
cargo build --locked -q --profile capi -p connlimit-capi --example cost
cc -O2 -I "$work/include" crates/capi/tests/c/cost.c "$work/lib/libconnlimit.a" -lpthread -ldl -lm -o "$work/cost"
instructions() {
  valgrind --tool=callgrind --callgrind-out-file=/dev/null "$@" 2>&1 | sed -n 's/.*Collected : \([0-9]*\).*/\1/p'
}
# Of $2, which the program $1 makes.
each() { echo $((($(instructions "$1" "$2" 11000) - $(instructions "$1" "$2" 1000)) / 10000)); }
# An acquisition comes with a release, so those are two calls.
for call in acquire_ip:80 acquire_sockaddr:80 acquire_ip6:100 reject_ip:40 reject_ip6:60 open_ip:40; do
  c=$(each "$work/cost" "${call%:*}") rust=$(each "$target/capi/examples/cost" "${call%:*}")
  echo "${call%:*}: $c, $rust in Rust"
  [ $((c - rust)) -le "${call#*:}" ] || fail "${call%:*} costs $((c - rust)) instructions more than in Rust"
done
echo "capi: all green"
