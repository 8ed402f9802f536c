//! Limits, what is held against them and what is only tried out, through both facades.
#![allow(clippy::std_instead_of_core, reason = "a test has the standard library")]

mod facades;

use connlimit::config::Limit;
use connlimit::{Config, Limiter};
use connlimit_metrics::{Exporter, LimiterCollector};
use facades::Facades;
use std::net::{Ipv4Addr, Ipv6Addr};

fn client(net: u8, host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, net, host)
}

fn watch(limiter: &Limiter) -> Facades {
    Facades::new(LimiterCollector::new(limiter.clone()), || Exporter::new(limiter.clone(), "public"))
}

#[test]
fn nobody_is_told_zero_rejections_while_rejections_are_not_counted() {
    let limiter = Limiter::new(Config::new(1));
    let _first = limiter.try_acquire(client(0, 1)).unwrap();
    limiter.try_acquire(client(0, 1)).unwrap_err();
    let facades = watch(&limiter);
    for series in [facades.scrape(), facades.publish()] {
        let told = |name: &str| series.keys().any(|series| series.starts_with(name));
        assert!(!told("connlimit_rejected_total") && !told("connlimit_admitted"), "{series:#?}");
        assert!(told("connlimit_open_connections"), "{series:#?}");
    }
    facades.expect(&[("connlimit_counting", Some(0.0))]);

    limiter.update_config(|config| config.with_counting(true)).unwrap();
    limiter.try_acquire(client(0, 1)).unwrap_err();
    facades.expect(&[
        ("connlimit_counting", Some(1.0)),
        ("connlimit_rejected_total{reason=\"client_limit\"}", Some(1.0)),
        ("connlimit_rejected_total{reason=\"denied\"}", Some(0.0)),
        ("connlimit_admitted_total", Some(0.0)),
        ("connlimit_admitted_untracked_total", Some(0.0)),
    ]);
}

#[test]
fn tiers_and_the_total_are_told_beside_their_limits() {
    let config = Config::new(4).with_tier(24, 48, 5).unwrap().with_tier(8, 32, 100).unwrap().with_max_total(7);
    let limiter = Limiter::new(config.with_counting(true));
    let clients = [(0, 1), (0, 1), (0, 1), (0, 2), (0, 2), (0, 3), (1, 1)].map(|(net, host)| client(net, host));
    let _permits = clients.map(|client| limiter.try_acquire(client));
    let _v6 = limiter.try_acquire(Ipv6Addr::LOCALHOST).unwrap();
    watch(&limiter).expect(&[
        ("connlimit_client_most_open_connections{family=\"ipv4\"}", Some(3.0)),
        ("connlimit_client_limit", Some(4.0)),
        ("connlimit_tier_open_connections{ipv4_prefix=\"24\",ipv6_prefix=\"48\"}", Some(7.0)),
        ("connlimit_tier_networks{ipv4_prefix=\"24\",ipv6_prefix=\"48\"}", Some(3.0)),
        ("connlimit_tier_most_open_connections{ipv4_prefix=\"24\",ipv6_prefix=\"48\"}", Some(5.0)),
        ("connlimit_tier_limit{ipv4_prefix=\"24\",ipv6_prefix=\"48\"}", Some(5.0)),
        ("connlimit_tier_networks{ipv4_prefix=\"8\",ipv6_prefix=\"32\"}", Some(2.0)),
        ("connlimit_tier_limit{ipv4_prefix=\"8\",ipv6_prefix=\"32\"}", Some(100.0)),
        ("connlimit_total_open_connections", Some(7.0)),
        ("connlimit_total_limit", Some(7.0)),
        ("connlimit_rejected_total{reason=\"tier_limit\"}", Some(1.0)),
    ]);
}

#[test]
fn what_is_unlimited_has_no_limit_to_be_told() {
    let tier = "connlimit_tier_limit{ipv4_prefix=\"24\",ipv6_prefix=\"48\"}";
    let unlimited = [("connlimit_client_limit", None), (tier, None), ("connlimit_total_limit", None)];

    let plain = watch(&Limiter::new(Config::new(Limit::Unlimited)));
    plain.expect(&unlimited);
    plain.expect(&[("connlimit_total_open_connections", None)]);

    let config = Config::new(Limit::Unlimited).with_tier(24, 48, Limit::Unlimited).unwrap();
    let limiter = Limiter::new(config.with_max_total(Limit::Unlimited));
    let facades = watch(&limiter);
    facades.expect(&unlimited);
    facades.expect(&[("connlimit_total_open_connections", Some(0.0))]);

    let set = Config::new(0).with_tier(24, 48, 8).unwrap().with_max_total(9);
    limiter.set_config(set).unwrap();
    facades.expect(&[("connlimit_client_limit", Some(0.0)), (tier, Some(8.0)), ("connlimit_total_limit", Some(9.0))]);

    // A scrape shows the moment; a recorder has heard the old limit, and hears that it is gone.
    limiter.set_config(Config::new(Limit::Unlimited)).unwrap();
    let (scraped, published) = (facades.scrape(), facades.publish());
    for (name, _) in unlimited {
        assert_eq!(scraped.get(name), None, "{name}");
        assert_eq!(published.get(name), Some(&f64::INFINITY), "{name}");
    }
}

#[test]
fn what_is_only_tried_out_is_told_whether_or_not_anything_is_counted() {
    let limiter = Limiter::new(Config::new(5).with_shadow(Config::new(1)));
    let facades = watch(&limiter);
    let mut permits = vec![limiter.try_acquire(client(0, 1)).unwrap()];
    facades.expect(&[("connlimit_shadow_rejected_total", Some(0.0)), ("connlimit_dry_run", Some(0.0))]);
    permits.push(limiter.try_acquire(client(0, 1)).unwrap());
    limiter.set_config(Config::new(1).with_dry_run(true)).unwrap();
    permits.push(limiter.try_acquire(client(0, 1)).unwrap());
    facades.expect(&[
        ("connlimit_shadow_rejected_total", Some(1.0)),
        ("connlimit_dry_run_rejected_total", Some(1.0)),
        ("connlimit_dry_run", Some(1.0)),
        ("connlimit_counting", Some(0.0)),
        ("connlimit_rejected_total{reason=\"client_limit\"}", None),
    ]);
}
