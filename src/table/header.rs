//! The word that says which slots of a bin hold a client. Its compare-and-swap is the one place where inserts into
//! a bin take turns.
//!
//! ```text
//!  63        49 48     47        24 23         0
//! [  version   |CLOSED|   claimed  |   valid    ]
//! ```
//!
//! The version counts publications. It need not be wide: a slot is published at most twice while one thread stays
//! pinned (see `clock`), so a pinned thread can miss at most 48 of them, and 2^15 never wraps under its eyes.

/// A value of the header word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header(u64);

/// Most slots a bin can have, inline and overflow together.
pub(super) const MAX_SLOTS: usize = 24;

const SLOTS: u64 = (1 << MAX_SLOTS) - 1;
const CLAIMED: u32 = 24;
const CLOSED: u64 = 1 << 48;
const VERSION: u32 = 49;

impl Header {
    pub(super) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(super) const fn bits(self) -> u64 {
        self.0
    }

    /// The bits that close a bin when set: nothing is published in it any more.
    pub(super) const CLOSED: u64 = CLOSED;

    /// The bits that a claim on `slot` sets.
    pub(super) const fn claim(slot: usize) -> u64 {
        1 << (CLAIMED as usize + slot)
    }

    /// Slots that hold a client, as a mask.
    pub(super) const fn valid(self) -> u32 {
        (self.0 & SLOTS) as u32
    }

    /// Slots that are free: neither valid nor claimed, as a mask.
    pub(super) const fn free(self) -> u32 {
        (!(self.0 | self.0 >> CLAIMED) & SLOTS) as u32
    }

    pub(super) const fn is_closed(self) -> bool {
        self.0 & CLOSED != 0
    }

    /// Whether nothing has been published between the two values.
    pub(super) const fn same_version(self, later: Self) -> bool {
        self.0 >> VERSION == later.0 >> VERSION
    }

    /// Whether `slot`, valid in `self`, has held the same client all the way to `later`.
    #[inline(always)]
    pub(super) const fn still_holds(self, slot: usize, later: Self) -> bool {
        (self.0 ^ later.0) & (u64::MAX << VERSION | 1 << slot) == 0
    }

    /// True for one version in 32.
    pub(super) const fn is_one_in_32(self) -> bool {
        self.0 >> VERSION & 31 == 0
    }

    /// With `slot` claimed and the `expired` slots given up.
    pub(super) const fn claimed(self, slot: usize, expired: u32) -> Self {
        Self(self.0 & !(expired as u64) | Self::claim(slot))
    }

    /// With the claimed `slot` valid, one version later.
    pub(super) const fn published(self, slot: usize) -> Self {
        Self((self.0 & !Self::claim(slot) | 1 << slot).wrapping_add(1 << VERSION))
    }
}

#[cfg(all(test, not(connlimit_model)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn publishing_a_claim_changes_one_slot_and_the_version(bits: u64, slot in 0..MAX_SLOTS, expired in 0..1_u32 << MAX_SLOTS) {
            // A slot is valid or claimed, never both.
            let bits = bits & !((bits & SLOTS) << CLAIMED);
            let before = Header::from_bits(bits & !(1 << slot) & !Header::claim(slot));
            let expired = expired & before.valid();
            let claimed = before.claimed(slot, expired);
            prop_assert!(before.same_version(claimed));
            prop_assert_eq!(claimed.valid(), before.valid() & !expired);
            prop_assert_eq!(claimed.free() & 1 << slot, 0);

            let after = claimed.published(slot);
            prop_assert_eq!(after.valid(), claimed.valid() | 1 << slot);
            prop_assert_eq!(after.is_closed(), before.is_closed());
            prop_assert!(!claimed.same_version(after));
            prop_assert_eq!(after.free() | 1 << slot, before.free() | expired | 1 << slot);
        }

        #[test]
        fn a_slot_is_not_trusted_after_a_publication_or_its_own_removal(bits: u64, slot in 0..MAX_SLOTS, other in 0..MAX_SLOTS) {
            let seen = Header::from_bits(bits | 1 << slot);
            prop_assert!(seen.still_holds(slot, seen));
            prop_assert!(seen.still_holds(slot, Header::from_bits(seen.bits() ^ Header::claim(other))));
            prop_assert!(!seen.still_holds(slot, Header::from_bits(seen.bits() & !(1 << slot))));
            prop_assert!(!seen.still_holds(slot, seen.published(other)));
        }
    }
}
