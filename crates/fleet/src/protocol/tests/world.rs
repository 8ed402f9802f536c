//! Machines, an engine, and a network between them that loses, delays, duplicates and reorders.

use crate::protocol::Fault;
use crate::protocol::ledger::Ledger;
use crate::protocol::machine::{Counts, Effect, Event, Machine, NEVER, Settings, Time};
use crate::protocol::wire::{Key, Reply, Request, Rules};
use crate::terms::WhenAway;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) const TTL: u64 = 1000;

/// What a world is made of.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) machines: usize,
    pub(super) limit: u32,
    pub(super) seats: u32,
    pub(super) share: u32,
    pub(super) clients: usize,
    pub(super) when_away: WhenAway,
    /// Drift of the machines' clocks and, last, of the engine's; in thousandths.
    pub(super) drift: Vec<i64>,
    pub(super) fault: Option<Fault>,
}

impl Setup {
    pub(super) fn new(limit: u32, seats: u32, share: u32) -> Self {
        Self {
            machines: 3,
            limit,
            seats,
            share,
            clients: 1,
            when_away: WhenAway::Share,
            drift: vec![0; 4],
            fault: None,
        }
    }

    pub(super) fn pool(&self) -> u32 {
        self.limit.saturating_sub(self.seats * self.share)
    }

    /// `max(N, S * f)`.
    pub(super) fn bound(&self) -> u32 {
        self.limit.max(self.seats * self.share)
    }

    fn settings(&self) -> Settings {
        let ttl = Duration::from_millis(TTL);
        Settings {
            rules: Rules { pool: self.pool(), seats: self.seats, share: self.share, ttl, retention: ttl * 10 },
            limit: self.limit,
            when_away: self.when_away,
            flush: Duration::from_millis(5),
            timeout: Duration::from_millis(100),
            idle: Duration::from_millis(200),
        }
    }
}

pub(super) fn key(client: usize) -> Key {
    Key::new(format!("client-{client}").as_bytes())
}

/// Connections that are open on one machine.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Open(BTreeMap<Key, u32>);

impl Counts for Open {
    fn open(&self, key: &Key) -> u32 {
        self.0.get(key).copied().unwrap_or(0)
    }

    fn any(&self) -> bool {
        self.0.values().any(|&open| open > 0)
    }
}

/// A machine as the outside sees it: what `Fleet` is beside the state machine.
#[derive(Clone, Debug, Hash)]
pub(super) struct Node {
    pub(super) machine: Machine,
    pub(super) open: Open,
    leases: BTreeMap<Key, u32>,
    share: u32,
    deadline: Time,
    open_to: u32,
    pub(super) left: bool,
    /// Connections above the share that had lost their lease, and are not in the books again.
    kept: BTreeMap<Key, u32>,
    clock: Clock,
}

#[derive(Clone, Copy, Debug, Hash)]
struct Clock {
    offset: i64,
    drift: i64,
}

impl Clock {
    /// In microseconds.
    fn at(self, real: u64) -> u64 {
        u64::try_from(self.offset + i64::try_from(real).unwrap() * (1000 + self.drift) / 1000).unwrap()
    }
}

#[derive(Clone, Debug, Hash)]
pub(super) struct Packet {
    pub(super) node: usize,
    pub(super) incarnation: u32,
    pub(super) body: Body,
}

#[derive(Clone, Debug, Hash)]
pub(super) enum Body {
    Request(Request),
    Reply(u64, Reply),
}

#[derive(Clone, Debug, Hash)]
pub(super) struct World {
    /// In microseconds.
    real: u64,
    pub(super) ledger: Ledger,
    /// What a replica has of it.
    replica: Ledger,
    run: Arc<str>,
    runs: u32,
    engine: Clock,
    pub(super) nodes: Vec<Node>,
    incarnations: Vec<u32>,
    pub(super) wire: Vec<Packet>,
    /// Machines that reach nobody.
    pub(super) cut: Vec<bool>,
    /// Machines whose task does not get to run, though connections come.
    pub(super) stalled: Vec<bool>,
}

impl World {
    pub(super) fn new(setup: &Setup) -> Self {
        let mut world = Self {
            real: 0,
            ledger: Ledger::default(),
            replica: Ledger::default(),
            run: "run-0".into(),
            runs: 0,
            engine: Clock { offset: 10_000_000_000, drift: setup.drift[setup.machines] },
            nodes: Vec::new(),
            incarnations: vec![0; setup.machines],
            wire: Vec::new(),
            cut: vec![false; setup.machines],
            stalled: vec![false; setup.machines],
        };
        world.ledger.fault = setup.fault;
        world.replica.fault = setup.fault;
        for index in 0..setup.machines {
            let node = world.newborn(setup, index);
            world.nodes.push(node);
        }
        world
    }

