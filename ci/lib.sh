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

# The package's features, one to a line.
features() {
  local map
  map=$(cargo metadata --no-deps --format-version 1 | grep -oE '"features":\{[^}]*\}')
  grep -oE '"[^"]+":\[' <<<"$map" | cut -d'"' -f2 | grep -vx default
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
