//! Worked examples of a policy, one at a time.

use connlimit::{
    Client, Config, Limiter, Permit, Rejected,
    config::{Embedded, EmbeddedPolicy, Limit, UnknownPeer},
    stats::Zone,
};
use std::net::{IpAddr, Ipv4Addr};

fn client(text: &str) -> Client {
    text.parse::<IpAddr>().unwrap().into()
}

const NOBODY: Option<Ipv4Addr> = None;

#[test]
fn the_first_limit_on_the_way_up_is_the_reason() {
    // Each limit is full with one connection of 192.0.2.1.
    let all = Config::new(1).with_tier(24, 56, 1).unwrap().with_tier(16, 48, 1).unwrap().with_max_total(1);
    let limiter = Limiter::new(all);
    let _permit = limiter.try_acquire(client("192.0.2.1")).unwrap();
    for (peer, reason) in [
        ("192.0.2.1", Rejected::ClientLimit),
        ("::ffff:192.0.2.1", Rejected::ClientLimit),
        ("192.0.2.2", Rejected::TierLimit),
        ("192.0.3.1", Rejected::TierLimit),
        ("198.51.100.1", Rejected::TotalLimit),
        ("2001:db8::1", Rejected::TotalLimit),
    ] {
        assert_eq!(limiter.try_acquire(client(peer)).unwrap_err(), reason, "{peer}");
    }
    assert_eq!(limiter.try_acquire(Client::named("192.0.2.1")).unwrap_err(), Rejected::TotalLimit);
}

#[test]
fn a_name_is_in_no_network() {
    let limiter = Limiter::new(Config::new(Limit::Unlimited).with_tier(0, 0, 1).unwrap());
    let _v4 = limiter.try_acquire(client("192.0.2.1")).unwrap();
    let _v6 = limiter.try_acquire(client("2001:db8::1")).expect("the families have networks of their own");
    let _named = [1, 2, 3].map(|_| limiter.try_acquire(Client::named("tenant")).unwrap());
    assert_eq!(limiter.try_acquire(client("198.51.100.1")).unwrap_err(), Rejected::TierLimit);
    assert_eq!(limiter.stats().tiers[0].open_connections, 2);
}

#[test]
fn an_embedded_client_that_is_the_ipv4_client_is_in_its_networks() {
    let embedded = EmbeddedPolicy::new().with_nat64(Embedded::SameAsIpv4);
    let limiter = Limiter::new(Config::new(Limit::Unlimited).with_embedded(embedded).with_tier(24, 48, 1).unwrap());
    let _permit = limiter.try_acquire(client("64:ff9b::8.8.8.8")).unwrap();
    assert_eq!(limiter.try_acquire(client("8.8.8.9")).unwrap_err(), Rejected::TierLimit);
    assert!(limiter.try_acquire(client("8.8.9.8")).is_ok());
}

#[test]
fn a_rejected_attempt_leaves_no_trace() {
    let limiter = Limiter::new(Config::new(1).with_tier(24, 56, 5).unwrap().with_max_total(1));
    let held = limiter.try_acquire(client("192.0.2.1")).unwrap();
    for host in 2..100 {
        let client = Ipv4Addr::new(192, 0, 2, host);
        assert_eq!(limiter.try_acquire(client).unwrap_err(), Rejected::TotalLimit);
        assert_eq!(limiter.open_connections(client), 0);
    }
    let stats = limiter.stats();
    assert_eq!(
        (stats.total.open_connections, stats.total.clients, stats.total.lingering),
        (1, 1, 0),
        "no slot was taken"
    );
    assert_eq!((stats.tiers[0].open_connections, stats.tiers[0].clients), (1, 1));
    drop(held);
    assert_eq!(limiter.stats().tiers[0].open_connections, 0);
}

#[test]
fn a_permit_gives_back_what_it_charged_although_the_limits_were_lifted_meanwhile() {
    let strict = Config::new(1).with_tier(24, 56, 1).unwrap().with_max_total(1);
    let limiter = Limiter::new(strict.clone());
    let early = limiter.try_acquire(client("192.0.2.1")).unwrap();
    limiter.set_config(Config::new(Limit::Unlimited)).unwrap();
    let late = limiter.try_acquire(client("192.0.2.2")).expect("no limit is left");
    limiter.set_config(strict).unwrap();
    assert_eq!(limiter.stats().tiers[0].open_connections, 2, "what came while there was no limit is counted as well");

    drop(early);
    assert_eq!(limiter.try_acquire(client("192.0.2.3")).unwrap_err(), Rejected::TierLimit);
    assert_eq!(limiter.try_acquire(client("198.51.100.1")).unwrap_err(), Rejected::TotalLimit);
    drop(late);
    assert_eq!(limiter.stats().tiers[0].open_connections, 0);
    let _again = limiter.try_acquire(client("192.0.2.3")).expect("everything was given back");
}

