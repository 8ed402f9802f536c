//! The numbers of a limiter, as a scrape of a `prometheus-client` registry shows them.
#![allow(clippy::std_instead_of_core, reason = "a test has the standard library")]

use connlimit::{Client, Config, Limiter, Permit};
use connlimit_metrics::LimiterCollector;
use prometheus_client::{encoding::text::encode, registry::Registry};
use std::net::{Ipv4Addr, Ipv6Addr};

fn client(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, host)
}

fn scrape(registry: &Registry) -> String {
    let mut text = String::new();
    encode(&mut text, registry).unwrap();
    text
}

fn has_line(text: &str, line: &str) {
    assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
}

/// `host` has as many connections as its number says.
fn crowd(limiter: &Limiter, hosts: u8) -> Vec<Permit> {
    let connections = (1..=hosts).flat_map(|host| (0..host).map(move |_| client(host)));
    connections.map(|client| limiter.try_acquire(client).unwrap()).collect()
}

#[test]
fn a_scrape_shows_what_the_limiter_knows() {
    let limiter = Limiter::new(Config::new(2).with_counting(true));
    let mut registry = Registry::default();
    registry.register_collector(Box::new(LimiterCollector::new(limiter.clone())));

    let attempts = [1, 1, 1, 2].map(|host| limiter.try_acquire(client(host)));
    let _others = [limiter.try_acquire(Ipv6Addr::LOCALHOST), limiter.try_acquire(Client::named("a"))];
    let text = scrape(&registry);
    for line in [
        "# TYPE connlimit_open_connections gauge",
        "connlimit_open_connections{family=\"ipv4\"} 3",
        "connlimit_open_connections{family=\"ipv6\"} 1",
        "connlimit_open_connections{family=\"named\"} 1",
        "connlimit_clients{family=\"ipv4\"} 2",
        "connlimit_table_bound_bytes{family=\"ipv4\"} 134217728",
        "# TYPE connlimit_admitted counter",
        "connlimit_admitted_total 5",
        "connlimit_rejected_total{reason=\"client_limit\"} 1",
        "connlimit_rejected_total{reason=\"denied\"} 0",
        "connlimit_shadow_rejected_total 0",
        "connlimit_client_limit 2",
        "# EOF",
    ] {
        has_line(&text, line);
    }
    assert!(!text.contains("192.0.2."), "clients are named only when that is asked for:\n{text}");

    // A scrape shows the moment, and nothing has to be told in between.
    drop(attempts);
    limiter.update_config(|config| config.with_max_per_client(7)).unwrap();
    let text = scrape(&registry);
    has_line(&text, "connlimit_open_connections{family=\"ipv4\"} 0");
    has_line(&text, "connlimit_admitted_total 5");
    has_line(&text, "connlimit_client_limit 7");
}

#[test]
fn clients_are_named_up_to_a_number_and_from_a_count() {
    let limiter = Limiter::new(Config::new(connlimit::config::Limit::Unlimited));
    let _permits = crowd(&limiter, 40);
    let named = |most, at_least| {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(LimiterCollector::new(limiter.clone()).with_clients(most, at_least)));
        let text = scrape(&registry);
        let lines = text.lines().filter(|line| line.starts_with("connlimit_client_open_connections{"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        named(3, 1),
        [40, 39, 38].map(|host| format!("connlimit_client_open_connections{{client=\"192.0.2.{host}\"}} {host}"))
    );
    assert_eq!(named(10, 39).len(), 2, "40 and 39");
    assert_eq!(named(10, 41).len(), 0);
    assert_eq!(named(1000, 1).len(), 40);
}

#[test]
fn two_limiters_are_told_apart_by_a_label() {
    let mut registry = Registry::default();
    let mut permits = Vec::new();
    for (name, hosts) in [("public", 1), ("internal", 2)] {
        let limiter = Limiter::new(Config::new(connlimit::config::Limit::Unlimited));
        permits.push(crowd(&limiter, hosts));
        registry
            .sub_registry_with_label(("limiter".into(), name.into()))
            .register_collector(Box::new(LimiterCollector::new(limiter).with_clients(1, 1)));
    }
    let text = scrape(&registry);
    for line in [
        "connlimit_open_connections{limiter=\"public\",family=\"ipv4\"} 1",
        "connlimit_open_connections{limiter=\"internal\",family=\"ipv4\"} 3",
        "connlimit_client_open_connections{limiter=\"public\",client=\"192.0.2.1\"} 1",
        "connlimit_client_open_connections{limiter=\"internal\",client=\"192.0.2.2\"} 2",
    ] {
        has_line(&text, line);
    }
}
