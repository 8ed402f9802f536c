#!/usr/bin/env bash
# The scenarios: five threads on small tables, under random schedules, with ideal epochs.
# SHUTTLE_ITERATIONS bounds each scenario; SHUTTLE_RANDOM_SEED repeats the schedules of a run that printed that seed.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

mkdir -p target

# With the real epochs the scenarios would look green while shuttle sees nothing of them: that must not compile.
echo "== the cfgs belong together"
refused_cfgs "--cfg connlimit_model --cfg connlimit_shuttle" connlimit_ideal

echo "== scenarios"
explore scenarios "--cfg connlimit_model --cfg connlimit_shuttle --cfg connlimit_ideal" shuttle schedules
