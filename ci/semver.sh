#!/usr/bin/env bash
# The interface of the library against that of the last tag: what changed has to be in the version number.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

tag=$(git describe --tags --abbrev=0 --match 'v*' 2>/dev/null) || skip "there is no tag v… to compare with"
cargo semver-checks --version || skip "cargo-semver-checks is not installed (cargo install cargo-semver-checks --locked)"
# With a baseline of its own the published one is not asked for.
cargo semver-checks check-release -p connlimit --all-features --baseline-rev "$tag"
