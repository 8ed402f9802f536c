//! How bytes spell a run: eight to build the limiter, then four for each operation.

use super::plain::Allow;
use super::settings::{Limits, NETWORKS, Peer, Settings, Shape};

/// One step of a run.
#[derive(Clone, Debug)]
pub(super) enum Operation {
    Acquire(Peer, Way),
    AcquireUnknown,
    /// Drops the permit at this place, counted round.
    Release(u16),
    /// Admissions under one batch, and in between the oldest permit is dropped.
    Batch(Vec<Peer>),
    /// Notes a part of the settings to come.
    Plan(Part),
    /// Asks the limiter for the settings that are planned, with this part.
    Change(Part),
    Compare,
}

/// The ways to a permit.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way {
    Acquire,
    AcquirePeer,
    Admit,
    Batch,
}

/// A part of the settings.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    Client(u32),
    Tier(usize, Option<u32>),
    Total(Option<u32>),
    Soft(Option<u8>),
    DryRun(bool),
    Counting(bool),
    AdmitUnknown(bool),
    /// Whether the limits in force are the shadow's from now on, or there is none.
    Shadow(bool),
    /// For one of the [`NETWORKS`].
    Rule(usize, Option<Allow>),
}

pub(super) const SETUP: usize = 8;
pub(super) const WIDTH: usize = 4;

/// What a limiter is built with.
pub(super) fn setup(bytes: &[u8]) -> (Shape, Settings) {
    let byte = |place: usize| bytes.get(place).copied().unwrap_or(0);
    let there = byte(0);
    let shape = Shape {
        client: [(32, 128), (31, 64), (24, 48), (32, 128)][usize::from(there >> 5 & 3)],
        tiers: [0, 1, 2, 3].map(|tier| there >> tier & 1 != 0),
        total: there & 16 != 0,
    };
    let flags = byte(7);
    let settings = Settings {
        limits: Limits {
            client: limit(byte(1)),
            tiers: [2, 3, 4, 5].map(|place| Some(limit(byte(place)))),
            total: Some(limit(byte(6))),
        }
        .within(shape),
        shadow: None,
        soft_percent: (flags & 4 != 0).then_some(50),
        dry_run: flags & 8 != 0,
        counting: flags & 1 == 0,
        admit_unknown: flags & 2 != 0,
        rules: [None; NETWORKS.len()],
    };
    (shape, settings)
}

impl Operation {
    pub(super) fn decode(bytes: &[u8]) -> Self {
        let &[code, a, b, c] = bytes else { panic!("an operation is four bytes wide, not {}", bytes.len()) };
        match code % 32 {
            0..10 => Self::Acquire(Peer::choose(a, b, c), way(a >> 4)),
            10..16 => Self::Release(u16::from_be_bytes([a, b])),
            16 => Self::AcquireUnknown,
            17..20 => {
                let turns = (a >> 4) + 1;
                Self::Batch((0..turns).map(|turn| Peer::choose(a, b, c.wrapping_mul(turn))).collect())
            }
            20..26 => Self::Change(part(a, b, c)),
            26..30 => Self::Plan(part(a, b, c)),
            _ => Self::Compare,
        }
    }
}

fn limit(choice: u8) -> u32 {
    [0, 1, 2, 3, 4, 5, 8, u32::MAX][usize::from(choice % 8)]
}

const fn way(choice: u8) -> Way {
    match choice % 4 {
        0 => Way::Acquire,
        1 => Way::AcquirePeer,
        2 => Way::Admit,
        _ => Way::Batch,
    }
}

fn part(which: u8, a: u8, b: u8) -> Part {
    let there = a & 128 == 0;
    match which % 16 {
        0..3 => Part::Client(limit(a)),
        3..6 => Part::Tier(usize::from(b % 4), there.then(|| limit(a))),
        6 | 7 => Part::Total(there.then(|| limit(a))),
        8 => Part::Soft(there.then_some(a.min(100))),
        9 => Part::DryRun(a & 1 != 0),
        10 => Part::Counting(a & 1 != 0),
        11 => Part::AdmitUnknown(a & 1 != 0),
        12 => Part::Shadow(there),
        _ => Part::Rule(usize::from(b) % NETWORKS.len(), there.then(|| allow(a))),
    }
}

fn allow(choice: u8) -> Allow {
    match choice % 4 {
        0 => Allow::Deny,
        1 => Allow::Unlimited,
        _ => Allow::Limit(limit(choice >> 2).max(1)),
    }
}

impl Part {
    /// Puts this part into `settings`.
    pub(super) fn put_into(self, settings: &mut Settings) {
        match self {
            Self::Client(limit) => settings.limits.client = limit,
            Self::Tier(tier, limit) => settings.limits.tiers[tier] = limit,
            Self::Total(limit) => settings.limits.total = limit,
            Self::Soft(percent) => settings.soft_percent = percent,
            Self::DryRun(on) => settings.dry_run = on,
            Self::Counting(on) => settings.counting = on,
            Self::AdmitUnknown(on) => settings.admit_unknown = on,
            Self::Shadow(on) => settings.shadow = on.then_some((settings.limits, settings.rules)),
            // A library without the feature has no rules.
            Self::Rule(network, allow) => settings.rules[network] = allow.filter(|_| cfg!(feature = "rules")),
        }
    }
}
