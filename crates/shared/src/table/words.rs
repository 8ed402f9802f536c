//! The bit patterns of a group's header and of a record.

/// Records in a group. In a model few, so that they run out.
#[cfg(not(connlimit_shared_loom))]
pub(crate) const RECORDS: usize = 15;
#[cfg(connlimit_shared_loom)]
pub(crate) const RECORDS: usize = 2;

/// What a record is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nobody's.
    Free,
    /// Its owner's alone, which puts another client in.
    Claimed,
    /// A client's, if its bit in the header is set; else still its owner's alone.
    Live,
    /// A client's still; its owner would like to have it.
    Dying,
}

/// `[incarnation: 54 | owner: 8 | state: 2]`. Every change makes a new incarnation, so a word that reads the same twice
/// did not change in between (it would take 2^54 changes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meta(u64);

impl Meta {
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    pub(crate) const fn state(self) -> State {
        match self.0 & 3 {
            0 => State::Free,
            1 => State::Claimed,
            2 => State::Live,
            _ => State::Dying,
        }
    }

    /// Whether the record is a client's, given that its bit in the header is set.
    #[inline(always)]
    pub(crate) const fn is_client(self) -> bool {
        self.0 & 2 != 0
    }

    /// The process that made this incarnation. Another program may have written it, so it can be any number.
    pub(crate) const fn owner(self) -> u8 {
        self.0.to_le_bytes()[0] >> 2 | self.0.to_le_bytes()[1] << 6
    }

    /// The next incarnation.
    pub(crate) const fn next(self, owner: u8, state: State) -> Self {
        let incarnation = (self.0 >> 10).wrapping_add(1);
        Self(incarnation << 10 | (owner as u64) << 2 | state as u64)
    }
}

/// `[version: 48 | unused: 1 | valid: 15]`. Each publication of a record makes a new version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header(u64);

const VERSION: u64 = 1 << 16;
pub(crate) const VALID: u64 = (1 << RECORDS) - 1;

impl Header {
    #[inline(always)]
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    /// The records that are published, a bit for each.
    #[inline(always)]
    pub(crate) const fn valid(self) -> u64 {
        self.0 & VALID
    }

    #[inline(always)]
    pub(crate) const fn holds(self, record: usize) -> bool {
        self.0 >> record & 1 == 1
    }

    /// Whether nothing was published between the two.
    pub(crate) const fn same_version(self, other: Self) -> bool {
        self.0 / VERSION == other.0 / VERSION
    }

    pub(crate) const fn published(self, record: usize) -> Self {
        Self(self.0.wrapping_add(VERSION) | 1 << record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_gives_back_what_was_put_in() {
        for owner in [0, 1, 51, 63, 64, 255] {
            for state in [State::Free, State::Claimed, State::Live, State::Dying] {
                let meta = Meta(u64::MAX).next(owner, state);
                assert_eq!((meta.owner(), meta.state(), meta.bits() >> 10), (owner, state, 0));
                assert_ne!(meta, meta.next(owner, state));
            }
        }
    }

    #[test]
    fn a_publication_changes_the_version_and_sets_the_bit() {
        let header = Header(!1);
        let next = header.published(0);
        assert!(next.holds(0) && !header.holds(0) && !next.same_version(header));
        assert!(next.same_version(Header(next.0 & !1)));
    }
}
