#!/usr/bin/env bash
# Builds and tests on systems other than Linux: the library, and that the adapters build. The tests of adapters want all of
# 127.0.0.0/8 to be loopback, or programs of Debian.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

export RUSTFLAGS="-D warnings"
cargo build --release --example guarded_server
cargo test --lib
cargo test --doc
cargo build -p connlimit-tokio -p connlimit-http -p connlimit-axum -p connlimit-tonic -p connlimit-metrics -p connlimit-top --all-features
echo "elsewhere: builds, and the library's tests pass"
