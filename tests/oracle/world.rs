//! A limiter and a plain map that go through the same operations.

use super::operation::{Operation, Part, Setup};
use super::peer::{Counted, Peer};
use connlimit::{
    Config, Limiter, Permit, Rejected,
    config::{ConfigError, WhenFull},
};
use std::collections::HashMap;

/// More newcomers than this do not come in one run: it has to be quick enough to be repeated by the million.
const MOST_NEWCOMERS: u16 = 1000;

pub(crate) struct World {
    setup: Setup,
    /// What the limiter should say its configuration is, with every part spelt out.
    config: Config,
    handles: Vec<Limiter>,
    /// The limit in it; 0 is none.
    limit: u32,
    /// How many limiters there have been: permits of an earlier one do not count in this one.
    generation: u32,
    accounts: HashMap<Counted, Account>,
    open: Vec<Open>,
    parked: Vec<Open>,
    newcomers_left: u16,
}

struct Account {
    peer: Peer,
    open: u32,
}

struct Open {
    permit: Permit,
    /// The limiter and the account that it is counted in; a permit given by a full table counts nowhere.
    charged: Option<(u32, Counted)>,
}

impl World {
    pub(crate) fn new(setup: Setup) -> Self {
        let limiter = Limiter::new(setup.config.clone());
        Self {
            config: with_limit(&setup.config, setup.limit),
            limit: setup.limit,
            setup,
            handles: vec![limiter],
            generation: 0,
            accounts: HashMap::new(),
            open: Vec::new(),
            parked: Vec::new(),
            newcomers_left: MOST_NEWCOMERS,
        }
    }

