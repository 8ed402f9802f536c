#!/usr/bin/env bash
# What the packages depend on: licences, sources, wildcards, and advisories where their database is reachable.
# deny.toml says what is allowed.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cargo deny --version || skip "cargo-deny is not installed (cargo install cargo-deny --locked)"
cargo deny --workspace --all-features check -A duplicate licenses bans sources
if ! cargo deny --workspace --all-features check advisories 2>target/advisories.log; then
  if grep -qE 'failed to fetch advisory database|unable to (connect|fetch)|Could not resolve|failed to (load|open) advisory' target/advisories.log; then
    skip "licences, bans and sources pass; the database of advisories is not reachable from here"
  fi
  cat target/advisories.log
  fail "advisories"
fi
