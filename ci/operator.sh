#!/usr/bin/env bash
# The files for operators, by the tools that will read them: alert rules and dashboard by promtool, the fail2ban filter by
# fail2ban-regex, a scrape by promtool's linter. That all names exist is told by the tests of connlimit-metrics, which run
# first, and by the axum example, which lists its clients as JSON and checks itself.
#
# Needs promtool (Debian's package prometheus) and fail2ban-regex (fail2ban), and installs them with apt-get where it may.
# What is not there is skipped, and said.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

installed promtool:prometheus fail2ban-regex:fail2ban python3:python3 || echo "what is missing is said below"
# Whether tool $1 is there; if not, says what is not checked: $2.
skipped=()
have() {
  command -v "$1" >/dev/null && return
  echo "SKIP: no $1: $2 not checked"
  skipped+=("$1")
  return 1
}

target=${CARGO_TARGET_DIR:-target}
ops=crates/metrics/ops
scrape=$target/tmp/scrape.txt
rm -f "$scrape"
cargo test -p connlimit-metrics --all-features --test names --test log_line
[ -s "$scrape" ] || fail "the tests left no scrape in $scrape"

echo "== The axum example lists its clients"
cargo run -p connlimit-axum --example axum_server | tee "$target/tmp/axum.log"
grep -q 'clients listed as JSON' "$target/tmp/axum.log" || fail "the example did not check its list of clients"

if have promtool "alert rules, dashboard and scrape"; then
  echo "== Alert rules"
  promtool check rules "$ops/alerts.yml"
  promtool test rules "$ops/alerts_test.yml"

  echo "== A scrape, linted"
  lint=$(promtool check metrics <"$scrape" 2>&1) || fail "promtool finds fault with the metrics: $lint"
  [ -z "$lint" ] || fail "promtool finds fault with the metrics: $lint"
  echo "$(grep -c '^# TYPE' "$scrape") metrics, no complaint"

  if have python3 "the dashboard's queries"; then
    echo "== The dashboard's queries, as recording rules"
    # Each panel has queries, and Grafana's variables get a value as Grafana would give them.
    python3 - "$ops/grafana.json" >"$target/tmp/dashboard.yml" <<'PYTHON'
import json, sys
panels = json.load(open(sys.argv[1]))["panels"]
queries = [target["expr"] for panel in panels for target in panel["targets"]]
assert len(queries) >= len(panels), "a panel without a query"
given = [("$__rate_interval", "5m"), ("$job", ".*"), ("$instance", ".*"), ("$limiter", ".*")]
rules = []
for number, query in enumerate(queries):
    for name, value in given:
        query = query.replace(name, value)
    assert "$" not in query, f"a variable that is not declared: {query}"
    rules.append({"record": f"dashboard:query{number}", "expr": query})
print(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
PYTHON
    promtool check rules "$target/tmp/dashboard.yml"
  fi
fi

if have fail2ban-regex "the fail2ban filter"; then
  echo "== The fail2ban filter"
  filter=$ops/fail2ban/filter.d/connlimit.conf sample=$ops/fail2ban/sample.log
  # Addresses of the lines that match, and no other.
  banned=$(fail2ban-regex --out ip "$sample" "$filter" | sort | tr '\n' ' ')
  [ "$banned" = "192.0.2.1 192.0.2.2 192.0.2.3 2001:db8::4 " ] || fail "the filter finds: $banned"
  times=$(fail2ban-regex "$sample" "$filter" | sed -nE 's/^\| +\[([0-9]+)\] \^Year.*/\1/p')
  [ "$times" = "$(wc -l <"$sample")" ] || fail "the filter reads the time of ${times:-no} lines"
  echo "four addresses of ten lines, as meant"
fi

[ ${#skipped[@]} -eq 0 ] || skip "no ${skipped[*]}; what could be checked is in order"
echo "operator: rules, dashboard, metrics, filter and list of clients are in order"
