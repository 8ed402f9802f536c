#!/usr/bin/env bash
# The package for Go in crates/capi/examples/go, on top of an installed C library: its tests, with the race detector and
# cgo's own checks.
#
# Needs go and a C compiler. They are not installed for it: Go is large.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

for tool in go gofmt cc make pkg-config; do
  command -v "$tool" >/dev/null || skip "no $tool"
done

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
stage=$target/go/stage
make -s -C crates/capi install TARGET_DIR="$target" PREFIX="$stage"
export PKG_CONFIG_PATH=$stage/lib/pkgconfig LD_LIBRARY_PATH=$stage/lib
# Nothing is downloaded: the package depends on nothing but the standard library.
export GOTOOLCHAIN=local GOPROXY=off GOFLAGS=-mod=mod GOCACHE=$target/go/cache

cd crates/capi/examples/go
[ -z "$(gofmt -l .)" ] || fail "not formatted: $(gofmt -l .)"
go vet ./...
go test -count=1 ./...
GODEBUG=cgocheck=2 go test -count=3 -race ./...
echo "go: all green"
