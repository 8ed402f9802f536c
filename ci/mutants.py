#!/usr/bin/env python3
"""Plants the faults of planted.py, one at a time, in a copy of the tree, and runs loom models until one turns red.

Fails when a fault survives that is not argued to be none, there, when one that is turns a model red, when a fault does not compile, and when the code it replaces is no longer in the source.
"""

import argparse
import json
import math
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from planted import EQUIVALENT, MUTANTS

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "target" / "mutants"
CFGS = "--cfg connlimit_model --cfg connlimit_loom --cfg crossbeam_loom --cfg crossbeam_sanitize"
IDEAL = CFGS + " --cfg connlimit_ideal"
TIERS = {"ideal": IDEAL, "real": CFGS, "wide": IDEAL + " --cfg connlimit_wide"}
# Our crate is compiled a hundred times and runs for seconds; what it depends on, the other way round.
PROFILE = ["opt-level=1", "incremental=true", 'package."*".opt-level=3']
# Beyond its time a model ends with the execution it is in; one that does not end at all is stuck in a loop.
STUCK = 90


class Stale(Exception):
    """The code to replace is not there, or not there once."""


class Uncompilable(Exception):
    """The planted fault does not compile."""


def scope(text, name):
    """Where the function `name`, or the `impl` of that name, starts and ends in formatted source."""
    head = rf"^( *){re.escape(name)}" if name.startswith("impl") else rf"^( *)(?:[\w():]+ )*fn {name}\b"
    heads = list(re.finditer(head, text, re.M))
    if len(heads) != 1:
        raise Stale(f"{len(heads)} times: {name}")
    end = re.compile(rf"^{heads[0][1]}}}$", re.M).search(text, heads[0].end())
    return heads[0].start(), end.end()


def plant(text, mutant):
    """The source `text` with the fault in it."""
    for name, old, new in mutant.edits:
        start, end = scope(text, name)
        body = text[start:end]
        if body.count(old) != 1:
            raise Stale(f"{body.count(old)} times in {name}: {old}")
        text = text[:start] + body.replace(old, new) + text[end:]
    return text


def slim(manifest):
    """The manifest of a package of one crate, without what only benchmarks, examples and integration tests use."""
    tables = []
    for table in re.split(r"^(?=\[)", manifest, flags=re.M):
        if table.startswith("[dev-dependencies]"):
            table = "".join(re.findall(r"^\[.*\n|^proptest = .*\n", table, re.M))
        elif table.startswith("[workspace]"):
            table = "[workspace]\n"
        if not table.startswith("[["):
            tables.append(table)
    return "".join(tables)


def copy_tree(tree):
    """Brings the copy of the sources at `tree` up to date. What has not changed keeps its time, so that nothing is
    compiled in vain; what has changed gets a new one, so that all of it is."""
    kept = set()
    for source in [*ROOT.glob("*.*"), *ROOT.glob("src/**/*")]:
        if source.is_file():
            copy = tree / source.relative_to(ROOT)
            kept.add(copy)
            wanted = source.read_bytes()
            if source.name == "Cargo.toml":
                wanted = slim(wanted.decode()).encode()
            elif source.name == "Cargo.lock" and copy.exists() and copy.stat().st_mtime > source.stat().st_mtime:
                continue
            copy.parent.mkdir(parents=True, exist_ok=True)
            if not copy.exists() or copy.read_bytes() != wanted:
                copy.write_bytes(wanted)
    for path in tree.rglob("*"):
        if path.is_file() and path not in kept:
            path.unlink()


class Slot:
    """A copy of the tree with target folders of its own, where one fault at a time is planted."""

    def __init__(self, number, like=None):
        self.tree = WORK / str(number) / "tree"
        self.targets = {tier: WORK / str(number) / tier for tier in TIERS}
        copy_tree(self.tree)
        for tier, target in self.targets.items() if like else ():
            if not target.exists():
                shutil.copytree(like.targets[tier], target, symlinks=True, ignore=shutil.ignore_patterns("incremental"))

    def build(self, tier):
        """The test program of the copy."""
        command = ["cargo", "test", "--release", "--lib", "--no-run", "--message-format=json", "--quiet"]
        for setting in PROFILE:
            command += ["--config", f"profile.release.{setting}"]
        environment = os.environ | {"RUSTFLAGS": TIERS[tier], "CARGO_TARGET_DIR": str(self.targets[tier])}
        built = subprocess.run(command, cwd=self.tree, env=environment, capture_output=True, text=True)
        messages = [json.loads(line) for line in built.stdout.splitlines() if line.startswith("{")]
        if built.returncode != 0:
            errors = [message["message"]["rendered"] for message in messages if message.get("message")]
            raise Uncompilable("".join(text for text in errors if text.startswith("error")) or built.stderr)
        return next(message["executable"] for message in messages if message.get("executable"))

    def run(self, program, model, seconds, log):
        """Whether `model` is green."""
        environment = os.environ | {"LOOM_MAX_SECONDS": str(seconds), "LOOM_FIRST_SECONDS": str(seconds), "RUST_BACKTRACE": "0"}
        with open(log, "w") as output:
            try:
                return subprocess.run(
                    [program, "--exact", model, "--nocapture", "--include-ignored"],
                    cwd=self.tree, env=environment, stdout=output, stderr=subprocess.STDOUT, timeout=seconds + STUCK,
                ).returncode == 0
            except subprocess.TimeoutExpired:
                output.write("stuck\n")
                return False


