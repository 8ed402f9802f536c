//! One attempt after the other, a limiter answers like the plain maps.

use crate::plain::Plain;
use crate::settings::{Limits, Peer, Settings, Shape};
use connlimit::{Config, ConfigError, Limiter, Permit, Rejected, Tier};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Acquire(Peer, Way),
    AcquireUnknown,
    Release(prop::sample::Index),
    /// To settings that the limiter can have.
    Change(Settings),
    /// To settings that it may not be able to have.
    ChangeAnything(Settings),
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Acquire,
    AcquirePeer,
    Admit,
    Session,
}

// In boxes: the strategies are large, and a test thread has a small stack.

fn any_limit() -> BoxedStrategy<u32> {
    prop_oneof![1 => Just(0), 4 => 1..4_u32, 4 => 4..12_u32, 1 => Just(u32::MAX)].boxed()
}

prop_compose! {
    fn any_limits()(
        client in any_limit(),
        tiers in prop::array::uniform4(option::weighted(0.7, any_limit())),
        total in option::weighted(0.7, any_limit()),
    ) -> Limits {
        Limits { client, tiers, total }
    }
}

prop_compose! {
    fn any_settings()(
        limits in any_limits().boxed(),
        shadow in option::weighted(0.4, any_limits().boxed()),
        soft_percent in option::of(0..=100_u8),
        dry_run in prop::bool::weighted(0.2),
        counting in prop::bool::weighted(0.7),
        admit_unknown: bool,
    ) -> Settings {
        Settings { limits, shadow, soft_percent, dry_run, counting, admit_unknown }
    }
}

prop_compose! {
    fn any_shape()(
        client in prop::sample::select(vec![(32, 128), (31, 64), (24, 48)]),
        tiers: [bool; 4],
        total: bool,
    ) -> Shape {
        Shape { client, tiers, total }
    }
}

fn any_step() -> BoxedStrategy<Step> {
    let peer = any::<(u8, u8, u8)>().prop_map(|(kind, network, host)| Peer::choose(kind, network, host));
    let way = prop::sample::select(vec![Way::Acquire, Way::AcquirePeer, Way::Admit, Way::Session]);
    prop_oneof![
        40 => (peer, way).prop_map(|(peer, way)| Step::Acquire(peer, way)),
        1 => Just(Step::AcquireUnknown),
        20 => any::<prop::sample::Index>().prop_map(Step::Release),
        4 => any_settings().prop_map(Step::Change).boxed(),
        1 => any_settings().prop_map(Step::ChangeAnything).boxed(),
    ]
    .boxed()
}

struct Run {
    shape: Shape,
    limiter: Limiter,
    plain: Plain,
    held: Vec<(Peer, Permit)>,
}

