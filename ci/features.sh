#!/usr/bin/env bash
# Every package builds without warnings with no feature, with each one alone, and with all; with cargo-hack, in pairs too.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Lints the package in the folder $1 with the given flags.
check() {
  local manifest=$1/Cargo.toml
  shift
  echo "== $manifest $*"
  cargo clippy --manifest-path "$manifest" --no-deps "$@" -- -D warnings
}

[[ -n $(features .) ]] || fail "Cargo.toml shows no features"
for package in $(packages); do
  list=$(features "$package")
  check "$package" --no-default-features
  for feature in $list; do
    check "$package" --no-default-features --features "$feature"
  done
  if [[ $(wc -w <<<"$list") -gt 1 ]]; then
    check "$package" --all-features
  fi
done

if cargo hack --version 2>/dev/null; then
  cargo hack check --workspace --exclude connlimit-benches --feature-powerset --depth 2
fi
