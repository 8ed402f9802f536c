//! A level: an array of bins, in segments that appear on first touch and disappear one by one.
//!
//! Longer than other files: what a directory entry may become, and by which step, is read in one place.

use super::alloc;
use super::bin::{Bin, Find};
use super::budget::{Budget, Purpose};
use super::clock::Clock;
use super::segment::{Drained, Furnished, Segment};
use super::slots::{Key, Slots};
use super::tuning::{BINS, LARGE_SAMPLE, MOST_BINS, SAMPLE};
use crate::epoch::Guard;
use crate::sync::{AcqRel, Acquire, Arc, AtomicPtr, AtomicUsize, Life, Relaxed, Release};
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::{self, NonNull};

pub(super) struct Level<K: Key> {
    /// Higher than that of every level before it, which it was pushed in front of; so no two levels share one.
    id: u64,
    /// Per segment: null until first touched, then the segment, in the end the [`tombstone`].
    directory: Box<[AtomicPtr<Segment<K>>]>,
    bins: usize,
    /// Segments that are retired. When all are, nothing of this level will ever be looked at again.
    retired: AtomicUsize,
    /// Segments in which a drain has found a client.
    parked: AtomicUsize,
    /// Where the next caller drains.
    cursor: AtomicUsize,
    life: Life,
}

/// What stands in the directory for a segment that is closed, empty and retired.
fn tombstone<K: Key>() -> *mut Segment<K> {
    ptr::without_provenance_mut(align_of::<Segment<K>>())
}

/// A segment, for as long as the guard under which it was found.
pub(super) struct SegmentRef<'g, K: Key> {
    segment: NonNull<Segment<K>>,
    guard: PhantomData<&'g Guard>,
}

impl<K: Key> Deref for SegmentRef<'_, K> {
    type Target = Segment<K>;

    #[inline]
    fn deref(&self) -> &Segment<K> {
        // SAFETY: the pointer came out of a directory under the guard (`Level::segment`), and segments are retired
        // through the epoch only after they have left their directory.
        unsafe { self.segment.as_ref() }
    }
}

/// The state of a segment, as found.
pub(super) enum SegmentState<'g, K: Key> {
    Vacant,
    Present(SegmentRef<'g, K>),
    Retired,
}

/// What came of the wish for a segment.
pub(super) enum Touched<'g, K: Key> {
    Segment(SegmentRef<'g, K>),
    Retired,
    /// The allocator gave none.
    NoMemory,
}

impl<K: Key> Level<K> {
    /// Bytes of a level of that many bins, overflow aside.
    pub(super) const fn bytes(bins: usize) -> usize {
        let segments = bins.div_ceil(BINS);
        Self::directory_bytes(segments).saturating_add(segments.saturating_mul(size_of::<Segment<K>>()))
    }

    const fn directory_bytes(segments: usize) -> usize {
        size_of::<Self>() + segments * size_of::<AtomicPtr<Segment<K>>>()
    }

    /// Bins of the largest level that, with every overflow block, takes no more than `bytes`; none if even the smallest
    /// takes more.
    pub(super) const fn most_furnished_bins(bytes: usize) -> usize {
        let each = size_of::<Furnished<K>>() + size_of::<AtomicPtr<Segment<K>>>();
        let bins = bytes.saturating_sub(size_of::<Self>()) / each * BINS;
        if bins < MOST_BINS { bins } else { MOST_BINS }
    }

    /// What a table of at most `bound` bytes keeps back for becoming smaller: an eighth of the largest level there can be.
    pub(super) const fn headroom(bound: usize) -> usize {
        let mut most = BINS;
        while most < MOST_BINS && Self::bytes(most * 2) <= bound {
            most *= 2;
        }
        if most == BINS { 0 } else { Self::bytes(if most / 8 < BINS { BINS } else { most / 8 }) }
    }

