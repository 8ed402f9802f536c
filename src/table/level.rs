//! A level: a power-of-two array of bins, in segments that appear on first touch and disappear one by one.

use super::bin::{Bin, Find};
use super::budget::Budget;
use super::clock::Clock;
use super::segment::{BINS, Drained, Segment};
use super::slots::{Key, Slots};
use crate::epoch::Guard;
use crate::sync::{AcqRel, Acquire, Arc, AtomicPtr, AtomicUsize, Life, Relaxed, Release};
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::{self, NonNull};

pub(super) struct Level<K: Key> {
    /// Higher than that of every level before it, which it was pushed in front of; so no two levels share one.
    id: u64,
    /// Per segment: null until first touched, then the segment, in the end [`gone`].
    directory: Box<[AtomicPtr<Segment<K>>]>,
    mask: usize,
    /// Segments that are gone. When all are, nothing of this level will ever be looked at again.
    gone: AtomicUsize,
    /// Where the next caller drains.
    cursor: AtomicUsize,
    life: Life,
}

/// What stands in the directory for a segment that is closed, empty and retired.
fn gone<K: Key>() -> *mut Segment<K> {
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
pub(super) enum Spot<'g, K: Key> {
    Untouched,
    There(SegmentRef<'g, K>),
    Gone,
}

impl<K: Key> Level<K> {
    /// Bytes of a level of so many bins, overflow aside.
    pub(super) const fn bytes(bins: usize) -> usize {
        let segments = bins.div_ceil(BINS);
        Self::directory_bytes(segments) + segments * size_of::<Segment<K>>()
    }

    const fn directory_bytes(segments: usize) -> usize {
        size_of::<Self>() + segments * size_of::<AtomicPtr<Segment<K>>>()
    }

    /// A level of `bins` bins, a power of two and at least one segment; `None` when the budget does not allow it.
    pub(super) fn new(id: u64, bins: usize, budget: &Budget) -> Option<Box<Self>> {
        debug_assert!(bins.is_power_of_two() && bins >= BINS);
        budget.reserve(Self::bytes(bins)).then(|| {
            Box::new(Self {
                id,
                directory: (0..bins / BINS).map(|_| AtomicPtr::new(ptr::null_mut())).collect(),
                mask: bins - 1,
                gone: AtomicUsize::new(0),
                cursor: AtomicUsize::new(0),
                life: Life::new(),
            })
        })
    }

    pub(super) const fn id(&self) -> u64 {
        self.id
    }

    pub(super) const fn bins(&self) -> usize {
        self.mask + 1
    }

    pub(super) const fn segments(&self) -> usize {
        self.directory.len()
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the low bits are wanted")]
    fn position(&self, hash: u64) -> (usize, usize) {
        let bin = hash as usize & self.mask;
        (bin / BINS, bin % BINS)
    }

    /// The bin within its segment.
    #[inline]
    pub(super) fn bin<'a>(&self, segment: &'a Segment<K>, hash: u64) -> &'a Bin<K> {
        &segment.bins()[self.position(hash).1]
    }

    /// The segment at `index` of the directory.
    #[inline]
    pub(super) fn spot<'g>(&self, index: usize, _: &'g Guard) -> Spot<'g, K> {
        self.life.used();
        // ORDERING: Acquire, with the exchange in `touch`: the segment is initialised.
        let found = self.directory[index].load(Acquire);
        match NonNull::new(found) {
            None => Spot::Untouched,
            Some(_) if found == gone() => Spot::Gone,
            Some(segment) => Spot::There(SegmentRef { segment, guard: PhantomData }),
        }
    }

    /// The segment for `hash`, if there is one.
    #[inline]
    pub(super) fn segment<'g>(&self, hash: u64, guard: &'g Guard) -> Option<SegmentRef<'g, K>> {
        match self.spot(self.position(hash).0, guard) {
            Spot::There(segment) => Some(segment),
            Spot::Untouched | Spot::Gone => None,
        }
    }

    /// The segment for `hash`, made if need be; `None` when it is gone.
    pub(super) fn touch<'g>(&self, hash: u64, guard: &'g Guard) -> Option<SegmentRef<'g, K>> {
        self.touch_index(self.position(hash).0, guard)
    }

    pub(super) fn touch_index<'g>(&self, index: usize, guard: &'g Guard) -> Option<SegmentRef<'g, K>> {
        match self.spot(index, guard) {
            Spot::There(segment) => Some(segment),
            Spot::Gone => None,
            Spot::Untouched => {
                let fresh = Segment::new();
                // ORDERING: AcqRel. Release, with `spot`: the segment is initialised. Acquire on failure: so is the
                // one that another thread has put there; or, if it is gone, the roster is newer.
                if self.directory[index].compare_exchange(ptr::null_mut(), fresh.as_ptr(), AcqRel, Acquire).is_err() {
                    // SAFETY: made above, and nobody else has seen it.
                    unsafe { Segment::free(fresh) };
                }
                match self.spot(index, guard) {
                    Spot::There(segment) => Some(segment),
                    Spot::Untouched | Spot::Gone => None,
                }
            }
        }
    }

    /// Makes sure that `hash`'s bin takes no new client any more; the segment, if clients may be left there.
    pub(super) fn close<'g>(&self, hash: u64, budget: &Budget, guard: &'g Guard) -> Option<SegmentRef<'g, K>> {
        let (index, _) = self.position(hash);
        self.forgo(index, budget);
        let segment = self.segment(hash, guard)?;
        self.bin(&segment, hash).close();
        Some(segment)
    }

    /// A segment of an older level that nobody has touched never will be.
    fn forgo(&self, index: usize, budget: &Budget) {
        // ORDERING: Relaxed; spares the exchange where it cannot succeed.
        if !self.directory[index].load(Relaxed).is_null() {
            return;
        }
        // ORDERING: Release, with `spot`: who finds it gone finds a roster at least as new as this thread's. A failure
        // decides nothing, `spot` looks again: Relaxed.
        if self.directory[index].compare_exchange(ptr::null_mut(), gone(), Release, Relaxed).is_ok() {
            self.count_gone();
            budget.give_back(size_of::<Segment<K>>());
        }
    }

    fn count_gone(&self) {
        // ORDERING: Release, with `is_gone`: all that was done to the segment comes before the level's end.
        self.gone.fetch_add(1, Release);
    }

    /// Whether every segment is gone.
    pub(super) fn is_gone(&self) -> bool {
        self.left() == 0
    }

    /// Segments that are not gone.
    pub(super) fn left(&self) -> usize {
        // ORDERING: Acquire, with `count_gone`.
        self.segments() - self.gone.load(Acquire)
    }

    /// Drains up to `bins` bins of one segment, and retires it when it is empty. Callers take turns around the level,
    /// so that a segment that a long-lived client holds is passed over.
    pub(super) fn drain(&self, bins: usize, now: u32, budget: &Arc<Budget>, guard: &Guard) {
        // ORDERING: Relaxed; a hint where to work.
        let index = self.cursor.load(Relaxed) % self.segments();
        self.forgo(index, budget);
        if let Spot::There(segment) = self.spot(index, guard) {
            match segment.drain(bins, now) {
                Drained::Empty => self.retire(index, &segment, budget, guard),
                Drained::Held => {}
                Drained::More => return,
            }
        }
        // ORDERING: Relaxed; a lost step is made up by the next caller.
        self.cursor.store(index + 1, Relaxed);
    }

    /// Takes a drained segment out of the directory; whoever succeeds retires it.
    fn retire(&self, index: usize, segment: &SegmentRef<'_, K>, budget: &Arc<Budget>, guard: &Guard) {
        let pointer = segment.segment;
        // ORDERING: AcqRel. Release, with `spot`: who finds it gone sees it closed. Acquire, with the other drainers
        // (through `drained` as well). A failure means that another thread has done it: Relaxed.
        if self.directory[index].compare_exchange(pointer.as_ptr(), gone(), AcqRel, Relaxed).is_ok() {
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
            // Not to lie in this thread's bag until that is full: the budget waits for it.
            guard.flush();
            self.count_gone();
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
        // What few bins say is put to many more: somewhere in a large level there are always some that are fuller.
        let crowded = |bins| self.sample(bins, hash, clock, guard) * 2 >= bins * K::Inline::LEN;
        crowded(SAMPLE) && crowded(LARGE_SAMPLE)
    }

    /// Slots in use in the whole level, judged by the neighbourhood of `hash`.
    pub(super) fn estimate(&self, hash: u64, clock: &Clock, guard: &Guard) -> usize {
        self.sample(SAMPLE, hash, clock, guard) * (self.bins() / SAMPLE)
    }

    /// Slots in use in a run of so many bins around `hash`.
    fn sample(&self, bins: usize, hash: u64, clock: &Clock, guard: &Guard) -> usize {
        let (index, bin) = self.position(hash);
        let first = bin & !(bins - 1);
        match self.spot(index, guard) {
            Spot::There(segment) => {
                segment.bins()[first..first + bins].iter().map(|bin| bin.in_use(clock) as usize).sum()
            }
            Spot::Untouched | Spot::Gone => 0,
        }
    }

    /// Ends the level with its limiter; segments with permits out are left to the last of those.
    ///
    /// # Safety
    ///
    /// The limiter is gone: no thread looks into the level, and none will.
    #[expect(clippy::boxed_local, reason = "the box ends here, with the level")]
    pub(super) unsafe fn abandon(self: Box<Self>) {
        for spot in &*self.directory {
            // ORDERING: Acquire, as in `spot`.
            let found = spot.load(Acquire);
            if let Some(segment) = NonNull::new(found).filter(|_| found != gone()) {
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

/// Bins looked at to judge how full a level is, within one part in ten: 2 KiB of IPv4 bins; and within one in thirty.
#[cfg(not(connlimit_model))]
const SAMPLE: usize = 32;
#[cfg(connlimit_model)]
const SAMPLE: usize = if cfg!(connlimit_shuttle) { 2 } else { 1 };
#[cfg(not(connlimit_model))]
const LARGE_SAMPLE: usize = 256;
#[cfg(connlimit_model)]
const LARGE_SAMPLE: usize = if cfg!(connlimit_shuttle) { 4 } else { 1 };
