//! The memory that processes share: a head, and the groups of the table.
//!
//! All of it is words that are read and written atomically, so no content that another program puts there can break
//! more than the counts. What sizes and addresses depend on is read once, when the region is opened, and checked then.

mod file;
mod mapping;

pub(crate) use file::{create_at, create_unnamed, open_at, open_descriptor, reopen};

use crate::OpenError;
use crate::config::{Limits, SharedConfig};
use crate::error::io;
use crate::hash::Secret;
use crate::sync::{AcqRel, Acquire, AtomicU64, Relaxed, Release};
use crate::table::{Group, RECORDS};
use mapping::Mapping;
use std::os::fd::OwnedFd;

/// "connlim" and a zero.
const MAGIC: u64 = u64::from_le_bytes(*b"connlim\0");
/// The layout that this version of the crate knows. It changes with anything that processes must agree on: the words of
/// the head, of groups and of records, and the hash.
pub(crate) const LAYOUT: u64 = 1;
/// Room for the head: a page.
const HEAD: usize = 4096;
/// The most processes that a region can have room for.
const PROCESSES: usize = 52;

/// The first page.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Head {
    magic: AtomicU64,
    layout: AtomicU64,
    /// Words of lanes in a record.
    words: AtomicU64,
    groups: AtomicU64,
    processes: AtomicU64,
    prefixes: AtomicU64,
    fingerprint: AtomicU64,
    /// Three keys: for the place of a client, and for both halves of a name's digest.
    keys: [AtomicU64; 6],
    limits: Limited,
    members: [AtomicU64; PROCESSES],
}

/// On a line of its own: every admission reads it.
#[derive(Debug)]
#[repr(C, align(64))]
struct Limited(AtomicU64);

const _: () = assert!(size_of::<Head>() <= HEAD);
/// Words at the start of the head that are read when a region is opened.
const FIXED: usize = 13;

/// Whether a process has a number. `[incarnation: 31 | used: 1 | process id: 32]`
#[derive(Clone, Copy, Debug)]
pub(crate) struct Membership(u64);

impl Membership {
    const USED: u64 = 1 << 32;

    pub(crate) const fn is_used(self) -> bool {
        self.0 & Self::USED != 0
    }

    /// As the process itself knows its number; in other namespaces it may have another one.
    #[expect(clippy::cast_possible_truncation, reason = "the low half")]
    pub(crate) const fn pid(self) -> u32 {
        self.0 as u32
    }

    const fn taken(self, pid: u32) -> Self {
        Self((self.0 >> 33).wrapping_add(1) << 33 | Self::USED | pid as u64)
    }

    const fn left(self) -> Self {
        Self(self.0 & !Self::USED)
    }
}

/// What a region is, as it was when it was opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) words: usize,
    groups: usize,
    pub(crate) processes: u8,
    prefixes: u64,
    fingerprint: u64,
    pub(crate) secret: Secret,
    pub(crate) names: [Secret; 2],
}

/// A region that is mapped, and the file that holds this process' locks.
#[derive(Debug)]
pub(crate) struct Region {
    pub(crate) file: OwnedFd,
    pub(crate) shape: Shape,
    mapping: Mapping,
}

/// The size of a region in bytes, if there can be one.
pub(crate) fn size(words: usize, groups: usize) -> Option<usize> {
    let group = if words == 5 { size_of::<Group<5>>() } else { size_of::<Group<13>>() };
    groups.checked_mul(group)?.checked_add(HEAD).filter(|size| isize::try_from(*size).is_ok())
}

impl Shape {
    /// A new region's.
    fn new(config: &SharedConfig) -> Result<Self, OpenError> {
        let mut keys = [[0_u8; 8]; 6];
        rustix::rand::getrandom(keys.as_flattened_mut(), rustix::rand::GetRandomFlags::empty())
            .map_err(io("draw a secret key"))?;
        let keys = keys.map(u64::from_le_bytes);
        Ok(Self {
            words: config.words()?,
            groups: config.groups()?,
            processes: config.processes(),
            prefixes: prefixes(config),
            fingerprint: config.fingerprint(),
            secret: Secret([keys[0], keys[1]]),
            names: [Secret([keys[2], keys[3]]), Secret([keys[4], keys[5]])],
        })
    }

