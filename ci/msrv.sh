#!/usr/bin/env bash
# The library builds with the Rust version that Cargo.toml names, without a warning. The crates on top of it have the
# versions of what they adapt.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

version=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
[[ -n $version ]] || fail "Cargo.toml names no rust-version"
cargo "+$version" --version ||
  timeout 120 rustup toolchain install "$version" --profile minimal --no-self-update ||
  skip "Rust $version is not installed"
export RUSTFLAGS="-D warnings"
cargo "+$version" check --lib --target-dir target/msrv
cargo "+$version" check --lib --target-dir target/msrv --all-features
