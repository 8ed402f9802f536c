#!/usr/bin/env python3
"""Writes AUDIT.md from the sources: what a reviewer of the `unsafe` code wants to see in one place.

    ci/audit_page.py            writes it
    ci/audit_page.py --check    fails when it is not what the sources say, or when a file has `unsafe` that may not

The files that may have it are in ci/unsafe_files.txt. Tests, benchmarks and models are not shipped and not listed.
"""

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "AUDIT.md"
ALLOWED = ROOT / "ci" / "unsafe_files.txt"

sys.path.insert(0, str(ROOT / "ci"))
sys.dont_write_bytecode = True

TEST_FILE = re.compile(r"(^|/)(models|scenarios|tests)(/|\.rs$)")
UNSAFE = re.compile(r"\bunsafe\b(?=\s*(\{|impl\b|fn\b|extern\b|trait\b))")
FUNCTION = re.compile(r"^\s*(?:pub(?:\([\w: ]+\))?\s+)?(?:(?:const|async|unsafe|extern \"[^\"]*\")\s+)*fn (\w+)")


def sources():
    """The Rust files that are shipped, below src folders."""
    folders = [ROOT / "src", *sorted(ROOT.glob("crates/*/src"))]
    for folder in folders:
        for file in sorted(folder.rglob("*.rs")) if folder.exists() else []:
            if not TEST_FILE.search(file.relative_to(folder).as_posix()):
                yield file


def code_of(line):
    """The line without what it says in strings and comments."""
    return re.sub(r"//.*", "", re.sub(r'"(?:[^"\\]|\\.)*"', '""', line))


def without_tests(lines):
    """The lines, with those of modules of tests left blank."""
    kept, inside, marked = [], False, False
    for line in lines:
        if re.match(r"#\[cfg\((all\()?test\b", line):
            marked = True
        elif marked and re.match(r"mod \w+ \{", line):
            inside = True
        elif not re.match(r"#\[|//", line):
            marked = False
        kept.append("" if inside else line)
        inside = inside and line != "}"
    return kept


def comment_above(lines, number, marker):
    """The comment that begins with `marker` above line `number`; attributes and code of the same statement may be between."""
    for start in range(number, max(-1, number - 14), -1):
        text = lines[start].strip()
        found = re.match(rf"//[/!]? ?{marker}", text)
        if found:
            words = [text[found.end() :].strip()]
            for line in lines[start + 1 : number]:
                more = re.match(r"\s*//[/!]? ?(.*)", line)
                if not more:
                    break
                words.append(more[1].strip())
            return " ".join(word for word in words if word)
    return None


class Place:
    def __init__(self, file, name, kind, argument):
        self.file, self.name, self.kind, self.argument = file, name, kind, argument


def places(file):
    """Each place in `file` where the compiler believes us."""
    lines = without_tests(file.read_text(encoding="utf-8").splitlines())
    function, found = "", []
    for number, line in enumerate(lines):
        code = code_of(line)
        head = FUNCTION.match(code)
        if head:
            function = head[1]
        for match in UNSAFE.finditer(code):
            rest = code[match.start() :]
            name = file.relative_to(ROOT).as_posix()
            if re.match(r"unsafe (extern \"[^\"]*\" )?fn", rest) and re.search(r"fn \w", rest):
                argument = comment_above(lines, number, r"# Safety")
                found.append(Place(name, function, "duty of the caller", argument))
            elif rest.startswith("unsafe impl"):
                what = re.sub(r"^unsafe impl(<[^>]*>)?\s*|\s*\{.*$", "", rest)
                found.append(Place(name, what.strip(), "impl", comment_above(lines, number, "SAFETY:")))
            elif re.match(r"unsafe (extern|trait)", rest):
                found.append(Place(name, function, "declaration", comment_above(lines, number, "SAFETY:") or "see the calls"))
            elif re.match(r"unsafe\s*\{", rest):
                found.append(Place(name, function, "block", comment_above(lines, number, "SAFETY:")))
    return found


def cell(text):
    return re.sub(r"\[(`[^`]*`)\](\([^)]*\))?", r"\1", text or "**no argument**").replace("|", "\\|")


def models():
    """The models, with what is written above them."""
    table = []
    folders = [(ROOT, "src"), (ROOT, "crates/*/src")]
    files = {file for root, folder in folders for file in root.glob(folder + "/**/*.rs") if re.search(r"models?(/|\.rs$)", file.as_posix())}
    for file in sorted(files):
        lines = file.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines):
            if line.strip() != "#[test]":
                continue
            head = next((m for m in (FUNCTION.match(after) for after in lines[number + 1 : number + 4]) if m), None)
            above = []
            for before in reversed(lines[:number]):
                doc = re.match(r"\s*/// ?(.*)", before)
                if not doc:
                    break
                above.insert(0, doc[1].strip())
            if head:
                table.append((file.relative_to(ROOT).as_posix(), head[1], " ".join(above)))
    return table


