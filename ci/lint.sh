#!/usr/bin/env bash
# Format, lints, documentation, and the rules of CONTRIBUTING.md that a search can check.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Lines of code in src/ that match $1, in files other than $2.
elsewhere() {
  grep -rnE --include='*.rs' "$1" src | grep -vE "^$2:" | grep -vE '^[^:]+:[0-9]+: *//' || true
}
expect_none() {
  [[ -z $2 ]] || fail "$1:"$'\n'"$2"
}

[[ -f src/sync.rs ]] || fail "src/sync.rs is missing: where do atomics come from?"
[[ -f src/epoch.rs ]] || fail "src/epoch.rs is missing: where do epochs come from?"
expect_none "atomics, loom's among them, are named in src/sync.rs only (models are loom's own)" \
  "$(elsewhere 'sync::atomic|loom::(sync|thread|cell|alloc|hint)' 'src/(sync(/[a-z]+)?|.*models(/[a-z]+)?)\.rs')"
expect_none "crossbeam_epoch is named in src/epoch.rs only" \
  "$(elsewhere 'crossbeam_epoch' 'src/(epoch(/[a-z]+)?|process)\.rs')"

# An ordering is an argument: behind a bracket, a comma, a path or at the start of a line; before a comma or a bracket.
# Imports do not count, nor do comments.
silent=$(find src -name '*.rs' -not -name models.rs -not -path '*/models/*' -print0 | xargs -0 awk '
  FNR == 1 { said = -100; import = 0 }
  /ORDERING/ { said = FNR }
  {
    code = $0
    sub(/\/\/.*/, "", code)
    if (code ~ /^ *(pub(\([a-z]+\))? )?use /) import = 1
    ordering = code ~ /(^ *|[(:,] *)(Relaxed|Acquire|Release|AcqRel|SeqCst) *([,)]|$)/
    if (ordering && !import && FNR - said > 6) print FILENAME ":" FNR ":" $0
    if (code ~ /;/) import = 0
  }')
expect_none "no ORDERING comment within the six lines above" "$silent"

# The root package shows its table where docs.rs shows it, the others in their README.
undocumented=
for package in $(packages); do
  table=$package/README.md
  [[ $package == . ]] && table=src/lib.rs
  for feature in $(features "$package"); do
    grep -qE "^(//! )?\| \`$feature\` \|" "$table" || undocumented+="$table: $feature "
  done
done
expect_none "features without a line in the table of features" "$undocumented"

# What the pages name is there, and the audit page is what the sources say.
if command -v python3 >/dev/null; then
  python3 ci/pages.py
  python3 ci/audit_page.py --check
else
  echo "SKIP: no python3: links, the walkthrough, AUDIT.md and the list of files with unsafe code are not checked"
fi
ci/workflows.sh

cargo fmt --all --check
cargo clippy --workspace --all-targets --all-features -- -D warnings
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --all-features --no-deps
echo "lint: clean"
