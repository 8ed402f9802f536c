#!/usr/bin/env bash
# crates/shared: its models, all faults that are planted there, the explorer's larger configurations, processes that are
# killed after each change of a region, and the examples. SHARED=all does the largest of each: about an hour.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

export LOOM_MAX_SECONDS=${LOOM_MAX_SECONDS:-20}
skip_large=(--skip large_three_processes_one_of_which_may_die)
if [[ ${SHARED:-} == all ]]; then
  skip_large=()
  export CONNLIMIT_KILLS=all CONNLIMIT_REPLACED=10000
fi

echo "== models"
RUSTFLAGS="--cfg connlimit_shared_loom -Awarnings" cargo test --release -p connlimit-shared --lib models --target-dir target/loom-shared \
  -- --nocapture --test-threads=2
echo "== schedules"
RUSTFLAGS="--cfg connlimit_shared_shuttle -Awarnings" cargo test --release -p connlimit-shared --lib scenarios --target-dir target/shuttle-shared \
  -- --nocapture
echo "== the explorer"
cargo test --release -p connlimit-shared --test explorer -- --nocapture --include-ignored "${skip_large[@]}"
echo "== processes"
cargo test --release -p connlimit-shared --test processes -- --nocapture
for example in four_workers graceful_restart; do
  echo "== $example"
  cargo run --release -p connlimit-shared --example "$example"
done
if [[ ${SHARED:-} == all ]]; then
  echo "== planted faults"
  python3 ci/shared_planted.py
fi
echo "shared: all hold"
