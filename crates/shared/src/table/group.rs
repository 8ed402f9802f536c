//! A group: a header, fifteen hints and fifteen records, one client each.

use super::words::{Header, Meta, RECORDS, VALID};
use crate::key::Key;
use crate::sync::{AcqRel, Acquire, AtomicU64, Ordering, Relaxed, Release, SeqCst, fence};

/// Lanes in a word.
pub(crate) const LANES: usize = 4;
/// Bits of a lane.
const LANE: usize = 16;

/// One client: who it is, and how many connections it has in each process.
///
/// A word has four lanes of 16 bits. `WORDS` is 5 (20 processes, 64 bytes) or 13 (52 processes, 128 bytes).
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Record<const WORDS: usize> {
    meta: AtomicU64,
    key: [AtomicU64; 2],
    lanes: [AtomicU64; WORDS],
}

/// Records that one header publishes.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Group<const WORDS: usize> {
    header: AtomicU64,
    /// 16 bits of each client's hash: a hint, so that a search looks at one record and not at fifteen.
    tags: [AtomicU64; RECORDS.div_ceil(LANES)],
    records: [Record<WORDS>; RECORDS],
}

#[cfg(not(any(connlimit_shared_loom, connlimit_shared_shuttle)))]
const _: () = assert!(size_of::<Group<5>>() == 64 * 16 && size_of::<Record<13>>() == 128);

/// The count of one process for one client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lane<'a> {
    word: &'a AtomicU64,
    index: u8,
    shift: u8,
}

/// What a look at a record for a client found.
pub(super) enum Look {
    /// The client was there all the while, in this incarnation of the record, and published.
    Here(Meta),
    /// Something changed meanwhile.
    Moved,
    /// Another client, or none.
    Other,
}

impl<const WORDS: usize> Group<WORDS> {
    /// An empty one. The product finds its groups in memory of zeroes, which is the same.
    #[cfg(any(test, connlimit_shared_loom, connlimit_shared_shuttle))]
    pub(crate) fn new() -> Self {
        Self { header: AtomicU64::default(), tags: Default::default(), records: [(); RECORDS].map(|()| Record::new()) }
    }

    #[inline(always)]
    pub(super) fn header(&self) -> Header {
        // ORDERING: Acquire, pairs with Release in `publish`: who sees a record published sees its client and its hint.
        // Without it: a client is not found where it is, and gets a second record. (model a_publication_is_whole)
        Header::from_bits(self.header.load(Acquire))
    }

    /// Publishes `record` unless anything was published after `seen`; says whether it did.
    pub(super) fn publish(&self, record: usize, seen: Header) -> bool {
        let mut now = self.header();
        // Ends: each turn is one in which another thread changed the header, and a publication by another ends it.
        while now.same_version(seen) {
            let next = now.published(record).bits();
            // ORDERING: Release, pairs with Acquire in `header`; Acquire when lost: the header is looked at again.
            // Without it: as in `header`.
            match self.header.compare_exchange(now.bits(), next, AcqRel, Acquire) {
                Ok(_) => return true,
                Err(other) => now = Header::from_bits(other),
            }
        }
        false
    }

    /// Hides `record`. Only for its owner, or for who sweeps when the owner is dead.
    pub(super) fn hide(&self, record: usize) {
        // ORDERING: Relaxed: the Release of the next incarnation, later, carries it to whoever looks at that one.
        self.header.fetch_and(!(1 << record), Relaxed);
    }

    #[inline(always)]
    pub(super) fn record(&self, record: usize) -> &Record<WORDS> {
        &self.records[record]
    }

    pub(super) fn records(&self) -> impl Iterator<Item = (usize, &Record<WORDS>)> {
        self.records.iter().enumerate()
    }

    /// The records whose hint is `tag`, a bit for each, and now and then another one.
    #[inline(always)]
    pub(super) fn tagged(&self, tag: u16) -> u64 {
        const ONES: u64 = 0x0001_0001_0001_0001;
        let mut found = 0;
        for (i, word) in self.tags.iter().enumerate() {
            // ORDERING: Relaxed: it is read after the header, which carries it.
            let differing = word.load(Relaxed) ^ (u64::from(tag) * ONES);
            // The highest bit of each lane that is zero (and perhaps of one above such a lane).
            let zero = (differing.wrapping_sub(ONES) & !differing & ONES << 15) >> 15;
            found |= ((zero | zero >> 15 | zero >> 30 | zero >> 45) & 15) << (LANES * i);
        }
        found & VALID
    }

