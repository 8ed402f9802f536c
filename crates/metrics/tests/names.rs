//! The names of metrics: the page that explains them, what both facades tell, and the files for operators agree.
#![allow(clippy::std_instead_of_core, reason = "a test has the standard library")]

mod facades;

use connlimit::{Config, Limiter, Permit};
use connlimit_metrics::{Exporter, LimiterCollector};
use connlimit_tokio::proxy::Proxied;
use connlimit_tokio::{Reject, Rejecter};
use facades::{Facades, Series};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use tokio::net::{TcpListener, TcpStream};

const PAGE: &str = include_str!("../METRICS.md");
const DASHBOARD: &str = include_str!("../ops/grafana.json");
const ALERTS: &str = include_str!("../ops/alerts.yml");
const ALERTS_TEST: &str = include_str!("../ops/alerts_test.yml");

/// Each name with its labels.
type Names = BTreeMap<String, BTreeSet<String>>;

/// As the table of the page says.
fn documented() -> Names {
    let rows = PAGE.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        assert!(["gauge", "counter"].contains(&cells[1]), "{row}");
        assert_eq!(cells[1] == "counter", cells[0].ends_with("_total`"), "{row}");
        let labels = cells[2].split(',').map(|label| label.trim().trim_matches('`')).filter(|label| !label.is_empty());
        (cells[0].trim_matches('`').to_owned(), labels.map(str::to_owned).collect())
    })
    .collect()
}

/// As a facade tells them.
fn told(series: &Series) -> Names {
    let mut names = Names::new();
    for series in series.keys() {
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let labels = labels.trim_end_matches('}').split(',').filter_map(|label| label.split_once('='));
        names.entry(name.to_owned()).or_default().extend(labels.map(|(label, _)| label.to_owned()));
    }
    names
}

/// Each word in `text` that looks like the name of one of our metrics.
fn named_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("connlimit_")).map(str::to_owned).collect()
}

/// With everything there is to tell; the client that the collector names has a connection as long as the permit lives.
async fn all() -> (Facades, Permit) {
    let config = Config::new(2).with_tier(24, 48, 5).unwrap().with_max_total(7).with_counting(true);
    let limiter = Limiter::new(config);
    let rejecter: Rejecter<TcpStream> = Reject::Close.into();
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxied = Proxied::new(socket, ["127.0.0.0/8".parse::<ipnet::IpNet>().unwrap()]);
    let permit = limiter.try_acquire(Ipv4Addr::LOCALHOST).unwrap();
    let errors = proxied.errors().clone();
    let collector = LimiterCollector::new(limiter.clone()).with_clients(10, 1);
    let collector = collector.with_rejecter(rejecter.clone()).with_proxy_errors(errors.clone());
    let exporter = || Exporter::new(limiter, "x").with_rejecter(rejecter).with_proxy_errors(errors);
    (Facades::new(collector, exporter), permit)
}

#[tokio::test]
async fn both_facades_tell_what_the_page_explains() {
    let ((facades, _permit), mut page) = (all().await, documented());
    let scrape = facades.scrape();
    assert_eq!(told(&scrape), page, "left: a scrape, right: METRICS.md");
    // For `promtool check metrics`, by the script that has it.
    let text = facades.text();
    std::fs::write(concat!(env!("CARGO_TARGET_TMPDIR"), "/scrape.txt"), text).unwrap();

    page.remove("connlimit_client_open_connections").expect("only a collector names clients");
    assert_eq!(told(&facades.publish()), page, "left: what a recorder hears, right: METRICS.md");
}

#[tokio::test]
async fn values_of_labels_are_those_that_the_page_names() {
    let (facades, _permit) = all().await;
    let scrape = facades.scrape();
    let known = PAGE.split('`').collect::<BTreeSet<_>>();
    for series in scrape.keys() {
        for (label, value) in series.split(['{', ',', '}']).filter_map(|label| label.split_once('=')) {
            let value = value.trim_matches('"');
            let open = ["client", "ipv4_prefix", "ipv6_prefix"].contains(&label);
            assert!(open || known.contains(value), "{series}: the page does not say {value}");
        }
    }
}

#[test]
fn the_files_for_operators_name_metrics_that_exist() {
    let page: BTreeSet<_> = documented().into_keys().collect();
    for (file, text) in [("grafana.json", DASHBOARD), ("alerts.yml", ALERTS), ("alerts_test.yml", ALERTS_TEST)] {
        let named = named_in(text);
        assert!(named.len() > 5, "{file} names next to nothing: {named:?}");
        let unknown: Vec<_> = named.difference(&page).collect();
        assert!(unknown.is_empty(), "{file} names what there is not: {unknown:?}");
    }
    let tested: BTreeSet<_> = named_in(ALERTS_TEST);
    assert_eq!(named_in(ALERTS).difference(&tested).collect::<Vec<_>>(), Vec::<&String>::new(), "not in any test");
}

#[test]
fn the_dashboard_shows_every_metric() {
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let queries = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let queries: Vec<_> = queries.map(|target| target["expr"].as_str().unwrap()).collect();
    let shown = named_in(&queries.join(" "));
    assert_eq!(shown, documented().into_keys().collect(), "left: the dashboard, right: METRICS.md");
    for query in queries {
        assert!(query.contains("{job=~\"$job\""), "{query} shows servers that were not chosen");
    }
}