    pub(crate) fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::Acquire(peer) => self.acquire(*peer),
            Operation::Release(place) => {
                if let Some(open) = self.take(*place) {
                    self.release(open);
                }
            }
            Operation::Park(place) => {
                let open = self.take(*place);
                self.parked.extend(open);
            }
            Operation::SetLimit(limit, when_full) => {
                let asked = Config::new(super::limit(*limit)).with_when_full(*when_full);
                assert_eq!(self.limiter().set_config(asked), Ok(()));
                self.config = with_limit(&self.config, *limit).with_when_full(*when_full);
                self.limit = *limit;
            }
            Operation::SetShape(part) => self.set_shape(*part),
            Operation::Crowd { crowd, newcomers } => {
                let newcomers = (*newcomers).min(self.newcomers_left);
                self.newcomers_left -= newcomers;
                for number in 0..newcomers {
                    self.acquire(Peer::from_crowd(*crowd, number));
                }
            }
            Operation::Leave(leaving) => {
                let leaving = usize::from(*leaving).min(self.open.len());
                for open in self.open.drain(..leaving).collect::<Vec<_>>() {
                    self.release(open);
                }
            }
            Operation::Batch(peers) => self.batch(peers),
            Operation::CloneHandle => {
                if self.handles.len() < 8 {
                    self.handles.push(self.limiter());
                }
            }
            Operation::DropHandle => self.drop_handle(),
            Operation::NumOpen(peer) => self.compare(*peer),
        }
        assert_eq!(*self.handles[0].config(), self.config);
    }

    /// Compares every count, releases all that is open, and compares again: nothing is left.
    pub(crate) fn finish(mut self) {
        self.compare_all();
        for open in core::mem::take(&mut self.open) {
            self.release(open);
        }
        self.compare_all();
        for open in core::mem::take(&mut self.parked) {
            self.release(open);
        }
        for account in self.accounts.values() {
            assert_eq!(self.limiter().open_connections(account.peer.client()), 0);
        }
    }

    fn limiter(&self) -> Limiter {
        self.handles[self.open.len() % self.handles.len()].clone()
    }

    fn counted_as(&self, peer: Peer) -> Counted {
        peer.counted_as(self.config.ipv4_prefix(), self.config.ipv6_prefix())
    }

    fn open_connections(&self, peer: Peer) -> u32 {
        let account = self.accounts.get(&self.counted_as(peer));
        account.map_or(0, |account| account.open)
    }

    fn acquire(&mut self, peer: Peer) {
        let limiter = self.limiter();
        let outcome = limiter.try_acquire(peer.client());
        self.judge(peer, outcome, &limiter);
    }

    fn batch(&mut self, peers: &[Peer]) {
        let limiter = self.limiter();
        let mut batch = limiter.batch();
        for (turn, peer) in peers.iter().enumerate() {
            let outcome = batch.try_acquire(peer.client());
            self.judge(*peer, outcome, &limiter);
            if turn % 3 == 2 {
                self.open.pop().into_iter().for_each(|open| self.release(open));
            }
        }
    }

    /// Holds the outcome of an acquire against the map, and books it.
    fn judge(&mut self, peer: Peer, outcome: Result<Permit, Rejected>, limiter: &Limiter) {
        let limit = self.limit;
        let before = self.open_connections(peer);
        let room = limit == 0 || before < limit;
        let newcomer_to_tight_table = self.setup.tight && before == 0;
        match outcome {
            Ok(permit) => {
                assert!(room, "{peer:?} was admitted with {before} of {limit} open");
                let now = limiter.open_connections(peer.client());
                let untracked =
                    now == 0 && newcomer_to_tight_table && self.config.when_full() == WhenFull::AdmitUntracked;
                let mut charged = None;
                if !untracked {
                    assert_eq!(now, before + 1, "{peer:?} after one more acquire");
                    let counted = self.counted_as(peer);
                    charged = Some((self.generation, counted));
                    self.accounts.entry(counted).or_insert(Account { peer, open: 0 }).open += 1;
                }
                self.open.push(Open { permit, charged });
            }
            Err(Rejected::ClientLimit) => {
                assert!(!room, "{peer:?} was rejected with {before} of {limit} open");
                self.compare(peer);
            }
            Err(Rejected::TableFull) => {
                assert!(
                    newcomer_to_tight_table && self.config.when_full() == WhenFull::Reject,
                    "{peer:?} met a full table with {before} open"
                );
                self.compare(peer);
            }
            Err(other) => panic!("{peer:?} was rejected for {other:?}"),
        }
    }

    fn take(&mut self, place: u16) -> Option<Open> {
        let held = self.open.len();
        (held > 0).then(|| self.open.swap_remove(usize::from(place) % held))
    }

    fn release(&mut self, open: Open) {
        drop(open.permit);
        let Some((generation, counted)) = open.charged else {
            return;
        };
        if generation == self.generation {
            let account = self.accounts.get_mut(&counted).expect("a charged account stays");
            account.open -= 1;
            let peer = account.peer;
            self.compare(peer);
        }
    }

    /// A configuration that repeats the shape is taken; one that changes it is rejected and nothing changes.
    fn set_shape(&mut self, part: Part) {
        let built = &self.config;
        let limit = self.limit.wrapping_add(1);
        let asked = Config::new(super::limit(limit)).with_when_full(built.when_full());
        let (asked, repeats) = match part {
            Part::Ipv4Prefix(bits) => (asked.with_ipv4_prefix(bits), built.ipv4_prefix() == bits),
            Part::Ipv6Prefix(bits) => (asked.with_ipv6_prefix(bits), built.ipv6_prefix() == bits),
            Part::TableMemory(size) => (Ok(asked.with_table_memory(size)), built.table_memory() == size),
            Part::Preallocation(all) => (Ok(asked.with_preallocation(all)), built.preallocation() == all),
        };
        let outcome = self.limiter().set_config(asked.expect("parts in range"));
        if repeats {
            assert_eq!(outcome, Ok(()), "{part:?} over {built:?}");
            self.config = with_limit(built, limit);
            self.limit = limit;
        } else {
            assert!(matches!(outcome, Err(ConfigError::FixedAtBuild(_))), "{part:?} over {built:?} gave {outcome:?}");
        }
    }

    fn drop_handle(&mut self) {
        self.handles.pop();
        if self.handles.is_empty() {
            self.generation += 1;
            self.accounts.clear();
            let config = self.setup.config.clone();
            self.limit = self.setup.limit;
            self.config = with_limit(&config, self.limit);
            self.handles.push(Limiter::new(config));
        }
    }

    fn compare(&self, peer: Peer) {
        assert_eq!(
            self.limiter().open_connections(peer.client()),
            self.open_connections(peer),
            "open connections of {peer:?}"
        );
    }

    fn compare_all(&self) {
        for account in self.accounts.values() {
            self.compare(account.peer);
        }
    }
}

/// `config` with another limit and every part of its shape spelt out.
fn with_limit(config: &Config, limit: u32) -> Config {
    Config::new(super::limit(limit))
        .with_when_full(config.when_full())
        .with_ipv4_prefix(config.ipv4_prefix())
        .and_then(|new| new.with_ipv6_prefix(config.ipv6_prefix()))
        .expect("parts of a valid configuration")
        .with_table_memory(config.table_memory())
        .with_preallocation(config.preallocation())
        .with_embedded(config.embedded().clone())
}