def trusted():
    """The chapter of the design that says what is trusted."""
    text = (ROOT / "src" / "design.rs").read_text(encoding="utf-8")
    chapter = re.search(r"^//! # What is trusted\n(.*?)^//! # ", text, re.M | re.S)
    if not chapter:
        sys.exit("src/design.rs has no chapter `What is trusted`")
    return "\n".join(line.removeprefix("//!").removeprefix(" ") for line in chapter[1].splitlines()).strip()


def shared_faults():
    """(name, file, finder) of the faults in crates/shared. Their script runs when it is imported, so it is only read."""
    script = ROOT / "ci" / "shared_planted.py"
    for node in ast.parse(script.read_text(encoding="utf-8")).body if script.exists() else []:
        if isinstance(node, ast.Assign) and node.targets[0].id == "FAULTS":
            return [(name, file, finder) for name, file, _, _, finder in ast.literal_eval(node.value)]
    return []


def page():
    import planted

    out = [
        "# Audit page",
        "",
        "For reviewers who have to decide whether to trust the `unsafe` code: each block with its argument, each model, each",
        "planted fault, and what is trusted. Written by `ci/audit_page.py` from the sources and checked by `ci/lint.sh`; do not",
        "edit it. The claims and why they hold are in [the design](src/design.rs), the way through the code in",
        "[the walkthrough](src/docs/walkthrough.md), who may do what to whom in [SECURITY.md](SECURITY.md).",
        "",
        "```sh",
        ".ci/run loom shuttle mutants    # the models, the scenarios, the planted faults",
        ".ci/run miri asan tsan          # on a nightly toolchain",
        "```",
        "",
        "# What is trusted",
        "",
        trusted(),
        "",
        "# Unsafe code",
        "",
        "Clippy's `undocumented_unsafe_blocks` and `multiple_unsafe_ops_per_block` are errors in CI. Files that are not in",
        "`ci/unsafe_files.txt` have no `unsafe`; packages without a heading here have none at all. Exported",
        "symbols (`#[unsafe(no_mangle)]`) are not listed: `ci/capi.sh` compares them with the header.",
    ]
    all_places = [place for file in sources() for place in places(file)]
    counts = {kind: sum(place.kind == kind for place in all_places) for kind in ("block", "impl", "duty of the caller")}
    out += ["", f"{counts['block']} blocks, {counts['impl']} impls, {counts['duty of the caller']} functions with duties of the caller."]
    for file in dict.fromkeys(place.file for place in all_places):
        out += ["", f"## `{file}`", "", "| where | what | argument |", "|---|---|---|"]
        out += [f"| `{p.name}` | {p.kind} | {cell(p.argument)} |" for p in all_places if p.file == file]

    found = models()
    out += ["", "# Models", "", f"{len(found)} models, each of which explores the interleavings of two or three threads on the code that is shipped."]
    for file in dict.fromkeys(file for file, _, _ in found):
        out += ["", f"## `{file}`", ""]
        out += [f"- `{name}`{': ' + cell(text) if text else ''}" for f, name, text in found if f == file]

    killed = [m for m in planted.MUTANTS if m.name not in planted.EQUIVALENT]
    out += [
        "",
        "# Planted faults",
        "",
        f"`ci/mutants.py` plants {len(planted.MUTANTS)} faults, one at a time, and runs models until one turns red. {len(killed)} have to be found;",
        f"{len(planted.EQUIVALENT)} are argued to change nothing that can be observed, and it fails when a model says otherwise.",
        "",
        "| fault | file | models, the likeliest first |",
        "|---|---|---|",
    ]
    out += [f"| {m.name} | `src/{m.file}` | {', '.join(f'`{model}`' for _, model in m.models)} |" for m in killed]
    out += ["", "Argued to be none:", "", "| fault | argument |", "|---|---|"]
    out += [f"| {name} | {cell(argument)} |" for name, argument in planted.EQUIVALENT.items()]
    if faults := shared_faults():
        out += ["", f"`ci/shared_planted.py` plants {len(faults)} more in `crates/shared`; all have to be found.", "", "| fault | file | found by |", "|---|---|---|"]
        out += [f"| {name} | `crates/shared/src/{file}` | {finder.replace(':', ' ', 1)} |" for name, file, finder in faults]
    return "\n".join(out) + "\n", all_places


def covers(line, file):
    return file.startswith(line) if line.endswith("/") else file == line


def main():
    text, found = page()
    if sys.argv[1:] != ["--check"]:
        PAGE.write_text(text, encoding="utf-8")
        return
    faults = [f"{p.file}: {p.kind} in {p.name} has no argument" for p in found if not p.argument]
    allowed = {line.split()[0] for line in ALLOWED.read_text().splitlines() if line.strip() and not line.startswith("#")}
    used = {place.file for place in found}
    # A line that ends in a slash is a folder.
    faults += [f"{file} has unsafe code and is not in {ALLOWED.relative_to(ROOT)}" for file in sorted(used) if not any(covers(line, file) for line in allowed)]
    faults += [f"{line} is in {ALLOWED.relative_to(ROOT)} and has no unsafe code" for line in sorted(allowed) if not any(covers(line, file) for file in used)]
    if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        faults.append("AUDIT.md is not what the sources say: run ci/audit_page.py")
    if faults:
        sys.exit("\n".join(faults))


if __name__ == "__main__":
    main()
