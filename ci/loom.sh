#!/usr/bin/env bash
# The models: every interleaving of a few threads. First with the real epochs, then with ideal ones.
# LOOM_MAX_SECONDS bounds each model; one that needs longer says that it was cut.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

mkdir -p target
export LOOM_MAX_SECONDS=${LOOM_MAX_SECONDS:-4}

# Without crossbeam's own cfg the models would look green while they see nothing of the epochs: that must not compile.
echo "== the cfgs belong together"
refused_cfgs "--cfg connlimit_model --cfg connlimit_loom" crossbeam_loom

# Models need none of what benchmarks, examples and integration tests depend on.
tree=.
if command -v python3 >/dev/null; then
  tree=target/loom-tree
  python3 ci/mutants.py --tree "$tree"
fi

models() {
  local epochs=$1
  shift
  echo "== models with $epochs epochs"
  local output=target/loom-models.log
  RUSTFLAGS="--cfg connlimit_model --cfg connlimit_loom --cfg crossbeam_loom --cfg crossbeam_sanitize $*" \
    cargo test --release --lib --manifest-path "$tree/Cargo.toml" --target-dir "target/loom-$epochs" \
    models -- --nocapture --test-threads=2 2>&1 | tee "$output"
  # A model that ran once explored nothing.
  local counts
  counts=$(grep -oE 'model .+: [0-9]+ executions' "$output") || fail "no model reported its executions"
  if grep -E ': [01] executions' <<<"$counts"; then
    fail "these models explored nothing"
  fi
  echo "$(wc -l <<<"$counts") models"
}

models real
models ideal --cfg connlimit_ideal
