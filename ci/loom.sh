#!/usr/bin/env bash
# The models: every interleaving of a few threads. First with the real epochs, then with ideal ones, then with larger
# segments and bins.
# LOOM_MAX_SECONDS bounds each model; one that needs longer says that it was cut. With one preemption each may take up to
# LOOM_FIRST_SECONDS: none may be cut there.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

mkdir -p target
export LOOM_MAX_SECONDS=${LOOM_MAX_SECONDS:-4}

# Without crossbeam's own cfg the models would look green while they see nothing of the epochs: that must not compile.
echo "== the cfgs belong together"
refused_cfgs "--cfg connlimit_model --cfg connlimit_loom" crossbeam_loom

cfgs="--cfg connlimit_model --cfg connlimit_loom --cfg crossbeam_loom --cfg crossbeam_sanitize"
echo "== models with real epochs"
explore models "$cfgs" loom-real executions
echo "== models with ideal epochs"
explore models "$cfgs --cfg connlimit_ideal" loom-ideal executions
echo "== models with segments of two bins and two inline slots"
explore models "$cfgs --cfg connlimit_ideal --cfg connlimit_wide" loom-wide executions

# One preemption is what most faults need: a model that is cut before says little.
if grep -h "model .*, 1 preemptions, cut" target/loom-{real,ideal,wide}.log; then
  fail "these models were cut within their first preemption"
fi
