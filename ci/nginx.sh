#!/usr/bin/env bash
# The module for nginx in crates/capi/examples/nginx, against Debian's nginx on loopback: it is built, and counts
# connections of a server and requests in a location. Under load, when the client aborts, and over reloads the counts end
# at zero.
#
# Needs nginx, nginx-dev, wrk, ab and curl, and installs them with apt-get where it may.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[ "$(uname -s)" = Linux ] || skip "needs Linux, where all of 127.0.0.0/8 is loopback"
installed nginx:nginx wrk:wrk ab:apache2-utils curl:curl make:make pkg-config:pkg-config cc:gcc \
  /usr/share/nginx/src/conf_flags:nginx-dev || skip "nginx, what builds modules for it, wrk, ab or curl is missing"

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
work=$target/nginx
rm -rf "$work"
mkdir -p "$work"

echo "== the module"
make -s -C crates/capi install TARGET_DIR="$target" PREFIX="$work/stage"
export PKG_CONFIG_PATH=$work/stage/lib/pkgconfig
cp -r /usr/share/nginx/src "$work/src"
# shellcheck source=/dev/null
source /usr/share/nginx/src/conf_flags
(cd "$work/src" &&
  ./configure "${NGX_CONF_FLAGS[@]}" --with-cc-opt='-O2 -Wall -Wextra -Wno-unused-parameter' \
    --add-dynamic-module="$OLDPWD/crates/capi/examples/nginx" &&
  make -s -f objs/Makefile modules) >"$work/build.log" 2>&1 || {
  tail -n 30 "$work/build.log"
  fail "the module does not build"
}
module=$work/src/objs/ngx_http_connlimit_module.so
if grep -A 5 'connlimit.*warning:' "$work/build.log"; then
  fail "warnings"
fi
strip "$module"
echo "$(stat -c %s "$module") bytes"

host=127.0.78.1 alice=127.0.78.11 bob=127.0.78.12
port=18090 status=18091
head -c 5000000 /dev/zero >"$work/large"
echo hello >"$work/index.html"
cat >"$work/nginx.conf" <<EOF
user $(id -un) $(id -gn);
load_module $module;
pid $work/pid;
error_log $work/error.log info;
worker_processes 1;
worker_shutdown_timeout 60s;
events { worker_connections 512; }
http {
  access_log off;
  client_body_temp_path $work/t1; proxy_temp_path $work/t2; fastcgi_temp_path $work/t3;
  uwsgi_temp_path $work/t4; scgi_temp_path $work/t5;
  server {
    listen $host:$port;
    root $work;
    connlimit 8;
    location /slow/ {
      connlimit '{"max_per_client": 2, "counting": true, "rules": [{"network": "$bob/32", "action": "deny"}]}';
      connlimit_reject close;
      alias $work/;
      limit_rate 100k;
    }
  }
  server {
    listen $host:$status;
    location / { connlimit_status; }
  }
}
EOF

master=
finish() {
  [ -z "$master" ] || kill "$master" 2>/dev/null || true
  wait 2>/dev/null || true
}
trap finish EXIT
tell() {
  tail -n 5 "$work/error.log" >&2
  status >&2 || true
  fail "$*"
}
status() { curl -sf --max-time 5 "http://$host:$status/"; }
value() { status | sed -n "s|^$1 $2 ||p"; }
value_is() { [ "$(value "$1" "$2")" = "$3" ]; }
eventually() {
  local what=$1
  shift
  for _ in $(seq 200); do
    "$@" >/dev/null 2>&1 && return
    sleep 0.1
  done
  tell "$what, not within 20 seconds"
}
server=$(awk '/connlimit 8;/ { print "server:" NR }' "$work/nginx.conf")
get() { curl -s -o "$work/answer" -w '%{http_code}\n' --max-time 10 --interface "$1" "http://$host:$port$2"; }

nginx -p "$work" -c "$work/nginx.conf" -t >"$work/test.log" 2>&1 || {
  cat "$work/test.log"
  fail "the configuration is not accepted"
}
for wrong in '0' 'many' "'{\"max_per_client\": 0}'" "'{\"max_per_cleint\": 1}'"; do
  sed "s|connlimit 8;|connlimit $wrong;|" "$work/nginx.conf" >"$work/wrong.conf"
  ! nginx -p "$work" -c "$work/wrong.conf" -t >"$work/test.log" 2>&1 || fail "connlimit $wrong is accepted"
done
grep -q max_per_cleint "$work/test.log" || fail "the fault does not name the member"

nginx -p "$work" -c "$work/nginx.conf" -g 'daemon off;' &
master=$!
eventually "nginx to be up" status

echo "== requests in a location"
holders=()
for _ in 1 2; do
  curl -s -o /dev/null --interface "$alice" --max-time 60 "http://$host:$port/slow/large" &
  holders+=($!)