impl Run {
    fn new(shape: Shape, first: Settings) -> Self {
        let limiter = Limiter::new(first.first(shape));
        Self { shape, limiter, plain: Plain::new(shape, first), held: Vec::new() }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Acquire(peer, way) => self.acquire(*peer, *way),
            Step::AcquireUnknown => {
                let answer = self.limiter.try_acquire_peer(None::<std::net::IpAddr>);
                assert_eq!(
                    answer.map(|permit| (permit.is_tracked(), permit.open())),
                    self.plain.acquire_unknown().map(|()| (false, 0))
                );
            }
            Step::Release(index) if !self.held.is_empty() => {
                let (peer, permit) = self.held.swap_remove(index.index(self.held.len()));
                drop(permit);
                self.plain.release(peer);
            }
            Step::Release(_) => {}
            Step::Change(settings) => {
                let settings = Settings { limits: settings.limits.within(self.shape), ..*settings };
                self.change(&settings);
            }
            Step::ChangeAnything(settings) => self.change(settings),
        }
    }

    fn acquire(&mut self, peer: Peer, way: Way) {
        let expected = self.plain.acquire(peer);
        let answer: Result<Permit, Rejected> = match way {
            Way::Acquire => self.limiter.try_acquire(peer.client()),
            Way::AcquirePeer => self.limiter.try_acquire_peer(Some(peer.client())),
            Way::Session => self.limiter.session().try_acquire(peer.client()),
            Way::Admit => self.limiter.try_admit(peer.client()).map(|admission| {
                assert_eq!(Ok(admission.open), expected);
                assert_eq!(admission.zone, self.plain.zone(admission.open), "{} open", admission.open);
                admission.permit
            }),
        };
        assert_eq!(answer.as_ref().map(Permit::open).map_err(|rejected| *rejected), expected, "{peer:?} by {way:?}");
        self.held.extend(answer.map(|permit| (peer, permit)));
    }

    fn change(&mut self, settings: &Settings) {
        let before = self.limiter.config();
        let answer = self.limiter.set_config(settings.config());
        if settings.limits.fit(self.shape) {
            assert_eq!(answer, Ok(()));
            self.plain.now = *settings;
            let shown = self.limiter.config();
            assert_eq!(self.limiter.set_config((*shown).clone()), Ok(()), "what is shown can be set");
            assert_eq!(self.limiter.config(), shown);
        } else {
            assert!(matches!(answer, Err(ConfigError::FixedAtBuild(_))), "{answer:?}");
            assert_eq!(self.limiter.config(), before);
        }
    }

    fn compare(&self) {
        self.plain.compare(&self.limiter.stats());
        for (peer, permit) in &self.held {
            let open = self.plain.open(*peer);
            assert_eq!((permit.open(), self.limiter.num_open(peer.client())), (open, open), "{peer:?}");
            assert_eq!(self.limiter.zone(peer.client()), self.plain.zone(open), "{open} open");
        }
    }

    /// Releases everything; then nothing is left in any counter, the total's among them.
    fn finish(mut self) {
        while let Some((peer, permit)) = self.held.pop() {
            drop(permit);
            self.plain.release(peer);
            self.compare();
        }
        assert_eq!(self.plain.total(), 0);
        if self.shape.total {
            self.limiter.set_config(Config::new(0).with_max_total(2)).unwrap();
            let attempts = [0; 3].map(|_| self.limiter.try_acquire(std::net::Ipv4Addr::LOCALHOST));
            assert_eq!(
                attempts.each_ref().map(|attempt| attempt.as_ref().err()),
                [None, None, Some(&Rejected::TotalLimit)]
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 2 } else { 256 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_limiter_with_a_policy_agrees_with_plain_maps(
        shape in any_shape().boxed(),
        first in any_settings().boxed(),
        steps in vec(any_step(), 1..if cfg!(miri) { 20 } else { 150 }),
    ) {
        let first = Settings { limits: first.limits.within(shape), ..first };
        let mut run = Run::new(shape, first);
        for step in &steps {
            run.take(step);
            run.compare();
        }
        run.finish();
    }

    #[test]
    fn tiers_are_taken_when_each_is_wider_than_the_one_before(prefixes in vec((0..=33_u8, 0..=129_u8), 0..6)) {
        let mut config = Config::new(1);
        let mut taken: Vec<(u8, u8)> = Vec::new();
        for (ipv4, ipv6) in prefixes {
            let tier = Tier::new(ipv4, ipv6, 7);
            if ipv4 > 32 {
                prop_assert_eq!(tier, Err(ConfigError::Ipv4Prefix(ipv4)));
            } else if ipv6 > 128 {
                prop_assert_eq!(tier, Err(ConfigError::Ipv6Prefix(ipv6)));
            } else {
                let tier = tier.unwrap();
                let wider = taken.last().is_none_or(|&(v4, v6)| ipv4 <= v4 && ipv6 <= v6 && (ipv4 < v4 || ipv6 < v6));
                match config.clone().with_tier(tier) {
                    Ok(longer) => {
                        prop_assert!(wider && taken.len() < 4);
                        taken.push((ipv4, ipv6));
                        config = longer;
                    }
                    Err(error) => {
                        prop_assert!(!wider || taken.len() == 4);
                        prop_assert_eq!(error, ConfigError::Tier(tier));
                    }
                }
            }
            let tiers: Vec<_> = config.tiers().iter().map(|tier| (tier.ipv4_prefix(), tier.ipv6_prefix())).collect();
            prop_assert_eq!(&tiers, &taken);
        }
    }
}
