//! Tiers, a total, rules and all that may change about them: a limiter with a policy and plain maps give the same
//! answers, with the same reasons.

mod operation;
mod plain;
mod settings;

use super::limit;
use connlimit::{Admission, Config, Limiter, Permit, Rejected, config::ConfigError};
use core::net::{IpAddr, Ipv4Addr};
use operation::{Operation, Way};
use plain::Plain;
use settings::{Limits, Peer, Settings, Shape};

/// Builds the limiter that `data` spells and takes it through the operations, and the plain maps with it.
///
/// # Panics
///
/// When the two disagree.
pub(crate) fn check(data: &[u8]) {
    let (setup, operations) = data.split_at(data.len().min(operation::SETUP));
    let (shape, first) = operation::setup(setup);
    let mut run = Run::new(shape, first);
    for bytes in operations.chunks_exact(operation::WIDTH) {
        run.take(&Operation::decode(bytes));
    }
    run.finish();
}

struct Run {
    shape: Shape,
    limiter: Limiter,
    plain: Plain,
    /// What the limiter is asked for next, as far as that is known.
    planned: Settings,
    /// With each permit, whether it takes places in tiers and the total.
    held: Vec<(Peer, bool, Permit)>,
}

impl Run {
    fn new(shape: Shape, first: Settings) -> Self {
        let limiter = Limiter::new(first.first(shape));
        let run = Self { shape, limiter, plain: Plain::new(shape, first), planned: first, held: Vec::new() };
        run.compare_config();
        run
    }

    fn take(&mut self, operation: &Operation) {
        match operation {
            Operation::Acquire(peer, way) => self.acquire(*peer, *way),
            Operation::AcquireUnknown => {
                let answer = self.limiter.try_acquire_peer(None::<IpAddr>);
                assert_eq!(answer.map(|permit| permit.is_tracked()), self.plain.acquire_unknown().map(|()| false));
            }
            Operation::Release(place) if !self.held.is_empty() => {
                self.release(usize::from(*place) % self.held.len());
            }
            Operation::Release(_) => {}
            Operation::Batch(peers) => self.batch(peers),
            Operation::Plan(part) => part.put_into(&mut self.planned),
            Operation::Change(part) => {
                part.put_into(&mut self.planned);
                self.change();
            }
            Operation::Compare => self.compare_all(),
        }
    }

    fn acquire(&mut self, peer: Peer, way: Way) {
        let expected = self.plain.acquire(peer);
        let answer = match way {
            Way::Acquire => self.limiter.try_acquire(peer.client()),
            Way::AcquirePeer => self.limiter.try_acquire_peer(Some(peer.client())),
            Way::Batch => self.limiter.batch().try_acquire(peer.client()),
            Way::Admit => {
                self.limiter.try_acquire_with_usage(peer.client()).map(|Admission { permit, usage, .. }| {
                    assert_eq!(Ok(usage.open_connections), expected);
                    assert_eq!(usage.zone, self.plain.zone(peer), "{peer:?} with {usage:?}");
                    permit
                })
            }
        };
        self.judge(peer, answer, expected);
    }

    fn batch(&mut self, peers: &[Peer]) {
        let limiter = self.limiter.clone();
        let mut batch = limiter.batch();
        for (turn, peer) in peers.iter().enumerate() {
            let expected = self.plain.acquire(*peer);
            self.judge(*peer, batch.try_acquire(peer.client()), expected);
            if turn % 3 == 2 && !self.held.is_empty() {
                self.release(0);
            }
        }
    }

    fn judge(&mut self, peer: Peer, answer: Result<Permit, Rejected>, expected: Result<u32, Rejected>) {
        assert_eq!(answer.as_ref().err(), expected.as_ref().err(), "{peer:?}");
        self.compare_client(peer);
        self.held.extend(answer.map(|permit| (peer, self.plain.shares(peer), permit)));
    }

    fn release(&mut self, place: usize) {
        let (peer, shares, permit) = self.held.swap_remove(place);
        drop(permit);
        self.plain.release(peer, shares);
        self.compare_client(peer);
    }

    /// Settings that fit are taken whole; of others, nothing is.
    fn change(&mut self) {
        let before = self.limiter.config();
        let answer = self.limiter.set_config(self.planned.config());
        if self.planned.limits.fit(self.shape) {
            assert_eq!(answer, Ok(()));
            self.plain.now = self.planned;
            self.compare_config();
            self.compare_all();
        } else {
            assert!(matches!(answer, Err(ConfigError::FixedAtBuild(_))), "{answer:?}");
            assert_eq!(self.limiter.config(), before);
            self.planned = self.plain.now;
        }
    }

    /// What is shown is what was asked for, with a limit for each tier there is; and it can be set.
    fn compare_config(&self) {
        let (shown, Limits { client, tiers, total }) = (self.limiter.config(), self.plain.now.limits);
        assert_eq!(shown.max_per_client(), limit(client));
        let there = tiers.iter().zip(self.shape.tiers).filter(|(_, there)| *there);
        let limits: Vec<_> = there.map(|(number, _)| limit(number.unwrap_or(0))).collect();
        assert_eq!(shown.tiers().iter().map(connlimit::config::Tier::limit).collect::<Vec<_>>(), limits);
        assert_eq!(shown.max_total(), self.shape.total.then_some(limit(total.unwrap_or(0))));
        assert_eq!(self.limiter.set_config((*shown).clone()), Ok(()));
        assert_eq!(self.limiter.config(), shown);
    }

    fn compare_client(&self, peer: Peer) {
        let open = self.plain.open(peer);
        assert_eq!(self.limiter.open_connections(peer.client()), open, "{peer:?}");
        let usage = self.limiter.usage(peer.client());
        assert_eq!((usage.open_connections, usage.zone), (open, self.plain.zone(peer)), "{peer:?}");
    }

    /// Compares all that is counted. It takes as long as many admissions do, and what is wrong then stays wrong.
    fn compare_all(&self) {
        self.plain.compare(&self.limiter.stats());
        for (peer, ..) in &self.held {
            self.compare_client(*peer);
        }
    }

    /// Releases everything; then nothing is left in any counter, the total's among them.
    fn finish(mut self) {
        self.compare_all();
        while !self.held.is_empty() {
            self.release(self.held.len() / 2);
        }
        self.plain.compare(&self.limiter.stats());
        assert_eq!(self.plain.total(), 0);
        if self.shape.total {
            self.limiter
                .set_config(Config::new(connlimit::config::Limit::Unlimited).with_max_total(2))
                .expect("there is a total");
            let attempts = [0; 3].map(|_| self.limiter.try_acquire(Ipv4Addr::LOCALHOST));
            let rejections = attempts.each_ref().map(|attempt| attempt.as_ref().err());
            assert_eq!(rejections, [None, None, Some(&Rejected::TotalLimit)]);
        }
    }
}