#[test]
fn a_dry_run_counts_and_admits() {
    let config = Config::new(1).with_max_total(1).with_dry_run(true);
    let limiter = Limiter::new(config.clone());
    let permits: Vec<Permit> = (0..5).map(|_| limiter.try_acquire(Ipv4Addr::LOCALHOST).unwrap()).collect();
    assert_eq!(limiter.stats().decisions.dry_run_rejected, 4);
    assert_eq!(limiter.open_connections(Ipv4Addr::LOCALHOST), 5);

    limiter.set_config(config.with_dry_run(false)).unwrap();
    assert_eq!(limiter.try_acquire(Ipv4Addr::LOCALHOST).unwrap_err(), Rejected::ClientLimit);
    drop(permits);
    assert!(limiter.try_acquire(Ipv4Addr::LOCALHOST).is_ok());
}

#[test]
fn a_shadow_tells_what_a_lower_and_a_higher_limit_would_reject() {
    let limiter = Limiter::new(Config::new(2).with_counting(true).with_shadow(Config::new(1)));
    let attempt = || limiter.try_acquire(Ipv4Addr::LOCALHOST);
    let _held = [attempt().unwrap(), attempt().unwrap()];
    assert!(attempt().is_err());
    let decisions = limiter.stats().decisions;
    assert_eq!((decisions.rejected.total(), decisions.shadow_rejected), (1, 2));

    limiter.set_config(Config::new(2).with_counting(true).with_shadow(Config::new(3))).unwrap();
    assert!(attempt().is_err());
    let decisions = limiter.stats().decisions;
    assert_eq!((decisions.rejected.total(), decisions.shadow_rejected), (2, 2), "a third one would have had room");
}

#[test]
fn an_unknown_peer_is_rejected_or_admitted_uncounted() {
    let limiter = Limiter::new(Config::new(1).with_max_total(1).with_counting(true));
    assert_eq!(limiter.try_acquire_peer(NOBODY).unwrap_err(), Rejected::UnknownPeer);

    let lenient = Config::new(1).with_max_total(1).with_counting(true).with_unknown_peer(UnknownPeer::AdmitUntracked);
    limiter.set_config(lenient).unwrap();
    let unknown: Vec<Permit> = (0..3).map(|_| limiter.try_acquire_peer(NOBODY).unwrap()).collect();
    assert!(unknown.iter().all(|permit| !permit.is_tracked()));
    let _known = limiter.try_acquire_peer(Some(Ipv4Addr::LOCALHOST)).expect("they take no place of the total");
    assert_eq!(limiter.try_acquire_peer(Some(Ipv4Addr::LOCALHOST)).unwrap_err(), Rejected::ClientLimit);
    let decisions = limiter.stats().decisions;
    assert_eq!((decisions.admitted, decisions.admitted_untracked), (1, 3));
    assert_eq!((decisions.rejected.unknown_peer, decisions.rejected.client_limit), (1, 1));
}

#[test]
fn the_soft_zone_begins_above_its_share_of_the_limit() {
    let zones = |limit: Limit, percent| {
        let limiter = Limiter::new(Config::new(limit).with_soft_percent(percent));
        assert_eq!(limiter.usage(Ipv4Addr::LOCALHOST).zone, Zone::Normal, "nothing is open");
        let admissions = [(); 4].map(|()| {
            let admission = limiter.try_acquire_with_usage(Ipv4Addr::LOCALHOST).unwrap();
            assert_eq!(limiter.usage(Ipv4Addr::LOCALHOST), admission.usage);
            admission
        });
        admissions.each_ref().map(|admission| admission.usage.zone == Zone::Soft)
    };
    assert_eq!(zones(Limit::AtMost(4), 0), [true; 4]);
    assert_eq!(zones(Limit::AtMost(4), 50), [false, false, true, true]);
    assert_eq!(zones(Limit::AtMost(4), 74), [false, false, true, true]);
    assert_eq!(zones(Limit::AtMost(4), 75), [false, false, false, true]);
    assert_eq!(zones(Limit::AtMost(4), 100), [false; 4]);
    assert_eq!(zones(Limit::Unlimited, 0), [false; 4], "no limit has no share");
    assert_eq!(zones(Limit::AtMost(u32::MAX), 1), [false; 4]);
}

#[test]
fn the_soft_zone_sees_tiers_and_the_total() {
    let limiter = Limiter::new(Config::new(10).with_tier(24, 48, 4).unwrap().with_max_total(6).with_soft_percent(50));
    let zone = |peer: &str| limiter.usage(client(peer)).zone;
    let _two = ["192.0.2.1", "192.0.2.2"].map(|peer| limiter.try_acquire(client(peer)).unwrap());
    assert_eq!(zone("192.0.2.1"), Zone::Normal);
    let third = limiter.try_acquire_with_usage(client("192.0.2.3")).unwrap();
    assert_eq!(third.usage.zone, Zone::Soft, "three of four in its network");
    assert_eq!((zone("192.0.2.9"), zone("198.51.100.1")), (Zone::Soft, Zone::Normal));
    let _fourth = limiter.try_acquire(client("198.51.100.1")).unwrap();
    assert_eq!(zone("203.0.113.1"), Zone::Soft, "four of six in all");
}
