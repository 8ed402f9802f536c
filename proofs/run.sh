#!/usr/bin/env bash
# The protocol checked by exhaustion, with SPIN (Debian: spin) and a C compiler: no bound on preemptions.
# Usage: proofs/run.sh [all]. Without `all`, what takes seconds.
source "$(dirname "${BASH_SOURCE[0]}")/../ci/lib.sh"

installed spin:spin gcc:gcc || skip "no spin or no gcc: nothing is proved here"
work=target/proofs
mkdir -p "$work"

# Explores model $2 with the definitions $3..., named $1 in what is printed; $expected is `errors: 0` or `errors: 1`.
explore() {
  local name=$1 model=$PWD/proofs/$2.pml dir=$work/$1 log=$work/$1.log
  shift 2
  mkdir -p "$dir"
  (
    cd "$dir"
    spin "$@" -a "$model" >/dev/null
    gcc -O2 -DSAFETY -DCOLLAPSE -DVECTORSZ=2048 -DMEMLIM=12000 -o pan pan.c
    ./pan -m500000 -w26 2>&1
  ) >"$log"
  grep -q "$expected" "$log" || { cat "$log"; fail "$name: not $expected"; }
  ! grep -q "max search depth too small\|out of memory\|Search not completed" "$log" ||
    [[ $expected == "errors: 1" ]] || { cat "$log"; fail "$name: not complete"; }
  echo "$name: $(grep -oE "[0-9.e+]+ states, stored" "$log"), $(grep -oE "errors: [0-9]+" "$log")"
}

holds() { expected="errors: 0" explore "$@"; }
finds() { expected="errors: 1" explore "$@"; }

holds clock clock
finds clock-grace-of-two clock -DGRACE=2
finds clock-answered-first clock -DMUTANT_ANSWERED_FIRST
finds clock-several-at-once clock -DMUTANT_SEVERAL_AT_ONCE

holds one-client-grows-and-drains table -DK1=1 -DK2=1 -DKEEPS=2 -DNL=2
holds two-of-a-key table -DK1=2 -DK2=0 -DKEEPS=1 -DNL=2
holds a-full-table table -DK1=1 -DK2=2 -DKEEPS=0 -DNL=2 -DGROWS=0
finds published-in-a-closed-bin table -DK1=2 -DK2=0 -DKEEPS=2 -DNL=3 -DMUTANT_PUBLISH_CLOSED
finds older-bin-not-closed table -DK1=2 -DK2=0 -DKEEPS=2 -DNL=3 -DMUTANT_NOT_CLOSED
finds claim-renewed-without-a-look table -DK1=2 -DK2=0 -DKEEPS=0 -DNL=1 -DMUTANT_CLAIM_RENEWED_UNSEEN
if [[ ${1:-} == all ]]; then
  holds two-of-a-key-grow-and-drain table -DK1=2 -DK2=0 -DKEEPS=2 -DNL=3
  holds two-of-a-key-twice table -DK1=2 -DK2=0 -DKEEPS=1 -DNL=2 -DROUNDS=2
  holds three-of-a-key-grow table -DK1=3 -DK2=0 -DKEEPS=1 -DNL=2
fi
