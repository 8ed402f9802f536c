//! Goes through all states that can be reached, and looks at each.

use crate::protocol::{At, Fault, Memory, Meta, Next, Op, PROCESSES, Protocol, RECORDS, START, State, replace};
use core::hash::{BuildHasherDefault, Hash, Hasher};
use std::collections::HashSet;
use std::hash::DefaultHasher;

/// More than any state needs alone.
const ALONE: u32 = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
enum Life {
    #[default]
    Alive,
    Dead,
    SweptAfter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Process {
    life: Life,
    /// Operations that are done.
    done: u8,
    at: At,
    /// Record and key of each permit, the oldest first.
    held: [Option<(u8, u8)>; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Sweep {
    Idle,
    Lanes { dead: u8, i: u8 },
    Word { dead: u8, i: u8 },
    Bit { dead: u8, i: u8, m: Meta },
    Hide { dead: u8, i: u8, m: Meta },
    Change { dead: u8, i: u8, m: Meta, to: State },
    Forget { dead: u8 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct World {
    memory: Memory,
    processes: [Process; PROCESSES],
    sweep: Sweep,
    deaths: u8,
    sweeper_deaths: u8,
}

/// States that are hashes already.
#[derive(Default)]
struct Same(u64);

impl Hasher for Same {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("states are numbers")
    }

    fn write_u64(&mut self, state: u64) {
        self.0 = state;
    }
}

/// The number of states, or what is wrong with one.
pub(crate) fn explore(protocol: &Protocol) -> Result<usize, String> {
    let nothing = Process { life: Life::Alive, done: 0, at: START, held: [None; 2] };
    let memory = Memory::default();
    let first = World { memory, processes: [nothing; PROCESSES], sweep: Sweep::Idle, deaths: 0, sweeper_deaths: 0 };
    let mut seen: HashSet<u64, BuildHasherDefault<Same>> = HashSet::default();
    let mut waiting = vec![first];
    while let Some(world) = waiting.pop() {
        let mut hasher = DefaultHasher::new();
        world.hash(&mut hasher);
        if !seen.insert(hasher.finish()) {
            continue;
        }
        protocol.check(&world)?;
        let before = waiting.len();
        protocol.successors(&world, &mut waiting)?;
        if waiting.len() == before {
            protocol.check_end(&world)?;
        }
    }
    Ok(seen.len())
}

impl Protocol {
    fn successors(&self, world: &World, next: &mut Vec<World>) -> Result<(), String> {
        for me in 0..self.programs.len() {
            if world.processes[me].life != Life::Alive {
                continue;
            }
            if self.is_under_way(world, me) {
                let mut moved = *world;
                self.step(&mut moved, me);
                next.push(moved);
                self.ends_alone(moved, me, world.processes[me].done)?;
            }
            if world.deaths < self.deaths {
                let mut dead = *world;
                dead.deaths += 1;
                // What it remembered is gone.
                dead.processes[me] = Process { life: Life::Dead, done: 0, at: START, held: [None; 2] };
                next.push(dead);
            }
        }
        if world.sweep != Sweep::Idle || world.processes.iter().any(|process| process.life == Life::Dead) {
            let mut swept = *world;
            self.sweep(&mut swept);
            next.push(swept);
            if world.sweep != Sweep::Idle && world.sweeper_deaths < self.sweeper_deaths {
                next.push(World { sweep: Sweep::Idle, sweeper_deaths: world.sweeper_deaths + 1, ..*world });
            }
        }
        Ok(())
    }

    fn is_under_way(&self, world: &World, me: usize) -> bool {
        usize::from(world.processes[me].done) < self.programs[me].len()
    }

    /// Whether process `me` ends its operation if nobody else does anything.
    fn ends_alone(&self, mut world: World, me: usize, done: u8) -> Result<(), String> {
        for _ in 0..ALONE {
            if world.processes[me].done > done {
                return Ok(());
            }
            self.step(&mut world, me);
        }
        Err(format!("process {me} is held up: {:?}", world.processes[me].at))
    }

    fn step(&self, world: &mut World, me: usize) {
        let process = &mut world.processes[me];
        let number = u8::try_from(me).expect("few");
        let Op::Acquire(key) = self.programs[me][usize::from(process.done)] else {
            if let Some((record, _)) = process.held[0] {
                world.memory.records[usize::from(record)].lanes[me] -= 1;
                process.held = [process.held[1], None];
            }
            process.done += 1;
            return;
        };
        match self.access(&mut world.memory, number, key, process.at) {
            Next::At(at) => process.at = at,
            Next::Refused => (process.at, process.done) = (START, process.done + 1),
            Next::Admitted(record) => {
                let place = process.held.iter_mut().find(|held| held.is_none()).expect("programs hold two at most");
                *place = Some((record, key));
                (process.at, process.done) = (START, process.done + 1);
            }
        }
    }

    /// One access of the sweeper: there is one, by its lock.
    fn sweep(&self, world: &mut World) {
        let records = &mut world.memory.records;
        let is_dead = |dead: u8, owner: u8| dead >> owner & 1 == 1;
        let next = |dead, i: u8| {
            if usize::from(i) + 1 < RECORDS { Sweep::Lanes { dead, i: i + 1 } } else { Sweep::Forget { dead } }
        };
        world.sweep = match world.sweep {
            Sweep::Idle => {
                let dead = world.processes.iter().enumerate().filter(|(_, process)| process.life == Life::Dead);
                Sweep::Lanes { dead: dead.fold(0, |dead, (number, _)| dead | 1 << number), i: 0 }
            }
            Sweep::Lanes { dead, i } => {
                for (owner, lane) in (0..).zip(&mut records[usize::from(i)].lanes) {
                    if is_dead(dead, owner) {
                        *lane = 0;
                    }
                }
                Sweep::Word { dead, i }
            }
            Sweep::Word { dead, i } => match records[usize::from(i)].meta {
                m if m.state != State::Free && is_dead(dead, m.owner) => Sweep::Bit { dead, i, m },
                _ => next(dead, i),
            },
            Sweep::Bit { dead, i, m } => match (m.state, world.memory.header.holds(i)) {
                (State::Live, true) => next(dead, i),
                (State::Dying, _) if self.fault == Fault::SweepLeavesDying => next(dead, i),
                (State::Dying, _) => Sweep::Change { dead, i, m, to: State::Live },
                (_, true) => Sweep::Hide { dead, i, m },
                _ => Sweep::Change { dead, i, m, to: State::Free },
            },
            Sweep::Hide { dead, i, m } => {
                world.memory.header.valid &= !(1 << i);
                Sweep::Change { dead, i, m, to: State::Free }
            }
            Sweep::Change { dead, i, m, to } => {
                let (meta, to) = (&mut records[usize::from(i)].meta, m.next(m.owner, to));
                if self.fault == Fault::SweepStores {
                    *meta = to;
                } else {
                    replace(meta, &m, to);
                }
                next(dead, i)
            }
            Sweep::Forget { dead } => {
                for (number, process) in (0..).zip(&mut world.processes) {
                    if is_dead(dead, number) {
                        process.life = Life::SweptAfter;
                    }
                }
                Sweep::Idle
            }
        };
    }

    fn check(&self, world: &World) -> Result<(), String> {
        let held = |process: &Process| process.held.into_iter().flatten();
        let alive = || world.processes.iter().filter(|process| process.life == Life::Alive);
        for key in 1..=3 {
            let permits = alive().flat_map(held).filter(|permit| permit.1 == key).count();
            if permits > usize::from(self.limit) {
                return Err(format!("client {key} has {permits} permits"));
            }
            let published = |(i, record): (u8, &crate::protocol::Record)| {
                world.memory.header.holds(i) && record.meta.is_client() && record.key == key
            };
            if (0..).zip(&world.memory.records).filter(|place| published(*place)).count() > 1 {
                return Err(format!("client {key} has two records"));
            }
        }
        for (me, process) in world.processes.iter().enumerate().filter(|(_, process)| process.life == Life::Alive) {
            for (i, key) in held(process) {
                let record = &world.memory.records[usize::from(i)];
                if record.key != key || !record.meta.is_client() || !world.memory.header.holds(i) {
                    return Err(format!("a permit of process {me} is for a place that went away"));
                }
            }
            for (i, record) in (0..).zip(&world.memory.records) {
                if usize::from(record.lanes[me]) < held(process).filter(|permit| permit.0 == i).count() {
                    return Err(format!("process {me} counts less than it holds"));
                }
            }
        }
        Ok(())
    }

    /// All have ended or are dead and swept after.
    #[expect(clippy::unused_self, reason = "like its kin")]
    fn check_end(&self, world: &World) -> Result<(), String> {
        for (i, record) in (0..).zip(&world.memory.records) {
            match (record.meta.state, world.memory.header.holds(i)) {
                (State::Live, true) | (State::Free, false) => {}
                left => return Err(format!("record {i} is lost: {left:?}")),
            }
            for (me, process) in world.processes.iter().enumerate() {
                let held = process.held.into_iter().flatten().filter(|permit| permit.0 == i).count();
                if usize::from(record.lanes[me]) != held {
                    return Err(format!("process {me} counts {} and holds {held}", record.lanes[me]));
                }
            }
        }
        Ok(())
    }
}
