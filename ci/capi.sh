#!/bin/sh
# The C ABI: its header is fresh, a C program runs with both libraries, Valgrind finds no fault, and the shared
# library exports nothing but what the header declares.
set -eu
cd "$(dirname "$0")/.."

for tool in cc c++ valgrind nm; do
    command -v "$tool" >/dev/null || { echo "capi: $tool is missing" >&2; exit 1; }
done

cargo clippy --locked -p connlimit-capi --no-deps --all-targets -- -D warnings
# With all tools here an ignored test would be a lie.
cargo test --locked -p connlimit-capi --lib
cargo test --locked -p connlimit-capi --test abi -- --include-ignored

cargo build --locked --release -p connlimit-capi
library=$(ls "${CARGO_TARGET_DIR:-target}"/release/libconnlimit_capi.so)
declared=$(grep -o 'connlimit_[a-z_]*(' capi/include/connlimit.h | tr -d '(' | sort)
exported=$(nm -D --defined-only "$library" | awk '{ print $3 }' | sort)
if [ "$declared" != "$exported" ]; then
    echo "capi: the header declares
$declared
but the library exports
$exported" >&2
    exit 1
fi
echo "capi: all green"