    /// A level of `bins` bins, whole segments; `None` when the budget does not allow it or there is no memory.
    pub(super) fn new(id: u64, bins: usize, purpose: Purpose, budget: &Budget) -> Option<Box<Self>> {
        debug_assert!(bins % BINS == 0 && (BINS..=MOST_BINS).contains(&bins));
        if !budget.reserve(Self::bytes(bins), purpose) {
            return None;
        }
        let level = alloc::null_pointers(bins / BINS).and_then(|directory| {
            alloc::boxed(Self {
                id,
                directory,
                bins,
                retired: AtomicUsize::new(0),
                parked: AtomicUsize::new(0),
                cursor: AtomicUsize::new(0),
                life: Life::new(),
            })
        });
        if level.is_none() {
            budget.give_back(Self::bytes(bins));
        }
        level
    }

    pub(super) const fn id(&self) -> u64 {
        self.id
    }

    pub(super) const fn bins(&self) -> usize {
        self.bins
    }

    pub(super) const fn segments(&self) -> usize {
        self.directory.len()
    }

    /// The segment of the bin for `hash`, and where the bin is in it.
    #[inline]
    #[cfg_attr(connlimit_loom, expect(clippy::cast_possible_truncation, reason = "the low bits are wanted"))]
    fn position(&self, hash: u64) -> (usize, usize) {
        #[cfg(not(connlimit_loom))]
        let bin = (((hash & u64::from(u32::MAX)) * self.bins as u64) >> 32) as usize;
        // A model wants to know without calculating.
        #[cfg(connlimit_loom)]
        let bin = hash as usize % self.bins;
        (bin / BINS, bin % BINS)
    }

