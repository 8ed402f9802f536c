#!/usr/bin/env bash
# The library compiles without a warning where nobody of us works: 32 bits, big-endian, Windows, macOS, ARM. What needs no C
# compiler for the target; `cargo check` runs nothing.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

export RUSTFLAGS="-D warnings"
command -v rustup >/dev/null || skip "no rustup to add targets"
missing=
for target in i686-unknown-linux-gnu s390x-unknown-linux-gnu aarch64-unknown-linux-gnu x86_64-pc-windows-gnu x86_64-apple-darwin; do
  if ! rustup target list --installed | grep -qx "$target" && ! timeout 120 rustup target add "$target"; then
    missing+=" $target"
    continue
  fi
  echo "== $target"
  cargo check --lib --target "$target" --target-dir target/targets
  cargo check -p connlimit-tokio --features hyper,proxy-protocol --lib --target "$target" --target-dir target/targets
done
[[ -z $missing ]] || skip "not installed:$missing; the others compile"