    /// Looks whether `key` is in `record`, as one would with a sequence lock: the word, what it guards, the word.
    ///
    /// The header's bit stands *between* the two looks at the word: it is that very incarnation which is published, not
    /// the one before or after. (F1 of the explorer)
    #[inline(always)]
    pub(super) fn look(&self, record: usize, key: Key) -> Look {
        let place = self.record(record);
        let meta = place.meta();
        if !meta.is_client() || !place.has(key) {
            return Look::Other;
        }
        // ORDERING: Acquire, pairs with Release in `put`: who read a newer client's key sees that the word changed.
        // Without it: one client's key is read with the lanes of another. (model a_count_is_of_its_own_client)
        fence(Acquire);
        if !self.header().holds(record) || !place.is_still(meta) {
            return Look::Moved;
        }
        Look::Here(meta)
    }

    /// Writes the client of a record. Only for its owner, while it is claimed and hidden.
    #[expect(clippy::cast_possible_truncation, reason = "the key is split into halves")]
    pub(super) fn put(&self, record: usize, key: Key, tag: u16) {
        let [low, high] = &self.record(record).key;
        // ORDERING: Release, both, pairs with the fence in `look`. (No model shows it: the fences that loom needs in place
        // of sequentially consistent operations do the same here, and the product has none.)
        low.store(key.bits() as u64, Release);
        high.store((key.bits() >> 64) as u64, Release);
        let (word, shift) = (&self.tags[record / LANES], LANE * (record % LANES));
        // ORDERING: Relaxed, both: the header carries it to who looks for the client. Others change other lanes.
        let old = word.load(Relaxed) >> shift & 0xffff;
        word.fetch_xor((old ^ u64::from(tag)) << shift, Relaxed);
    }
}

impl<const WORDS: usize> Record<WORDS> {
    #[cfg(any(test, connlimit_shared_loom, connlimit_shared_shuttle))]
    fn new() -> Self {
        Self { meta: AtomicU64::default(), key: Default::default(), lanes: [(); WORDS].map(|()| AtomicU64::default()) }
    }

    #[inline(always)]
    pub(super) fn meta(&self) -> Meta {
        // ORDERING: Acquire, pairs with Release in `change` and `set`: what was done to the record before is seen.
        // Without it: an old key is read under a new word. (model a_place_changes_hands)
        Meta::from_bits(self.meta.load(Acquire))
    }

    /// Whether the word is what it was when all that is read before was read.
    #[inline(always)]
    pub(super) fn is_still(&self, meta: Meta) -> bool {
        // ORDERING: Relaxed, after the caller's acquire fence, which keeps earlier reads before it.
        self.meta.load(Relaxed) == meta.bits()
    }

    /// The word, after a raise that every thread sees which changes the word later.
    #[inline(always)]
    pub(super) fn meta_after_raise(&self) -> Meta {
        // ORDERING: SeqCst, with `raise` before it, against `begin_to_take` and the sum after that: one of the two sees
        // the other. Without it: a place is given away under a held permit. (model a_raise_meets_a_take_over)
        Meta::from_bits(self.meta.load(SeqCst))
    }

    /// Changes the word, if it is `from` still.
    pub(super) fn change(&self, from: Meta, to: Meta) -> bool {
        // ORDERING: SeqCst, for the one change to `Dying`, with the sum after it (see `meta_after_raise`); for the others
        // its Release pairs with Acquire in `meta`, and its Acquire takes over what the last owner wrote. Relaxed when
        // lost: nothing is concluded from it.
        self.meta.compare_exchange(from.bits(), to.bits(), SeqCst, Relaxed).is_ok()
    }

    /// Sets the word. Only for the owner of a record that is hidden: nobody else changes it.
    pub(super) fn set(&self, meta: Meta) {
        // ORDERING: Release, pairs with Acquire in `meta`.
        self.meta.store(meta.bits(), Release);
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the key is split into halves")]
    pub(super) fn has(&self, key: Key) -> bool {
        // ORDERING: Relaxed, both: `look` reads the word again after a fence.
        self.key[0].load(Relaxed) == key.bits() as u64 && self.key[1].load(Relaxed) == (key.bits() >> 64) as u64
    }

    pub(super) fn key(&self) -> Key {
        // ORDERING: Relaxed, both: the caller reads the word again after a fence.
        Key::from_bits(u128::from(self.key[1].load(Relaxed)) << 64 | u128::from(self.key[0].load(Relaxed)))
    }

    /// The connections of all processes together, each as of some moment within the call.
    #[inline(always)]
    pub(super) fn sum(&self, order: Ordering) -> u32 {
        sum(&self.words(order))
    }

    /// What [`sum`] adds up.
    #[inline(always)]
    pub(super) fn words(&self, order: Ordering) -> [u64; WORDS] {
        // ORDERING: the caller's. Acquire, pairs with Release in `release`: who gets a freed place comes after the release.
        // SeqCst, with a write before it: see `raise` and `meta_after_raise`.
        core::array::from_fn(|word| self.lanes[word].load(order))
    }

    #[inline(always)]
    pub(super) fn lane(&self, process: u8) -> Lane<'_> {
        // As many lanes in a word as `LANES` says, and as many bits as `LANE`.
        let (index, shift) = (process / 4, process % 4 * 16);
        Lane { word: &self.lanes[usize::from(index)], index, shift }
    }

