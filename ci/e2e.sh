#!/usr/bin/env bash
# End to end on loopback: HAProxy with PROXY protocol v2 in front of the behind_proxy example, and a server that runs
# out of file descriptors. Counts have to end at zero, and the rejections to be exactly the expected ones. Before that,
# each example of an adapter checks itself.
#
# Needs haproxy, curl and wrk, and installs them with apt-get where it may.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[ "$(uname -s)" = Linux ] || skip "needs Linux, where all of 127.0.0.0/8 is loopback"
installed haproxy:haproxy curl:curl wrk:wrk || skip "HAProxy, curl or wrk is missing"

examples=(tokio_echo tls axum_server behind_proxy)
cargo build -p connlimit-tokio -p connlimit-axum "${examples[@]/#/--example=}"
bin=${CARGO_TARGET_DIR:-target}/debug/examples
for example in "${examples[@]}"; do
  echo "== $example checks itself"
  timeout 30 "$bin/$example" || fail "$example: exit code $?"
done

work=$(mktemp -d)
pids=()
finish() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT
# Fails with what the programs said last.
tell() {
  tail -n 5 "$work"/*.log >&2
  fail "$*"
}

# A loopback network of its own, so that the ports are free.
host=127.0.77.1 proxy=127.0.77.2 alice=127.0.77.11 bob=127.0.77.12
server=$host:18080 front=$host:18081 admin=$host:19090 small=$host:18082 small_admin=$host:19092

# Polls a command until it succeeds, for at most 20 seconds.
eventually() {
  local what=$1
  shift
  for _ in $(seq 200); do
    "$@" >/dev/null 2>&1 && return
    sleep 0.1
  done
  tell "$what, not within 20 seconds"
}
metrics() { curl -sf --max-time 5 "http://$1/metrics/$2"; }
open_is() { metrics "$1" "$2" | grep -qE "^(open|connlimit_open_connections.*) $3\$"; }
rejected() { metrics "$1" "$alice" | sed -nE 's/^(rejected|connlimit_rejected_total) //p'; }

echo "== HAProxy, PROXY protocol v2"
"$bin/behind_proxy" --listen "$server" "$admin" "$proxy/32" >"$work/server.log" 2>&1 &
pids+=($!)
cat >"$work/haproxy.cfg" <<EOF
global
  maxconn 200
defaults
  mode tcp
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend front
  bind $front
  default_backend back
backend back
  source $proxy
  server it $server send-proxy-v2
EOF
haproxy -db -f "$work/haproxy.cfg" >"$work/haproxy.log" 2>&1 &
pids+=($!)
eventually "the server to be up" open_is "$admin" "$alice" 0
eventually "the proxy to be up" curl -sf --max-time 2 "http://$front/"

holders=()
for _ in 1 2 3 4; do
  curl -sN --interface "$alice" --max-time 60 "http://$front/hold" >/dev/null &
  holders+=($!)
  pids+=($!)
done
eventually "four connections of one client" open_is "$admin" "$alice" 4
[ "$(rejected "$admin")" = 0 ] || tell "rejections before the limit"

# One connection each; load generators open more than they are told to.
# A client is given eight answers a second; beyond that it is closed without one.
for _ in $(seq 25); do
  curl -s -o "$work/answer" -w '%{http_code}\n' --max-time 10 --interface "$alice" "http://$front/" >>"$work/codes.log" ||
    tell "a request over the limit got no answer"
  sleep 0.15
done
[ "$(grep -cx 429 "$work/codes.log")" = 25 ] || tell "not every request over the limit got a 429"
[ "$(rejected "$admin")" = 25 ] || tell "expected 25 rejections, got $(rejected "$admin")"
echo "25 of 25 over the limit rejected with a 429, through the proxy"

[ "$(curl -sf --max-time 5 --interface "$bob" "http://$front/")" = "hello $bob" ] || tell "another client"
if curl -s --max-time 5 --interface "$bob" "http://$server/" >/dev/null 2>&1; then
  tell "a stranger got past the trusted network"
fi
echo "another client served under its own name, a stranger closed"

kill "${holders[@]}"
eventually "the release of all four" open_is "$admin" "$alice" 0
# wrk opens one connection more at first, to see whether anybody is there.
wrk -t1 -c3 -d2s "http://$front/" >"$work/wrk.log" 2>&1 || tell "wrk"
! grep -qE 'Non-2xx|Socket errors' "$work/wrk.log" || tell "rejections within the limit"
[ "$(rejected "$admin")" = 25 ] || tell "rejections within the limit"
for client in "$alice" "$bob" 127.0.0.1 "$proxy"; do
  eventually "no connection of $client left" open_is "$admin" "$client" 0
done
echo "within the limit:$(sed -nE 's/^ +([0-9]+ requests in .*)/ \1/p' "$work/wrk.log"); all counts zero"

echo "== Out of file descriptors"
(ulimit -n 40 && exec "$bin/axum_server" --listen "$small" "$small_admin") >"$work/small.log" 2>&1 &
pids+=($!)
eventually "the small server to be up" open_is "$small_admin" "$alice" 0
curl -sf --max-time 5 -X PUT "http://$small_admin/limit/1000" || tell "the admin route"
wrk -t1 -c100 -d2s "http://$small/" >"$work/wrk-small.log" 2>&1 || tell "wrk"
grep -q 'Too many open files' "$work/small.log" || tell "the server never ran out of descriptors"
eventually "service after the flood" curl -sf --max-time 2 "http://$small/"
eventually "no connection left" open_is "$small_admin" 127.0.0.1 0
echo "ran out $(grep -c 'Too many open files' "$work/small.log") times, serves again, all counts zero"
echo "e2e: every count is zero, every rejection expected"
