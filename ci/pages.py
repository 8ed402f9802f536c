#!/usr/bin/env python3
"""Checks that what the pages name is there: the files behind relative links of each Markdown file, and the files and
functions in the tables of the walkthrough."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WALKTHROUGH = ROOT / "src" / "docs" / "walkthrough.md"


def pages():
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).exists()]


def anchor(heading):
    """As GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def dead_links(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    for target in re.findall(r"\]\(([^()\s]+)\)", text):
        # Addresses; items and anchors of rustdoc, which rustdoc checks.
        if re.match(r"[a-z]+:|#", target) or "::" in target:
            continue
        path, _, section = target.partition("#")
        file = (page.parent / path).resolve()
        if not file.exists():
            yield f"{page.relative_to(ROOT)}: there is no {target}"
        elif section and section not in map(anchor, re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.M)):
            yield f"{page.relative_to(ROOT)}: there is no heading for {target}"


def missing_steps():
    text = WALKTHROUGH.read_text(encoding="utf-8")
    for path in sorted(set(re.findall(r"`((?:src|ci)/[\w/]+\.\w+)`", text))):
        if not (ROOT / path).exists():
            yield f"{WALKTHROUGH.relative_to(ROOT)}: there is no {path}"
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    steps = [(row[-2], row[-1]) for row in rows if row[-2].startswith("`src/")]
    if not steps:
        yield f"{WALKTHROUGH.relative_to(ROOT)} has no steps"
    for file, functions in steps:
        path = ROOT / file.strip("`")
        source = path.read_text(encoding="utf-8") if path.exists() else ""
        for function in re.findall(r"`(\w+)`", functions):
            if not re.search(rf"\bfn {function}\b", source):
                yield f"{WALKTHROUGH.relative_to(ROOT)}: there is no {function} in {file}"


def main():
    faults = [fault for page in pages() for fault in dead_links(page)] + list(missing_steps())
    if faults:
        sys.exit("\n".join(faults))


if __name__ == "__main__":
    main()