    /// What the first words of a file say, if it can be and agrees with how this process tells clients apart.
    fn read(words: [u64; FIXED], config: &SharedConfig) -> Result<Self, OpenError> {
        let [magic, layout, words, groups, processes, prefix, fingerprint, keys @ ..] = words;
        if magic != MAGIC {
            return Err(OpenError::NotARegion("it begins with something else"));
        }
        if layout != LAYOUT {
            return Err(OpenError::Layout(layout));
        }
        let words = match words {
            5 => 5,
            13 => 13,
            _ => return Err(OpenError::Corrupt("the size of a record")),
        };
        let groups = u32::try_from(groups).ok().filter(|groups| *groups > 0);
        let groups = groups.ok_or(OpenError::Corrupt("the number of groups"))?;
        let most = words * crate::table::LANES;
        let processes = u8::try_from(processes).ok().filter(|processes| (1..=most).contains(&usize::from(*processes)));
        let processes = processes.ok_or(OpenError::Corrupt("the number of processes"))?;
        if prefix != prefixes(config) {
            return Err(OpenError::Mismatch("the prefix lengths"));
        }
        if fingerprint != config.fingerprint() {
            return Err(OpenError::Mismatch("the treatment of embedded IPv4 addresses"));
        }
        Ok(Self {
            words,
            groups: groups as usize,
            processes,
            prefixes: prefix,
            fingerprint,
            secret: Secret([keys[0], keys[1]]),
            names: [Secret([keys[2], keys[3]]), Secret([keys[4], keys[5]])],
        })
    }

    /// Clients there is a record for.
    pub(crate) const fn records(&self) -> usize {
        self.groups * RECORDS
    }

    fn size(&self) -> Option<usize> {
        size(self.words, self.groups)
    }
}

fn prefixes(config: &SharedConfig) -> u64 {
    u64::from(config.identity.ipv4_prefix()) | u64::from(config.identity.ipv6_prefix()) << 8
}

impl Region {
    /// Fills the head of a new region, which is all zeroes. No other process has it yet.
    fn initialise(&self, limits: Limits) {
        let (head, shape) = (self.head(), &self.shape);
        let [names, more] = shape.names;
        let keys = [shape.secret, names, more].map(|secret| secret.0);
        let fixed = [
            (&head.layout, LAYOUT),
            (&head.words, shape.words as u64),
            (&head.groups, shape.groups as u64),
            (&head.processes, shape.processes.into()),
            (&head.prefixes, shape.prefixes),
            (&head.fingerprint, shape.fingerprint),
            (&head.limits.0, limits.to_word()),
        ];
        // ORDERING: Release, all: the file is given a name, or handed on, afterwards, and that carries them.
        for (word, value) in fixed.into_iter().chain(head.keys.iter().zip(keys.into_iter().flatten())) {
            word.store(value, Release);
        }
        head.magic.store(MAGIC, Release);
    }

    pub(crate) fn head(&self) -> &'static Head {
        self.mapping.head()
    }

    /// The groups of a table whose records have `WORDS` words. Only for the number that the shape says.
    pub(crate) fn groups<const WORDS: usize>(&self) -> &'static [Group<WORDS>] {
        assert_eq!(WORDS, self.shape.words, "the records have another size");
        self.mapping.groups(self.shape.groups)
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.mapping.len()
    }
}

impl Head {
    /// The limits in force.
    #[inline(always)]
    pub(crate) fn limits(&self) -> u64 {
        // ORDERING: Acquire, pairs with Release in `set_limits`: a call that starts after that returned sees them.
        self.limits.0.load(Acquire)
    }

    pub(crate) fn set_limits(&self, limits: Limits) {
        // ORDERING: Release, pairs with Acquire in `limits`.
        self.limits.0.store(limits.to_word(), Release);
    }

    pub(crate) fn member(&self, number: u8) -> Membership {
        // ORDERING: Acquire, pairs with Release in `leave`: a number that is free has clean lanes.
        self.members.get(usize::from(number)).map_or(Membership(0), |member| Membership(member.load(Acquire)))
    }

    /// Takes a number that is free. Only for who holds its lock.
    pub(crate) fn join(&self, number: u8, pid: u32) {
        if let Some(member) = self.members.get(usize::from(number)) {
            // ORDERING: Relaxed: the lock orders it against others who take the number. AcqRel: a sweeper sees it taken
            // before it sees a lane raised, else the lanes would not be swept.
            let taken = Membership(member.load(Relaxed)).taken(pid);
            let mut seen = member.load(Relaxed);
            while let Err(now) = member.compare_exchange(seen, taken.0, AcqRel, Relaxed) {
                seen = now;
            }
        }
    }

    /// Makes a number free. Only for who holds its lock, when the lanes are clean.
    pub(crate) fn leave(&self, number: u8) {
        if let Some(member) = self.members.get(usize::from(number)) {
            // ORDERING: Release, pairs with Acquire in `member`: the lanes are clean for who finds it free.
            member.store(self.member(number).left().0, Release);
        }
    }
}