class Run:
    """All slots, and what has come out so far."""

    def __init__(self, jobs, seconds):
        self.seconds = seconds
        self.counts = {"killed": 0, "argued equivalent": 0, "survived": 0, "not planted": 0}
        self.failures = []
        self.lock = threading.Lock()
        (WORK / "logs").mkdir(parents=True, exist_ok=True)
        first = Slot(0)
        self.programs = {tier: first.build(tier) for tier in TIERS}
        self.models = {}
        for tier, program in self.programs.items():
            tests = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout
            paths = [line.removesuffix(": test") for line in tests.splitlines() if "models::" in line]
            self.models[tier] = {path.rsplit("::", 1)[1]: path for path in paths}
        self.slots = queue.Queue()
        for number in range(jobs):
            self.slots.put(Slot(number, first) if number else first)

    def say(self, text):
        with self.lock:
            print(text, flush=True)

    def fail(self, text):
        self.say(text)
        self.failures.append(text)

    def in_slot(self, act, *arguments):
        slot = self.slots.get()
        try:
            act(slot, *arguments)
        finally:
            self.slots.put(slot)

    def baseline(self, slot, tier, model):
        """Without a fault every model is green, or red would mean nothing."""
        if model not in self.models[tier]:
            self.fail(f"no model {model} in the {tier} tier")
        elif not slot.run(self.programs[tier], self.models[tier][model], 1, WORK / "logs" / f"baseline.{tier}.{model}"):
            self.fail(f"RED without a fault: {model} in the {tier} tier")

    def mutant(self, slot, mutant):
        """Plants one fault, looks for a red model, and takes the fault out again; unless time is up."""
        start = time.monotonic()
        if start > self.end:
            with self.lock:
                self.counts["not planted"] += 1
            return
        file = slot.tree / "src" / mutant.file
        original = file.read_text()
        try:
            file.write_text(plant(original, mutant))
            killer = self.killer(slot, mutant)
        except Stale as error:
            return self.fail(f"STALE {mutant.name}: {error}")
        except Uncompilable as error:
            return self.fail(f"DOES NOT COMPILE {mutant.name}:\n{error}")
        finally:
            file.write_text(original)
        took = f"in {time.monotonic() - start:.0f} s"
        equivalent = mutant.name in EQUIVALENT
        with self.lock:
            self.counts["killed" if killer else "argued equivalent" if equivalent else "survived"] += 1
        if killer and equivalent:
            self.fail(f"WRONG ARGUMENT {mutant.name}: killed by {killer} {took}")
        elif killer:
            self.say(f"killed {mutant.name} by {killer} {took}")
        elif equivalent:
            self.say(f"argued equivalent {mutant.name} {took}")
        else:
            self.fail(f"SURVIVED {mutant.name} {took}")

    def killer(self, slot, mutant):
        programs = {}
        # Green to the end of their time: enough to see that the argument is not plainly wrong, unless one is asked for.
        seconds = self.seconds if self.thorough or mutant.name not in EQUIVALENT else min(2, self.seconds)
        for tier, model in mutant.models:
            if tier not in programs:
                programs[tier] = slot.build(tier)
            log = WORK / "logs" / f"{mutant.name}.{tier}.{model}"
            if not slot.run(programs[tier], self.models[tier][model], seconds, log):
                return model if tier == "ideal" else f"{model} ({tier} epochs)"
        return None


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("names", nargs="*", help="faults to plant; all unless named")
    options.add_argument("--list", action="store_true", help="name the faults and plant none")
    options.add_argument("--jobs", type=int, default=max(2, os.cpu_count() or 0), help="faults at a time")
    options.add_argument("--minutes", type=float, default=math.inf, help="plant no further fault after so long")
    options.add_argument("--seconds", type=int, default=10, help="seconds per model (10)")
    options.add_argument("--tree", type=Path, help="only make this copy of the tree, with few dependencies to compile")
    options = options.parse_args()
    if options.tree:
        copy_tree(options.tree.resolve())
        return

    known = [mutant.name for mutant in MUTANTS]
    wrong = {name for name in known if known.count(name) > 1} | (set(options.names) | set(EQUIVALENT)) - set(known)
    if wrong:
        sys.exit(f"not the name of one fault: {', '.join(sorted(wrong))}")
    if options.list:
        for mutant in MUTANTS:
            print(f"{mutant.name} ({mutant.file}){': ' if mutant.name in EQUIVALENT else ''}{EQUIVALENT.get(mutant.name, '')}")
        return

    chosen = [mutant for mutant in MUTANTS if mutant.name in options.names or not options.names]
    run = Run(options.jobs, options.seconds)
    run.thorough = bool(options.names)
    run.end = time.monotonic() + 60 * options.minutes
    with ThreadPoolExecutor(options.jobs) as pool:
        used = sorted({pair for mutant in chosen for pair in mutant.models})
        list(pool.map(lambda pair: run.in_slot(run.baseline, *pair), used))
        if not run.failures:
            # Those that can only be found wanting go last.
            chosen.sort(key=lambda mutant: mutant.name in EQUIVALENT)
            list(pool.map(lambda mutant: run.in_slot(run.mutant, mutant), chosen))
    print(", ".join(f"{count} {what}" for what, count in run.counts.items()))
    if run.failures:
        sys.exit("\n" + "\n".join(run.failures))
    if missed := run.counts["not planted"]:
        print(f"SKIPPED: {missed} of {len(chosen)} faults were not planted in {options.minutes:g} minutes; none survived")
        sys.exit(77)


if __name__ == "__main__":
    main()
