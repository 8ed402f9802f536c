#!/usr/bin/env bash
# What takes a night: each model for an hour, all planted faults, the scenarios, the soaks at the bound, and the proofs.
# NIGHTLY_SECONDS bounds each model (3600).
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

export LOOM_MAX_SECONDS=${NIGHTLY_SECONDS:-3600} LOOM_FIRST_SECONDS=${NIGHTLY_SECONDS:-3600}
export SHUTTLE_ITERATIONS=${SHUTTLE_ITERATIONS:-1000000} MUTANTS_MINUTES=${MUTANTS_MINUTES:-600}
# Models that are too large for every run.
export EXPLORE_ARGS=--include-ignored
failed=()
for check in loom shuttle mutants; do
  status=0
  "ci/$check.sh" || status=$?
  [[ $status == 0 || $status == 77 ]] || failed+=("$check")
done
proofs/run.sh all || failed+=(proofs)
cargo test --release --test stress --test full_table -- --ignored --nocapture || failed+=(soaks)
[[ ${#failed[@]} == 0 ]] || fail "failed: ${failed[*]}"
