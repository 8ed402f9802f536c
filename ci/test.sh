#!/usr/bin/env bash
# The tests, as the README says to run them, the library's first and then everybody's, and the programs as a user meets
# them.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cargo test
# The tests of the fleet start it themselves.
installed redis-server:redis-server || echo "SKIP: no redis-server: the fleet is tested without an engine"
cargo test --workspace --all-features

cargo run --release --example guarded_server
server=${CARGO_TARGET_DIR:-target}/release/examples/guarded_server

# Without a terminal it prints one frame, and checks it.
cargo run -p connlimit-top

status=0
"$server" --listen nowhere || status=$?
[[ $status -eq 2 ]] || fail "bad arguments: exit code $status instead of 2"

# As a server: one connection is served, a second one is rejected.
coproc SERVER { exec "$server" --listen 127.0.0.1:0 --max-per-client 1; }
trap 'kill "$SERVER_PID" 2>/dev/null || true' EXIT
read -r -t 10 -u "${SERVER[0]}" line || fail "the server did not start"
exec {first}<>"/dev/tcp/127.0.0.1/${line##*:}"
echo hello >&"$first"
read -r -t 10 -u "$first" answer || fail "the server did not answer"
[[ $answer == hello ]] || fail "the server echoed: $answer"
exec {second}<>"/dev/tcp/127.0.0.1/${line##*:}"
read -r -t 10 -u "$second" answer || fail "the server did not reject"
[[ $answer == "client connection limit reached" ]] || fail "the server rejected with: $answer"
echo "test: the example serves and rejects"