    /// The connections of one process.
    pub(super) fn held_by(&self, process: usize) -> u16 {
        // ORDERING: Acquire: as in `sum`.
        let word = self.lanes[process / LANES].load(Acquire);
        #[expect(clippy::cast_possible_truncation, reason = "one lane")]
        let lane = (word >> (LANE * (process % LANES))) as u16;
        lane
    }

    /// Sets the lanes of `dead` processes, a bit for each, to zero; returns what they held.
    pub(super) fn forget(&self, dead: u64) -> u32 {
        let mut held = 0;
        for (i, word) in self.lanes.iter().enumerate() {
            let mask =
                (0..LANES).filter(|lane| dead >> (LANES * i + lane) & 1 == 1).fold(0, |m, l| m | 0xffff << (LANE * l));
            // ORDERING: Relaxed: nobody raises a dead process' lane, so a zero stays one.
            if mask == 0 || word.load(Relaxed) & mask == 0 {
                continue;
            }
            // ORDERING: AcqRel: as `release`; and the lock that the dead process lost has let its last write be seen.
            let lanes = word.fetch_and(!mask, AcqRel) & mask;
            held += (0..LANES).map(|lane| (lanes >> (LANE * lane) & 0xffff) as u32).sum::<u32>();
        }
        held
    }
}

/// The sum of all lanes of these words.
#[inline(always)]
pub(super) fn sum<const WORDS: usize>(words: &[u64; WORDS]) -> u32 {
    // Every other lane, so that a sum has room.
    const LOW: u64 = 0x0000_ffff_0000_ffff;
    let sums = words.iter().fold(0, |sums, word| sums + (word & LOW) + (word >> LANE & LOW));
    #[expect(clippy::cast_possible_truncation, reason = "both halves are added up")]
    let sum = (sums >> 32) as u32 + sums as u32;
    sum
}

impl Lane<'_> {
    const fn one(self) -> u64 {
        1 << self.shift
    }

    /// Counts one more. What the count was good for must be looked at afterwards.
    #[inline(always)]
    pub(super) fn raise(self) {
        // ORDERING: SeqCst, with the sum after it, against another raise and its sum: the later of the two sees both.
        // Without it: two processes admit past the limit. (model two_raises_meet_at_the_limit) And see
        // `meta_after_raise`.
        self.word.fetch_add(self.one(), SeqCst);
    }

    /// Takes back a raise, unless another thread moved the word since it was `seen`; says whether it did.
    pub(super) fn lower_if(self, seen: u64) -> bool {
        // ORDERING: Release, as in `release`. Relaxed when lost: the caller looks again.
        self.word.compare_exchange(seen, seen.wrapping_sub(self.one()), Release, Relaxed).is_ok()
    }

    /// This lane's word among all of its record.
    #[inline(always)]
    pub(super) fn word_of<const WORDS: usize>(self, words: &[u64; WORDS]) -> u64 {
        words[usize::from(self.index)]
    }

    /// Whether the process counts none here.
    pub(super) fn is_zero(self) -> bool {
        // ORDERING: Acquire, pairs with Release in `release`: who sees that nothing is held comes after the releases.
        self.word.load(Acquire) >> self.shift & 0xffff == 0
    }

    /// Counts one less: the release of a permit, and the undoing of a raise.
    #[inline(always)]
    pub(crate) fn release(self) {
        // ORDERING: Release, pairs with Acquire in `sum`: a release happens before the admission in its place. Without
        // it: the two overlap. (model a_release_happens_before_the_next_admission)
        self.word.fetch_sub(self.one(), Release);
    }
}

#[cfg(test)]
impl<const WORDS: usize> Group<WORDS> {
    /// What a hostile program may write: any words at all.
    #[cfg(not(any(connlimit_shared_loom, connlimit_shared_shuttle)))]
    pub(super) fn overwrite(&self, contents: &[u64]) {
        let records = self.records.iter().flat_map(|r| [&r.meta].into_iter().chain(&r.key).chain(&r.lanes));
        let words = [&self.header].into_iter().chain(&self.tags).chain(records);
        for (word, content) in words.zip(contents) {
            // ORDERING: Relaxed: one thread.
            word.store(*content, Relaxed);
        }
    }
}
