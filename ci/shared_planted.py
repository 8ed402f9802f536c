#!/usr/bin/env python3
"""Plants a fault in crates/shared, one at a time, and expects a test or a model to turn red.

Usage: ci/shared_planted.py [NAME...]     faults whose name contains one of these; all without

The faults are planted in a copy of the tree, target/planted-shared. Exit code 1 if one survives.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TREE = ROOT / "target" / "planted-shared"
SOURCE = "crates/shared/src/"

# name, file, old, new, the model or test that finds it; `model:` runs under loom, `test:` as it is.
FAULTS = [
    ("raise-before-sum-unordered", "sync.rs", "        fence(SeqCst);", "        {}", "model:two_raises_meet_at_the_limit"),
    ("raise-before-look-unordered", "sync.rs", "        fence(SeqCst);", "        {}", "model:a_raise_meets_a_take_over"),
    ("publish-relaxed", "table/group.rs", "next, AcqRel, Acquire)", "next, Relaxed, Relaxed)", "model:a_publication_is_whole"),
    ("header-relaxed", "table/group.rs", "Header::from_bits(self.header.load(Acquire))", "Header::from_bits(self.header.load(Relaxed))", "model:a_publication_is_whole"),
    ("look-without-fence", "table/group.rs", "        fence(Acquire);\n        if !self.header()", "        if !self.header()", "model:a_count_is"),
    ("look-without-second-look", "table/group.rs", "|| !place.is_still(meta)", "|| !place.is_still(place.meta())", "model:a_client_without"),
    ("walk-without-second-look", "table/walk.rs", "if !record.is_still(meta) {", "if !record.is_still(record.meta()) {", "model:a_walk_meets"),
    ("sum-relaxed", "table.rs", "if record.sum(Acquire) >= limit {", "if record.sum(crate::sync::Relaxed) >= limit {", "model:a_refusal_is_about_its_own_client"),
    ("release-relaxed", "table/group.rs", "self.word.fetch_sub(self.one(), Release);", "self.word.fetch_sub(self.one(), Relaxed);", "model:a_release_happens_before_the_next_admission"),
    ("meta-relaxed", "table/group.rs", "Meta::from_bits(self.meta.load(Acquire))", "Meta::from_bits(self.meta.load(Relaxed))", "model:a_place_changes_hands"),
    ("set-relaxed", "table/group.rs", "self.meta.store(meta.bits(), Release);", "self.meta.store(meta.bits(), Relaxed);", "model:a_p"),
    ("presum-without-look", "table.rs", "return record.is_still(meta).then_some(Err(Refusal::AtLimit));", "return Some(Err(Refusal::AtLimit));", "model:a_refusal_is_about_its_own_client"),
    ("word-read-before-the-sum", "table.rs", "let words = record.words(SeqCst);\n            if sum(&words) <= limit {", "let words = record.words(SeqCst);\n            if record.sum(SeqCst) <= limit {", "model:two_raises_of_one_process"),
    ("no-second-sum", "table/insert.rs", "if record.sum(SeqCst) != 0 {", "if false {", "model:a_raise_meets_a_take_over"),
    ("no-look-after-raise", "table.rs", "if !self.confirm(group, index, meta, key) {", "if false && !self.confirm(group, index, meta, key) {", "model:a_raise_meets_a_take_over"),
    ("no-cancel", "table.rs", "if now.state() == State::Dying {", "if false && now.state() == State::Dying {", "model:a_raise_meets_a_take_over"),
    ("publish-over-another-version", "table/group.rs", "while now.same_version(seen) {", "while now.same_version(seen) || true {", "model:a_publication_is_whole"),
    ("taken-without-hiding", "table/insert.rs", "        group.hide(index);\n", "", "model:a_place_changes_hands"),
    ("sum-off-by-one", "table.rs", "if sum(&words) <= limit {", "if sum(&words) <= limit + 1 {", "model:two_raises_meet_at_the_limit"),
    ("sweep-forgets-lanes", "table/sweep.rs", "swept.connections += u64::from(record.forget(dead));", "", "test:table::tests"),
    ("sweep-leaves-claims", "table/sweep.rs", "_ => State::Free,", "_ => continue,", "test:table::tests"),
    ("sweep-leaves-dying", "table/sweep.rs", "(State::Dying, _) => State::Live,", "(State::Dying, _) => continue,", "test:table::tests"),
    ("sweep-frees-the-living", "table/sweep.rs", "(State::Live, true) => continue,", "(State::Live, true) => State::Free,", "test:table::tests"),
    ("sweep-shows-what-it-frees", "table/sweep.rs", "                    group.hide(index);\n", "", "test:table::tests"),
    ("give-back-leaks-the-record", "table/insert.rs", "record.set(live.next(self.me, State::Free));", "", "model:two_inserts"),
    ("give-back-leaks-the-lane", "table/insert.rs", "        lane.release();\n        None", "        None", "model:two_inserts"),
    ("refusal-leaks-the-lane", "table.rs", "if lane.lower_if(lane.word_of(&words)) {", "if lane.word_of(&words) > 0 {", "model:two_raises_meet_at_the_limit"),
]


def run(*command, **environment):
    return subprocess.run(
        command, cwd=TREE, env={**os.environ, "CARGO_INCREMENTAL": "0", **environment},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=600)


def verdict(finder):
    kind, _, name = finder.partition(":")
    target = str(ROOT / "target" / "loom-shared")
    if kind == "model":
        done = run("cargo", "test", "-q", "-p", "connlimit-shared", "--release", "--lib", f"models::{name}", "--target-dir", target,
                   RUSTFLAGS="--cfg connlimit_shared_loom -Awarnings", LOOM_MAX_SECONDS=os.environ.get("LOOM_MAX_SECONDS", "30"), RUST_BACKTRACE="0")
    else:
        done = run("cargo", "test", "-q", "-p", "connlimit-shared", "--lib", name, "--target-dir", target, RUSTFLAGS="-Awarnings", RUST_BACKTRACE="0")
    if "could not compile" in done.stdout:
        return "does not compile:\n" + done.stdout
    if "0 passed; 0 failed" in done.stdout:
        return f"no such test: {finder}"
    return None if done.returncode else "survives"


def main():
    wanted = sys.argv[1:]
    files = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    shutil.rmtree(TREE, ignore_errors=True)
    for name in files:
        if (ROOT / name).is_file():
            (TREE / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, TREE / name)
    wrong = 0
    for name, file, old, new, finder in FAULTS:
        if (wanted and not any(part in name for part in wanted)):
            continue
        path = TREE / SOURCE / file
        text = path.read_text()
        if text.count(old) != 1:
            print(f"{name}: its place is there {text.count(old)} times", flush=True)
            wrong += 1
            continue
        path.write_text(text.replace(old, new))
        start = time.monotonic()
        fault = verdict(finder)
        path.write_text(text)
        wrong += fault is not None
        print(f"{name}: {fault or 'found by ' + finder} ({time.monotonic() - start:.0f} s)", flush=True)
    print("shared_planted:", "all found" if not wrong else f"{wrong} not found")
    sys.exit(bool(wrong))


main()