    /// All machines have joined, and what the engine may have forgotten is past.
    pub(super) fn settled(setup: &Setup) -> Self {
        let mut world = Self::new(setup);
        for _ in 0..24 {
            world.run_for(setup, TTL / 10);
        }
        assert!(world.nodes.iter().all(|node| node.machine.in_touch()));
        world
    }

    fn newborn(&self, setup: &Setup, index: usize) -> Node {
        let clock = Clock { offset: 7_000_000 * (i64::try_from(index).unwrap() + 1), drift: setup.drift[index] };
        let name = format!("machine-{index}-{}", self.incarnations[index]).into();
        let now = Duration::from_micros(clock.at(self.real));
        let mut machine = Machine::new(name, setup.settings(), now);
        machine.fault = setup.fault;
        Node {
            machine,
            open: Open::default(),
            leases: BTreeMap::new(),
            share: 0,
            deadline: Duration::ZERO,
            open_to: 0,
            left: false,
            kept: BTreeMap::new(),
            clock,
        }
    }

    pub(super) fn now(&self, node: usize) -> Time {
        Duration::from_micros(self.nodes[node].clock.at(self.real))
    }

    pub(super) fn total(&self, client: usize) -> u32 {
        self.nodes.iter().map(|node| node.open.open(&key(client))).sum()
    }

    // What machines do.

    pub(super) fn feed(&mut self, index: usize, event: Event) {
        let now = self.now(index);
        let node = &mut self.nodes[index];
        let effects = node.machine.step(now, event, &node.open);
        let mut adopt = false;
        for effect in effects {
            let node = &mut self.nodes[index];
            match effect {
                Effect::Share(share) => node.share = share,
                Effect::Lease(key, leased) => _ = node.leases.insert(key, leased),
                Effect::Quiet(..) | Effect::QuietAll(_) => {}
                Effect::Deadline(deadline) => node.deadline = deadline,
                Effect::Open(limit) => {
                    adopt = limit == 0;
                    node.open_to = limit;
                }
                Effect::Forget(key) => _ = node.leases.remove(&key),
                Effect::Left => node.left = true,
                Effect::Send(mut request) => {
                    node.machine.settle(&mut request, &node.open);
                    let incarnation = self.incarnations[index];
                    self.wire.push(Packet { node: index, incarnation, body: Body::Request(request) });
                }
            }
        }
        if adopt {
            let keys = self.nodes[index].open.0.keys().cloned().collect();
            self.feed(index, Event::Adopt(keys));
        }
    }

    /// A client connects: whether it was let in.
    pub(super) fn connect(&mut self, index: usize, client: usize) -> bool {
        let (now, key) = (self.now(index), key(client));
        let node = &mut self.nodes[index];
        let leased = if now < node.deadline { node.leases.get(&key).copied().unwrap_or(0) } else { 0 };
        let cap = (node.share + leased).max(node.open_to);
        let open = node.open.0.entry(key.clone()).or_default();
        if node.left {
            return false;
        }
        if *open < cap {
            *open += 1;
            return true;
        }
        self.feed(index, Event::Ask(key));
        false
    }

    pub(super) fn disconnect(&mut self, index: usize, client: usize) {
        if let Some(open) = self.nodes[index].open.0.get_mut(&key(client)) {
            *open = open.saturating_sub(1);
        }
    }

    /// The machine dies, and another one takes its place.
    pub(super) fn crash(&mut self, setup: &Setup, index: usize) {
        self.incarnations[index] += 1;
        self.nodes[index] = self.newborn(setup, index);
    }

    /// Closes what machines name for closing.
    pub(super) fn close_overhang(&mut self) {
        for node in &mut self.nodes {
            for (key, over) in node.machine.overhang(&node.open) {
                let open = node.open.0.get_mut(&key).unwrap();
                *open = open.saturating_sub(over);
            }
        }
    }

    // What the network does.

    pub(super) fn deliver(&mut self, packet: &Packet) {
        let index = packet.node;
        if self.cut[index] {
            return;
        }
        match &packet.body {
            Body::Request(request) => {
                let clock = self.engine.at(self.real) / 1000;
                let reply = self.ledger.exchange(clock, &self.run, request);
                let (node, incarnation, sequence) = (index, packet.incarnation, request.sequence);
                self.wire.push(Packet { node, incarnation, body: Body::Reply(sequence, reply) });
            }
            Body::Reply(sequence, reply) if packet.incarnation == self.incarnations[index] => {
                self.feed(index, Event::Answer { sequence: *sequence, reply: reply.clone() });
            }
            Body::Reply(..) => {}
        }
    }

