//! How bytes spell a run. Every operation is four bytes wide, so cutting or moving one leaves the rest as it was:
//! that is what both proptest's shrinking and libFuzzer's mutations do well with.

use super::peer::Peer;
use connlimit::{Config, config::WhenFull};

/// How the limiter of a run is built.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) config: Config,
    /// Its limit; 0 is none.
    pub(crate) limit: u32,
    /// The table is small enough that `TableFull` is a right answer to a newcomer.
    pub(crate) tight: bool,
}

/// One step of a run.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Acquire(Peer),
    /// Drops the permit at this place, counted round.
    Release(u16),
    /// Puts it where no later operation releases it: it stays counted to the end of the run.
    Park(u16),
    SetLimit(u32, WhenFull),
    /// Asks for a part of what is fixed when a limiter is built.
    SetShape(Part),
    /// So many newcomers, one connection each: the table has to grow.
    Crowd {
        crowd: u8,
        newcomers: u16,
    },
    /// So many connections end, the oldest first: the table may shrink.
    Leave(u16),
    Batch(Vec<Peer>),
    CloneHandle,
    /// Drops a handle. After the last one a new limiter is built, and permits of the old one are still out.
    DropHandle,
    NumOpen(Peer),
}

/// One part of the shape of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    Ipv4Prefix(u8),
    Ipv6Prefix(u8),
    TableMemory(usize),
    Preallocation(bool),
}

impl Setup {
    pub(crate) const WIDTH: usize = 4;

    pub(crate) fn decode(bytes: &[u8]) -> Self {
        let byte = |place: usize| bytes.get(place).copied().unwrap_or(0);
        let flags = byte(3);
        let tight = flags & 4 != 0;
        let limit = limit(byte(0));
        let mut config =
            Config::new(super::limit(limit)).with_when_full(when_full(flags)).with_embedded(super::AS_THEY_ARE);
        if flags & 2 != 0 {
            config = config
                .with_ipv4_prefix(byte(1) % 33)
                .and_then(|config| config.with_ipv6_prefix(byte(2) % 129))
                .expect("prefix lengths in range");
        }
        if tight {
            config = config.with_table_memory(1 << 20).with_preallocation(flags & 8 != 0);
        }
        Self { config, limit, tight }
    }
}

impl Operation {
    pub(crate) const WIDTH: usize = 4;

    pub(crate) fn decode(bytes: &[u8]) -> Self {
        let &[code, a, b, c] = bytes else { panic!("an operation is four bytes wide, not {}", bytes.len()) };
        let place = u16::from_be_bytes([a, b]);
        match code % 32 {
            0..8 => Self::Acquire(Peer::from_small_pool(a)),
            8..11 => Self::Acquire(Peer::from_crowd(a, u16::from(b))),
            11..18 => Self::Release(place),
            18 => Self::Park(place),
            19 | 20 => Self::SetLimit(limit(a), when_full(b)),
            21 => Self::SetShape(part(a, b)),
            22 => Self::Crowd { crowd: a, newcomers: 1 << (b % 10) },
            23 => Self::Leave(place),
            24..27 => Self::Batch(
                (0..b % 16).map(|turn| Peer::from_small_pool(a.wrapping_add(turn.wrapping_mul(c)))).collect(),
            ),
            27 => Self::CloneHandle,
            28 => Self::DropHandle,
            _ => Self::NumOpen(Peer::from_small_pool(a)),
        }
    }
}

fn limit(choice: u8) -> u32 {
    [1, 2, 3, 0, 5, 17, u32::MAX, 1][usize::from(choice % 8)]
}

const fn when_full(choice: u8) -> WhenFull {
    if choice & 1 == 0 { WhenFull::Reject } else { WhenFull::AdmitUntracked }
}

const fn part(which: u8, value: u8) -> Part {
    match which % 4 {
        0 => Part::Ipv4Prefix(value % 33),
        1 => Part::Ipv6Prefix(value % 129),
        2 => Part::TableMemory(1 << (20 + value % 9)),
        _ => Part::Preallocation(value & 1 != 0),
    }
}
