#!/usr/bin/env bash
# The models: every interleaving of a few threads. First with the real epochs, then with ideal ones.
# LOOM_MAX_SECONDS bounds each model; one that needs longer says that it was cut.
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
