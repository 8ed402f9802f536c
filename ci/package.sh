#!/usr/bin/env bash
# Each package that is published builds from its own archive. Those that depend on others of this workspace are built
# against the archives of these, as if all had been published together; that the registry takes them, and that docs.rs
# builds their pages, is known only then.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

left_out=()
for manifest in */Cargo.toml crates/*/Cargo.toml; do
  if grep -qx 'publish = false' "$manifest" && [[ $manifest != fuzz/* ]]; then
    left_out+=(--exclude "$(sed -n 's/^name = "\(.*\)"$/\1/p' "$manifest" | head -n 1)")
  fi
done
cargo package --workspace "${left_out[@]}" --allow-dirty
echo "package: $(packages | wc -l) packages build from their archives"
