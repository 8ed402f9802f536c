#!/usr/bin/env bash
# The scenarios: five threads on small tables, under random schedules, with ideal epochs.
# SHUTTLE_ITERATIONS bounds each scenario; SHUTTLE_RANDOM_SEED repeats the schedules of a run that printed that seed.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

mkdir -p target

# With the real epochs the scenarios would look green while shuttle sees nothing of them: that must not compile.
echo "== the cfgs belong together"
refused_cfgs "--cfg connlimit_model --cfg connlimit_shuttle" connlimit_ideal

# Scenarios need none of what benchmarks, examples and integration tests depend on.
tree=.
if command -v python3 >/dev/null; then
  tree=target/shuttle-tree
  python3 ci/mutants.py --tree "$tree"
fi

echo "== scenarios"
output=target/shuttle-scenarios.log
RUSTFLAGS="--cfg connlimit_model --cfg connlimit_shuttle --cfg connlimit_ideal" \
  cargo test --release --lib --manifest-path "$tree/Cargo.toml" --target-dir target/shuttle \
  scenarios -- --nocapture --test-threads=2 2>&1 | tee "$output"
counts=$(grep -oE 'scenario .+: [0-9]+ schedules' "$output") || fail "no scenario reported its schedules"
if grep -E ': [01] schedules' <<<"$counts"; then
  fail "these scenarios explored nothing"
fi
echo "$(wc -l <<<"$counts") scenarios"
