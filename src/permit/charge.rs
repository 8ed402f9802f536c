//! What a permit gives back, in one word.

#[cfg(feature = "audit")]
use crate::audit::Entry;
use crate::config::MAX_TIERS;
use crate::table::CountGuard;
use core::fmt;
use core::mem::{ManuallyDrop, replace};
use core::ptr::{self, NonNull};

/// The client's counter: all there is, unless the configuration has tiers or a total. Or several counters, in a box whose
/// address is marked. Or nothing.
pub(super) struct Charge(NonNull<()>);

/// The word, unpacked.
enum Kind {
    Client(CountGuard),
    Several(NonNull<Several>),
    Nothing,
}

/// The counters of the client (if it is tracked), its networks and the total.
#[derive(Debug, Default)]
struct Several {
    client: Option<CountGuard>,
    above: [Option<CountGuard>; MAX_TIERS + 1],
    /// Its place in the registry of permits that are out.
    #[cfg(feature = "audit")]
    entry: Option<Entry>,
}

/// A bit that no address of a counter or of a box has.
const MARK: usize = 1;
/// No address at all.
const NOTHING: NonNull<()> = NonNull::new(ptr::without_provenance_mut(MARK)).expect("not null");

const _: () = assert!(align_of::<Several>() > MARK);

// SAFETY: it stands for counts that are held, or for a box of them, and those are `Send`.
unsafe impl Send for Charge {}
// SAFETY: likewise, `Sync`.
unsafe impl Sync for Charge {}

impl Charge {
    pub(super) const NOTHING: Self = Self(NOTHING);

    #[inline(always)]
    pub(super) fn client(held: CountGuard) -> Self {
        Self(held.into_raw())
    }

    /// Takes another counter along.
    pub(super) fn add(&mut self, held: CountGuard) {
        self.change(|several| {
            if let Some(free) = several.above.iter_mut().find(|place| place.is_none()) {
                *free = Some(held);
            }
        });
    }

    /// Takes a place in the registry along.
    #[cfg(feature = "audit")]
    pub(super) fn note(&mut self, entry: Entry) {
        self.change(|several| several.entry = Some(entry));
    }

    /// Changes what is in the box, after putting into one what is not.
    fn change(&mut self, change: impl FnOnce(&mut Several)) {
        let before = ManuallyDrop::new(replace(self, Self::NOTHING));
        // SAFETY: `before` is not dropped.
        let mut several = match unsafe { before.kind() } {
            Kind::Client(client) => Box::new(Several { client: Some(client), ..Several::default() }),
            // SAFETY: leaked below, and taken out of `self` above.
            Kind::Several(several) => unsafe { Box::from_raw(several.as_ptr()) },
            Kind::Nothing => Box::default(),
        };
        change(&mut several);
        *self = Self(NonNull::from(Box::leak(several)).cast().map_addr(|addr| addr | MARK));
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
        } else if word == NOTHING {
            Kind::Nothing
        } else {
            let several = word.as_ptr().map_addr(|addr| addr & !MARK).cast();
            // SAFETY: a box's address.
            Kind::Several(unsafe { NonNull::new_unchecked(several) })
        }
    }

    /// Shows the client's own counter, if there is one, to `see`.
    pub(super) fn see_own<T>(&self, see: impl FnOnce(Option<&CountGuard>) -> T) -> T {
        // SAFETY: what it returns is not dropped.
        let kind = ManuallyDrop::new(unsafe { self.kind() });
        see(match &*kind {
            Kind::Client(held) => Some(held),
            // SAFETY: leaked in `change`, and freed when `self` is dropped.
            Kind::Several(several) => unsafe { several.as_ref() }.client.as_ref(),
            Kind::Nothing => None,
        })
    }
}

impl Drop for Charge {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: `self` ends here.
        match unsafe { self.kind() } {
            Kind::Client(held) => drop(held),
            // SAFETY: leaked in `change`, and `self` ends here.
            Kind::Several(several) => unsafe { free(several) },
            Kind::Nothing => {}
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
unsafe fn free(several: NonNull<Several>) {
    // SAFETY: the caller's duty.
    drop(unsafe { Box::from_raw(several.as_ptr()) });
}

impl fmt::Debug for Charge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.see_own(|own| f.debug_tuple("Charge").field(&own).finish())
    }
}