    /// The bin within its segment.
    #[inline]
    pub(super) fn bin<'a>(&self, segment: &'a Segment<K>, hash: u64) -> &'a Bin<K> {
        &segment.bins()[self.position(hash).1]
    }

    /// The segment at `index` of the directory.
    #[inline]
    pub(super) fn state<'g>(&self, index: usize, _: &'g Guard) -> SegmentState<'g, K> {
        self.life.used();
        // ORDERING: Acquire, pairs with the exchange in `touch_index`. Without it: a segment that is not initialised.
        // (model `two_inserts_of_one_key`)
        let found = self.directory[index].load(Acquire);
        match NonNull::new(found) {
            None => SegmentState::Vacant,
            Some(_) if found == tombstone() => SegmentState::Retired,
            Some(segment) => SegmentState::Present(SegmentRef { segment, guard: PhantomData }),
        }
    }

    /// The segment for `hash`, if there is one.
    #[inline]
    pub(super) fn segment<'g>(&self, hash: u64, guard: &'g Guard) -> Option<SegmentRef<'g, K>> {
        match self.state(self.position(hash).0, guard) {
            SegmentState::Present(segment) => Some(segment),
            SegmentState::Vacant | SegmentState::Retired => None,
        }
    }

    /// The segment for `hash`, made if need be.
    pub(super) fn touch<'g>(&self, hash: u64, guard: &'g Guard) -> Touched<'g, K> {
        self.touch_index(self.position(hash).0, Segment::new, guard)
    }

    /// The segment at `index`, with all its overflow blocks if it is made now; `false` for lack of memory.
    pub(super) fn furnish(&self, index: usize, guard: &Guard) -> bool {
        matches!(self.touch_index(index, Segment::furnished, guard), Touched::Segment(_))
    }

    fn touch_index<'g>(
        &self,
        index: usize,
        make: fn() -> Option<NonNull<Segment<K>>>,
        guard: &'g Guard,
    ) -> Touched<'g, K> {
        if let SegmentState::Vacant = self.state(index, guard) {
            let Some(fresh) = make() else {
                return Touched::NoMemory;
            };
            // ORDERING: AcqRel. Release, pairs with `state`. Without it: a segment that is not initialised (model
            // `two_inserts_of_one_key`). Acquire on failure: so is the one that another thread has put there; or, if it
            // is retired, the list is newer.
            if self.directory[index].compare_exchange(ptr::null_mut(), fresh.as_ptr(), AcqRel, Acquire).is_err() {
                // SAFETY: made above, and nobody else has seen it.
                unsafe { Segment::free(fresh) };
            }
        }
        match self.state(index, guard) {
            SegmentState::Present(segment) => Touched::Segment(segment),
            SegmentState::Vacant | SegmentState::Retired => Touched::Retired,
        }
    }

    /// Closes the bin of `hash` to new clients. Returns its segment, or `None` if it can hold no client.
    pub(super) fn close<'g>(&self, hash: u64, budget: &Budget, guard: &'g Guard) -> Option<SegmentRef<'g, K>> {
        let (index, _) = self.position(hash);
        self.retire_vacant(index, budget);
        let segment = self.segment(hash, guard)?;
        self.bin(&segment, hash).close();
        Some(segment)
    }

    /// Retires a segment of an older level that nobody has touched.
    fn retire_vacant(&self, index: usize, budget: &Budget) {
        // ORDERING: Relaxed; spares the exchange where it cannot succeed.
        if !self.directory[index].load(Relaxed).is_null() {
            return;
        }
        // ORDERING: Release, pairs with `state`: a thread that finds it retired finds a list at least as new as this
        // thread's. Without it: that thread inserts into an old level forever, and looks again forever (model
        // `insert_meets_growth`). A failure decides nothing, `state` looks again: Relaxed.
        if self.directory[index].compare_exchange(ptr::null_mut(), tombstone(), Release, Relaxed).is_ok() {
            self.note_retired();
            budget.give_back(size_of::<Segment<K>>());
        }
    }

    fn note_retired(&self) {
        // ORDERING: Release, pairs with `left`. Without it: the thread that takes the level off the list, and admits a
        // client there who was in it before, does not see what that client's threads did. (model
        // `a_release_in_a_level_that_goes_happens_before_the_next_admission`)
        self.retired.fetch_add(1, Release);
    }

    /// Whether every segment is retired.
    pub(super) fn is_retired(&self) -> bool {
        self.left() == 0
    }

    /// Segments that are not retired.
    pub(super) fn left(&self) -> usize {
        // ORDERING: Acquire, pairs with `note_retired`.
        self.segments() - self.retired.load(Acquire)
    }

    /// Segments that are neither retired nor known to hold a client: that is, whose memory a drain may still bring back.
    pub(super) fn undrained(&self) -> usize {
        // ORDERING: Relaxed; a number for a heuristic. It may be ahead of the other one.
        self.left().saturating_sub(self.parked.load(Relaxed))
    }

    /// Drains up to `bins` bins of one segment, and retires it when it is empty. Callers take turns around the level,
    /// so that a segment that a long-lived client holds is passed over.
    pub(super) fn drain(&self, bins: usize, now: u32, budget: &Arc<Budget>, guard: &Guard) {
        // ORDERING: Relaxed; a hint where to work.
        let index = self.cursor.load(Relaxed) % self.segments();
        self.retire_vacant(index, budget);
        if let SegmentState::Present(segment) = self.state(index, guard) {
            match segment.drain(bins, now) {
                Drained::Empty => self.retire(index, &segment, budget, guard),
                Drained::Held => {
                    if segment.note_parked() {
                        // ORDERING: Relaxed, as in `undrained`.
                        self.parked.fetch_add(1, Relaxed);
                    }
                }
                Drained::More => return,
            }
        }
        // ORDERING: Relaxed; a lost step is made up by the next caller.
        self.cursor.store(index + 1, Relaxed);
    }

    /// Takes a drained segment out of the directory; whoever succeeds retires it.
    fn retire(&self, index: usize, segment: &SegmentRef<'_, K>, budget: &Arc<Budget>, guard: &Guard) {
        let pointer = segment.segment;
        // ORDERING: AcqRel. Release, pairs with `state`: a thread that finds it retired finds the list by which this thread
        // drains it. Without it: that thread looks again forever (model `insert_meets_unlink`). Acquire, pairs with the
        // other drainers (through `drained` as well). A failure means that another thread has done it: Relaxed.
        if self.directory[index].compare_exchange(pointer.as_ptr(), tombstone(), AcqRel, Relaxed).is_ok() {
            if segment.note_retired() {
                // ORDERING: Relaxed, as in `undrained`. It wraps while the addition is still to come.
                self.parked.fetch_sub(1, Relaxed);
            }
            let budget = Arc::clone(budget);
            // SAFETY: 1. from `Segment::new`, and the exchange succeeds once. 2. The directory was its only way in;
            // permits have none into it, for no word of a drained segment is alive. 3. `SegmentRef` is bound to
            // the guard.
            unsafe {
                guard.retire(pointer, move |segment| {
                    let bytes = segment.bytes();
                    drop(segment);
                    budget.give_back(bytes);
                });
            }
            // So that it does not lie in this thread's bag until that is full: the budget waits for it.
            guard.flush();
            self.note_retired();
        }
    }

    /// Open connections of `key`, if it is alive in this level.
    pub(super) fn open(&self, key: K, hash: u64, guard: &Guard) -> Option<u32> {
        let segment = self.segment(hash, guard)?;
        match self.bin(&segment, hash).find(key) {
            Find::Found(_, count) => Some(count.open()),
            Find::Absent(_) => None,
        }
    }

    /// Whether half of the inline slots around `hash` are in use: soon enough that few bins overflow, and late enough that
    /// the next level will not be empty.
    pub(super) fn is_crowded(&self, hash: u64, clock: &Clock, guard: &Guard) -> bool {
        // A small sample first, then a larger one: in a large level some neighbourhood is always overfull by chance.
        [SAMPLE, LARGE_SAMPLE].into_iter().all(|bins| {
            let (in_use, bins) = self.sample(bins, hash, clock, guard);
            in_use * 2 >= bins * K::Inline::LEN
        })
    }

    /// Whether most of all slots that there can be around `hash` are in use.
    pub(super) fn is_full(&self, hash: u64, clock: &Clock, guard: &Guard) -> bool {
        let (in_use, bins) = self.sample(LARGE_SAMPLE, hash, clock, guard);
        in_use * 4 >= bins * Bin::<K>::SLOTS * 3
    }

    /// Slots in use in the whole level, judged by the neighbourhood of `hash`.
    pub(super) fn estimate(&self, hash: u64, clock: &Clock, guard: &Guard) -> usize {
        let (in_use, bins) = self.sample(SAMPLE, hash, clock, guard);
        in_use * self.bins / bins
    }

    /// Slots in use in a run of about `most` bins around `hash`, and how many bins that is.
    fn sample(&self, most: usize, hash: u64, clock: &Clock, guard: &Guard) -> (usize, usize) {
        let (index, bin) = self.position(hash);
        let in_use = |segment: SegmentState<'_, K>, first: usize, bins: usize| match segment {
            SegmentState::Present(segment) => {
                segment.bins()[first..first + bins].iter().map(|bin| bin.in_use(clock) as usize).sum()
            }
            SegmentState::Vacant | SegmentState::Retired => 0,
        };
        if most <= BINS {
            return (in_use(self.state(index, guard), bin / most * most, most), most);
        }
        let segments = (most / BINS).min(self.segments());
        let indices = (index..index + segments).map(|index| index % self.segments());
        (indices.map(|index| in_use(self.state(index, guard), 0, BINS)).sum(), segments * BINS)
    }

    /// Ends the level with its limiter; segments with permits out are left to the last of those.
    ///
    /// # Safety
    ///
    /// The limiter is gone: no thread looks into the level, and none will.
    #[expect(clippy::boxed_local, reason = "the box ends here, with the level")]
    pub(super) unsafe fn abandon(self: Box<Self>) {
        for entry in &*self.directory {
            // ORDERING: Acquire, as in `state`.
            let found = entry.load(Acquire);
            if let Some(segment) = NonNull::new(found).filter(|_| found != tombstone()) {
                // SAFETY: from `Segment::new`, owned through the directory, by the caller's duty.
                unsafe { Segment::abandon(segment) };
            }
        }
    }

    /// Bytes that end with the level itself, its segments being gone.
    pub(super) const fn own_bytes(&self) -> usize {
        Self::directory_bytes(self.segments())
    }
}

// SAFETY: a level is shared by reference only; its directory owns segments of atomics, which are `Send` and `Sync`.
unsafe impl<K: Key> Send for Level<K> {}
// SAFETY: as above.
unsafe impl<K: Key> Sync for Level<K> {}
