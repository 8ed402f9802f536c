//! Every size of the table, three times: for normal builds, for loom and for shuttle. Models want everything to happen
//! early: bins that are full after two clients, segments of one bin (loom) or four (shuttle). A few of loom's models are
//! about what that leaves out, and have segments of two bins with two inline slots each (`connlimit_wide`).

const WIDE: bool = cfg!(connlimit_wide);

const fn size(normal: usize, loom: usize, shuttle: usize) -> usize {
    if cfg!(connlimit_loom) {
        loom
    } else if cfg!(connlimit_shuttle) {
        shuttle
    } else {
        normal
    }
}

/// Slots in a bin and in an overflow block, for IPv4 and for wide keys. A bin of IPv4 keys is one cache line, one of wide
/// keys two; so are the blocks.
pub(super) const INLINE: [usize; 2] = [size(6, if WIDE { 2 } else { 1 }, 2), size(5, if WIDE { 2 } else { 1 }, 2)];
pub(super) const OVERFLOW: [usize; 2] = [size(7, 1, 2), size(6, 1, 2)];

/// Bins per segment: a page of IPv4 bins, two of wide ones. The largest piece that one call zeroes, and what a parked
/// connection holds.
pub(super) const BINS: usize = size(64, if WIDE { 2 } else { 1 }, 4);

/// Bins of the second level, if memory allows; after that each has twice as many as the one before. A large step keeps
/// the levels few: a client that always has a connection stays where it was first seen, and each level in front of it
/// costs it a look.
pub(super) const SECOND_LEVEL: usize = size(1 << 13, 4, 8);

/// Levels on a list at most. A table shrinks only while it has half as many, and sizes are geometric, so this is not
/// what stops it from growing below some 2^26 bins (4 GiB); not even if somebody makes it grow and shrink, and leaves a
/// connection in each level.
pub(super) const MAX_LEVELS: usize = 32;

/// One client in `DRAIN_ONE_IN` drains `DRAIN` consecutive bins of an older level whenever it is inserted. In a row,
/// because neighbours are cheap to look at; more than one bin per insert, so that a level is drained before the next
/// one, twice its size, has filled up.
pub(super) const DRAIN_ONE_IN: usize = size(16, 2, 2);
pub(super) const DRAIN: usize = size(64, 64, 1);

/// One client in this many looks whether the table has become too large, whenever it is inserted.
pub(super) const SHRINK_ONE_IN: usize = size(256, 256, 8);

/// One rejection in this many, of those for lack of room, drains `DRAIN` bins of an older level. Draining takes some
/// microseconds, a rejection must not: an attack that has filled the table is made of these.
pub(super) const DRAIN_ONE_FULL_IN: usize = size(64, 1, 2);

/// How often a client that found no room, but places that are about to be free, looks again; and how often the thread
/// pins and flushes before each look. A tick of the grace clock takes two or three advances of the epoch.
pub(super) const LOOKS_WHEN_FULL: usize = size(8, 4, 4);
pub(super) const FLUSHES_PER_LOOK: usize = size(3, 1, 1);

/// How often `reclaim` pins and flushes at most for dead words to expire; each flush runs eight bags of what was deferred.
pub(super) const FLUSHES_PER_GRACE: usize = size(2048, 12, 12);

/// Free inline slots at which an insert looks for words to collect.
pub(super) const FEW_FREE: u32 = 2;

/// Bins looked at to judge how full a level is, within one part in ten (2 KiB of IPv4 bins); and within one in thirty.
pub(super) const SAMPLE: usize = size(32, 1, 2);
pub(super) const LARGE_SAMPLE: usize = size(256, 1, 4);

/// The largest level, in bins: what 32 bits of the hash can choose from.
pub(super) const MOST_BINS: usize = 1 << 31;

const _: () = assert!(BINS % SAMPLE == 0 && (LARGE_SAMPLE % BINS == 0 || LARGE_SAMPLE <= BINS));