    pub(super) fn take(&mut self, which: usize) -> Packet {
        self.wire.remove(which)
    }

    // What the engine does.

    /// It forgets everything: a crash without a file, or `FLUSHALL`.
    pub(super) fn forget(&mut self, new_run: bool) {
        let fault = self.ledger.fault;
        self.ledger = Ledger::default();
        self.ledger.fault = fault;
        if new_run {
            self.new_run();
        }
    }

    fn new_run(&mut self) {
        self.runs += 1;
        self.run = format!("run-{}", self.runs).into();
    }

    pub(super) fn replicate(&mut self) {
        self.replica = self.ledger.clone();
    }

    /// The replica takes over, with what it has.
    pub(super) fn fail_over(&mut self) {
        self.ledger = self.replica.clone();
        self.new_run();
    }

    /// The engine's clock is set, by milliseconds.
    pub(super) fn set_clock(&mut self, by: i64) {
        self.engine.offset += by * 1000;
    }

    // Time.

    /// Time passes while no machine gets to run.
    pub(super) fn stall_for(&mut self, millis: u64) {
        self.real += millis * 1000;
    }

    /// Time passes, machines run, and packets stay where they are.
    pub(super) fn pass(&mut self, millis: u64) {
        let end = self.real + millis * 1000;
        for turn in 0.. {
            assert!(turn < 100_000, "a machine that finds no rest");
            let wake = |index: usize| {
                let node = &self.nodes[index];
                let wake = node.machine.next_wake();
                if node.left || wake == NEVER || self.stalled[index] {
                    return u64::MAX;
                }
                let local = i64::try_from(wake.as_micros()).unwrap() - node.clock.offset;
                let real = local * 1000 / (1000 + node.clock.drift) + 1;
                u64::try_from(real).unwrap_or(0).max(self.real + 1)
            };
            let (index, at) =
                (0..self.nodes.len()).map(|index| (index, wake(index))).min_by_key(|&(_, at)| at).unwrap();
            if at > end {
                break;
            }
            self.real = at;
            self.feed(index, Event::Tick);
        }
        self.real = end;
    }

    /// Time passes, and the network does what it should.
    pub(super) fn run_for(&mut self, setup: &Setup, millis: u64) {
        let _ = setup;
        for _ in 0..millis.div_ceil(5) {
            while !self.wire.is_empty() {
                let packet = self.take(0);
                self.deliver(&packet);
            }
            self.pass(5);
        }
    }

    // What has to hold.

    /// By how much the bound of `client` may be exceeded, as machines that were cut off kept connections: for each, those
    /// above its share for as long as the books do not show them.
    pub(super) fn allowance(&mut self, setup: &Setup, client: usize) -> u32 {
        let key = key(client);
        let mut in_the_books = self.ledger.leased_in_all(&key) <= setup.pool();
        for index in 0..self.nodes.len() {
            let now = self.now(index);
            let node = &mut self.nodes[index];
            let above = node.open.open(&key).saturating_sub(node.machine.share());
            let kept = node.kept.entry(key.clone()).or_default();
            *kept = if now >= node.deadline { above.max(*kept) } else { (*kept).min(above) };
            in_the_books &= self.ledger.leased(&node.machine.session(), &key) >= above && now < node.deadline;
        }
        if in_the_books {
            self.nodes.iter_mut().for_each(|node| _ = node.kept.remove(&key));
        }
        self.nodes.iter().filter_map(|node| node.kept.get(&key)).sum()
    }

    /// `N`, and what was kept.
    pub(super) fn check(&mut self, setup: &Setup) -> Result<(), String> {
        for client in 0..setup.clients {
            let (total, mut allowance) = (self.total(client), self.allowance(setup, client));
            if (setup.seats as usize) < setup.machines {
                // A seat that was given to another machine while its owner was cut off.
                let lost = self.nodes.iter().filter(|node| node.machine.totals.losses > 0).count();
                allowance += setup.share * u32::try_from(lost).unwrap();
            }
            if total > setup.bound() + allowance {
                let open: Vec<_> = self.nodes.iter().map(|node| node.open.open(&key(client))).collect();
                return Err(format!("{total} open ({open:?}), {} and {allowance} allowed", setup.bound()));
            }
        }
        Ok(())
    }
}
