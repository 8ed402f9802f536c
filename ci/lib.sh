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