done
eventually "two requests" value_is /slow/ open_connections 2
# Closed without an answer.
[ "$(get "$alice" /slow/large || true)" = 000 ] || tell "a third request is answered"
[ "$(get "$bob" /slow/large || true)" = 000 ] || tell "a client that a rule denies is answered"
value_is /slow/ rejected_client_limit 1 || tell "one request was over the limit"
value_is /slow/ rejected_other 1 || tell "one client was denied"
[ "$(value /slow/ "top $alice")" = 2 ] || tell "the top is not $alice"
[ "$(get "$alice" /index.html)" = 200 ] || tell "the rest of the server is limited as well"
kill "${holders[@]}"
eventually "the release of both" value_is /slow/ open_connections 0
eventually "the release of their connections" value_is "$server" open_connections 0

echo "== connections to a server"
# 40 connections of one client, eight of which are served. The others get a 429, and are closed.
wrk -t1 -c40 -d3s "http://$host:$port/index.html" >"$work/wrk.log" 2>&1 || tell "wrk"
rejected=$(value "$server" rejected_client_limit)
[ "$rejected" -gt 0 ] || tell "nobody was rejected"
answered=$(sed -nE 's/^ +([0-9]+) requests in .*/\1/p' "$work/wrk.log")
not_2xx=$(sed -nE 's/.*Non-2xx or 3xx responses: ([0-9]+).*/\1/p' "$work/wrk.log")
[ "${not_2xx:-0}" -gt 0 ] || tell "no rejection has reached the client"
[ "$answered" -gt "$not_2xx" ] || tell "nobody was served"
eventually "no connection left" value_is "$server" open_connections 0
echo "40 connections: $answered answers, $not_2xx of them 429, $rejected rejections counted, all counts zero"

echo "== within the limit"
before=$(value "$server" rejected_client_limit)
ab -q -k -c 8 -n 20000 "http://$host:$port/index.html" >"$work/ab.log" 2>&1 || tell "ab"
grep -qE '^Failed requests: +0$' "$work/ab.log" || tell "a request within the limit failed"
eventually "no connection left" value_is "$server" open_connections 0
value_is "$server" rejected_client_limit "$before" || tell "rejections within the limit"

echo "== a client that aborts"
for _ in 1 2 3; do
  wrk -t1 -c30 -d20s "http://$host:$port/large" >/dev/null 2>&1 &
  victim=$!
  sleep 1
  kill -KILL "$victim"
  wait "$victim" 2>/dev/null || true
  eventually "no connection left after an abort" value_is "$server" open_connections 0
done

echo "== reloads under load"
wrk -t1 -c8 -d6s "http://$host:$port/index.html" >"$work/wrk-reload.log" 2>&1 &
load=$!
curl -s -o /dev/null -w '%{http_code} %{size_download}\n' --interface "$alice" --max-time 90 \
  "http://$host:$port/slow/large" >"$work/slow.log" &
slow=$!
for _ in 1 2 3; do
  sleep 1
  kill -HUP "$master"
done
wait "$load" || tell "wrk over reloads"
eventually "the new worker to be up" status
eventually "no connection left after reloads" value_is "$server" open_connections 0
kill "$slow" 2>/dev/null || true
wait "$slow" 2>/dev/null || true
workers() { [ "$(pgrep -c -P "$master")" = 1 ]; }
eventually "the old workers to end" workers
[ "$(get "$alice" /index.html)" = 200 ] || tell "no service after reloads"
eventually "no connection left at last" value_is "$server" open_connections 0
! grep -E 'exited on signal|\[alert\]|\[emerg\]' "$work/error.log" || tell "nginx has complained"

echo "== one worker under Valgrind"
kill -QUIT "$master"
wait "$master" || true
master=
if command -v valgrind >/dev/null; then
  sed "s|^worker_processes.*|master_process off; daemon off;|" "$work/nginx.conf" >"$work/single.conf"
  valgrind --quiet --error-exitcode=9 --suppressions=crates/capi/tests/valgrind.supp \
    --leak-check=no nginx -p "$work" -c "$work/single.conf" >"$work/valgrind.log" 2>&1 &
  master=$!
  for _ in $(seq 600); do
    status >/dev/null 2>&1 && break
    sleep 0.1
  done
  ab -q -c 12 -n 2000 "http://$host:$port/index.html" >"$work/ab-valgrind.log" 2>&1 || tell "ab"
  eventually "no connection left under Valgrind" value_is "$server" open_connections 0
  kill -QUIT "$master"
  code=0
  wait "$master" || code=$?
  master=
  [ "$code" -ne 9 ] && ! grep -q connlimit "$work/valgrind.log" || {
    cat "$work/valgrind.log"
    fail "Valgrind has found a fault"
  }
else
  echo "SKIP: no valgrind"
fi
echo "nginx: every count is zero, every rejection counted"
