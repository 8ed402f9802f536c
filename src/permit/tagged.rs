//! What a permit gives back, in one word.

use crate::config::MAX_TIERS;
#[cfg(feature = "audit")]
use crate::registry::Entry;
use crate::table::CountGuard;
use core::fmt;
use core::mem::{ManuallyDrop, replace};
use core::ptr::{self, NonNull};

/// The client's counter: all there is, unless the configuration has tiers or a total. Or set counters, in a box whose
/// address is marked. Or nothing.
pub(super) struct TaggedCounts(NonNull<()>);

/// The word, unpacked.
enum Kind {
    Client(CountGuard),
    CountSet(NonNull<CountSet>),
    Untracked,
}

/// The counters of the client (if it is tracked), its networks and the total.
#[derive(Debug, Default)]
struct CountSet {
    client: Option<CountGuard>,
    above: [Option<CountGuard>; MAX_TIERS + 1],
    /// Its place in the registry of permits that are out.
    #[cfg(feature = "audit")]
    entry: Option<Entry>,
}

/// A bit that no address of a counter or of a box has.
const MARK: usize = 1;
/// No address at all.
const UNTRACKED: NonNull<()> = NonNull::new(ptr::without_provenance_mut(MARK)).expect("not null");

const _: () = assert!(align_of::<CountSet>() > MARK);

// SAFETY: it stands for counts that are held, or for a box of them, and those are `Send`.
unsafe impl Send for TaggedCounts {}
// SAFETY: likewise, `Sync`.
unsafe impl Sync for TaggedCounts {}

impl TaggedCounts {
    pub(super) const UNTRACKED: Self = Self(UNTRACKED);

    #[inline(always)]
    pub(super) fn client(held: CountGuard) -> Self {
        Self(held.into_raw())
    }

    /// Takes another counter along.
    pub(super) fn add(&mut self, held: CountGuard) {
        self.change(|set| {
            if let Some(free) = set.above.iter_mut().find(|place| place.is_none()) {
                *free = Some(held);
            }
        });
    }

    /// Takes a place in the registry along.
    #[cfg(feature = "audit")]
    pub(super) fn note(&mut self, entry: Entry) {
        self.change(|set| set.entry = Some(entry));
    }

    /// Changes what is in the box, after putting into one what is not.
    fn change(&mut self, change: impl FnOnce(&mut CountSet)) {
        let before = ManuallyDrop::new(replace(self, Self::UNTRACKED));
        // SAFETY: `before` is not dropped.
        let mut set = match unsafe { before.kind() } {
            Kind::Client(client) => Box::new(CountSet { client: Some(client), ..CountSet::default() }),
            // SAFETY: leaked below, and taken out of `self` above.
            Kind::CountSet(set) => unsafe { Box::from_raw(set.as_ptr()) },
            Kind::Untracked => Box::default(),
        };
        change(&mut set);
        *self = Self(NonNull::from(Box::leak(set)).cast().map_addr(|addr| addr | MARK));
    }

    /// # Safety
    ///
    /// Only one of the two may give back its counts, `self` or what this returns.
    #[inline(always)]
    unsafe fn kind(&self) -> Kind {
        let word = self.0;
        if word.addr().get() & MARK == 0 {
            // SAFETY: not marked, so from `client`; and it counts once, by the caller's duty.
            Kind::Client(unsafe { CountGuard::from_raw(word) })
        } else if word == UNTRACKED {
            Kind::Untracked
        } else {
            let set = word.as_ptr().map_addr(|addr| addr & !MARK).cast();
            // SAFETY: a box's address.
            Kind::CountSet(unsafe { NonNull::new_unchecked(set) })
        }
    }

    /// Shows the client's own counter, if there is one, to `see`.
    pub(super) fn with_own<T>(&self, see: impl FnOnce(Option<&CountGuard>) -> T) -> T {
        // SAFETY: what it returns is not dropped.
        let kind = ManuallyDrop::new(unsafe { self.kind() });
        see(match &*kind {
            Kind::Client(held) => Some(held),
            // SAFETY: leaked in `change`, and freed when `self` is dropped.
            Kind::CountSet(set) => unsafe { set.as_ref() }.client.as_ref(),
            Kind::Untracked => None,
        })
    }
}

impl Drop for TaggedCounts {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: `self` ends here.
        match unsafe { self.kind() } {
            Kind::Client(held) => drop(held),
            // SAFETY: leaked in `change`, and `self` ends here.
            Kind::CountSet(set) => unsafe { free(set) },
            Kind::Untracked => {}
        }
    }
}

/// Out of line, for it is rare and long.
///
/// # Safety
///
/// As for `Box::from_raw`.
#[cold]
#[inline(never)]
unsafe fn free(set: NonNull<CountSet>) {
    // SAFETY: the caller's duty.
    drop(unsafe { Box::from_raw(set.as_ptr()) });
}

impl fmt::Debug for TaggedCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_own(|own| f.debug_tuple("TaggedCounts").field(&own).finish())
    }
}
