#!/usr/bin/env bash
# The library builds without warnings with no feature, with each one alone, and with all; with cargo-hack, in pairs too.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

check() {
  echo "== $*"
  cargo clippy --lib "$@" -- -D warnings
}

check --no-default-features
list=$(features)
[[ -n $list ]] || fail "cargo metadata shows no features"
for feature in $list; do
  check --no-default-features --features "$feature"
done
check --all-features

if cargo hack --version 2>/dev/null; then
  cargo hack check --lib --feature-powerset --depth 2
fi
