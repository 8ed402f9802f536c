#!/usr/bin/env bash
# Plants known faults and expects each to be found.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

command -v python3 >/dev/null || skip "no python3"
python3 ci/mutants.py --minutes "${MUTANTS_MINUTES:-12}"
