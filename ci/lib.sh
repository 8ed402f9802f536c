# Sourced by the checks.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Ends the check: it could not be made here. `.ci/run` knows 77.
skip() {
  echo "SKIPPED: $*"
  exit 77
}

# Ends the check with what is wrong.
fail() {
  echo "error: $*" >&2
  exit 1
}

# Expects the library not to compile with the flags $1, and to say that $2 is missing.
refused_cfgs() {
  local log=target/refused-cfgs.log
  if RUSTFLAGS=$1 cargo check --lib --target-dir target/refused-cfgs >"$log" 2>&1; then
    fail "$1 compiles without $2"
  fi
  grep -A 5 '^error' "$log" | grep -q "$2" || {
    cat "$log"
    fail "$1 fails for another reason than $2"
  }
}

# Runs the library's tests named $1 with the flags $2 in target/$3, and expects each to say how many $4 it explored.
explore() {
  local what=$1 flags=$2 name=$3 unit=$4 tree=. output=target/$3.log counts
  # They need none of what benchmarks, examples and integration tests depend on.
  if command -v python3 >/dev/null; then
    tree=target/slim-tree
    python3 ci/mutants.py --tree "$tree"
  fi
  RUSTFLAGS=$flags cargo test --release --lib --manifest-path "$tree/Cargo.toml" --target-dir "target/$name" \
    "$what" -- --nocapture --test-threads=2 ${EXPLORE_ARGS:-} 2>&1 | tee "$output"
  counts=$(grep -oE "${what%s} .+: [0-9]+ $unit" "$output") || fail "none of the $what reported its $unit"
  # What ran once explored nothing.
  if grep -E ": [01] $unit" <<<"$counts"; then
    fail "these $what explored nothing"
  fi
  echo "$(wc -l <<<"$counts") $what"
}

# Installs what is missing of the programs and files $@, each as PROGRAM:PACKAGE of Debian, where it may; false if not.
installed() {
  local need missing=()
  for need in "$@"; do
    [[ -e ${need%%:*} ]] || command -v "${need%%:*}" >/dev/null || missing+=("${need##*:}")
  done
  [[ ${#missing[@]} -gt 0 ]] || return 0
  echo "missing: ${missing[*]}"
  [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null || return 1
  local install=(timeout 300 apt-get install -y -q --no-install-recommends "${missing[@]}")
  export DEBIAN_FRONTEND=noninteractive
  # A new machine has no list of packages yet.
  "${install[@]}" || { timeout 300 apt-get update -q && "${install[@]}"; }
}

# The folders of the packages that are published: the library's own, and one for each crate on top of it.
packages() {
  local manifest
  for manifest in Cargo.toml crates/*/Cargo.toml; do
    dirname "$manifest"
  done
}

# The features of the package in the folder $1, one to a line.
features() {
  sed -n '/^\[features\]/,/^\[[a-z-]*dependencies\]/s/^\([a-z0-9-]*\) = \[.*/\1/p' "$1/Cargo.toml" | grep -vx default || true
}

# The nightly toolchain, with the given components; tries to add those that are missing.
need_nightly() {
  cargo +nightly --version || skip "no nightly toolchain"
  local component
  for component in "$@"; do
    rustup +nightly component list --installed | grep -q "^$component" ||
      timeout 120 rustup component add --toolchain nightly "$component" ||
      skip "the nightly toolchain has no $component"
  done
}
