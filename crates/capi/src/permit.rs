//! A permit in the caller's own memory: no allocation per connection, and no pointer that could dangle.
//!
//! The first word says what the rest holds. It is checked before anything else is believed, and changed by
//! compare-and-exchange, so that of several threads that release one permit exactly one does.

use crate::status::{Status, guarded};
use connlimit::Permit;
use core::sync::atomic::{
    AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

/// One counted connection, in memory of the caller's.
///
/// Zero it before its first use: `connlimit_permit permit = CONNLIMIT_PERMIT_INIT;`, or `memset`. It may lie on the
/// stack or within a larger structure. Hand it on with `connlimit_move`: of two copies made by assignment or `memcpy`
/// at most one may ever be released, and the library cannot tell them apart.
///
/// Its size never changes. The members are private.
#[repr(C)]
#[derive(Debug)]
pub struct ConnlimitPermit {
    /// What `held` holds; 0 is nothing.
    pub state: usize,
    /// The connection, and room.
    pub held: [usize; 2],
}

const _: () = assert!(size_of::<Permit>() <= size_of::<[usize; 2]>());
const _: () = assert!(align_of::<Permit>() <= align_of::<usize>());

const EMPTY: usize = 0;
// Any words that other memory is unlikely to hold. Small ones, pointers and text are not.
#[expect(clippy::cast_possible_truncation, reason = "half of it does on 32-bit targets")]
const OPEN: usize = 0x93c4_67e3_7db0_c7a4_u64 as usize;
/// Some thread is writing or reading `held`.
const BUSY: usize = !OPEN;

/// Ends a connection: its client may open another.
///
/// The permit is empty afterwards and may be used again. Any thread may release it, and it may outlive every
/// handle of its limiter.
///
/// A second release of the same permit changes nothing and returns `CONNLIMIT_PERMIT_EMPTY`, even when two
/// threads release it at once. Releasing a *copy* of a permit that was released is undefined behaviour.
///
/// # Safety
///
/// 1. `permit` is null, or points to a `connlimit_permit` that may be read and written and has been zeroed at
///    some time before.
/// 2. No bytewise copy of this permit has been released.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_release(permit: *mut ConnlimitPermit) -> Status {
    guarded(|| {
        // SAFETY: duties 1 and 2 are the caller's by this function's own.
        let permit = unsafe { take(permit) }?;
        drop(permit);
        Ok(())
    })
}

/// Moves a connection from one permit to another, and leaves `from` empty.
///
/// `to` has to be empty (zeroed or released) before.
///
/// # Safety
///
/// 1. Each of `to` and `from` is null, or points to a `connlimit_permit` that may be read and written and has
///    been zeroed at some time before.
/// 2. No bytewise copy of `from` has been released.
/// 3. No other thread acquires or moves into `to` meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connlimit_move(to: *mut ConnlimitPermit, from: *mut ConnlimitPermit) -> Status {
    guarded(|| {
        // SAFETY: duties 1 and 3 are the caller's by this function's own.
        let vacant = unsafe { Vacant::new(to) }?;
        // SAFETY: duties 1 and 2 are the caller's by this function's own.
        vacant.put(unsafe { take(from) }?);
        Ok(())
    })
}

/// The state word of a permit.
///
/// # Safety
///
/// `permit` is null, or points to a permit that may be read and written for `'a`.
#[inline(always)]
unsafe fn state<'a>(permit: *mut ConnlimitPermit) -> Result<&'a AtomicUsize, Status> {
    if permit.is_null() {
        return Err(Status::ConnlimitNullPointer);
    }
    if !permit.is_aligned() {
        return Err(Status::ConnlimitNotAPermit);
    }
    // SAFETY: not null, so it points to a permit by the caller's duty.
    let state = unsafe { &raw mut (*permit).state };
    // SAFETY: aligned, as the permit is; valid by the caller's duty; and this module, which alone gives meaning to
    // the word, has no other access to it.
    Ok(unsafe { AtomicUsize::from_ptr(state) })
}

/// What is wrong with a permit that was to be empty or open and was seen as `seen`.
#[cold]
const fn fault(seen: usize) -> Status {
    match seen {
        EMPTY => Status::ConnlimitPermitEmpty,
        OPEN | BUSY => Status::ConnlimitPermitInUse,
        _ => Status::ConnlimitNotAPermit,
    }
}

/// An empty permit, to be filled by one thread.
pub(crate) struct Vacant<'a> {
    state: &'a AtomicUsize,
    held: *mut Permit,
}

impl Vacant<'_> {
    /// # Safety
    ///
    /// As for [`state`], and no other thread fills the permit meanwhile.
    #[inline(always)]
    pub(crate) unsafe fn new(permit: *mut ConnlimitPermit) -> Result<Self, Status> {
        // SAFETY: the duty is the caller's by this function's own.
        let state = unsafe { state(permit) }?;
        // ORDERING: Acquire, from the Release store in `take`: its read of `held` is over before the write in `put`.
        match state.load(Acquire) {
            EMPTY => {}
            seen => return Err(fault(seen)),
        }
        // SAFETY: `state` has shown that the pointer is not null, so it points to a permit by the caller's duty.
        let held = unsafe { &raw mut (*permit).held };
        Ok(Self { state, held: held.cast() })
    }

    /// Stores a connection.
    ///
    /// Without an exchange, which would cost as much as the rest of an admission: an empty permit is nobody's but the
    /// thread's that fills it.
    #[inline(always)]
    pub(crate) fn put(self, open: Permit) {
        // SAFETY: size and alignment fit by the assertions above. `take` touches a permit that is EMPTY no more, and
        // no other thread fills it by the duty of `new`.
        unsafe { self.held.write(open) };
        // ORDERING: Release, to the exchange in `take`: a thread that sees OPEN sees what is held.
        self.state.store(OPEN, Release);
    }
}

/// Takes the connection out.
///
/// # Safety
///
/// 1. As for [`state`].
/// 2. No bytewise copy of the permit has been taken from.
#[inline(always)]
unsafe fn take(permit: *mut ConnlimitPermit) -> Result<Permit, Status> {
    // SAFETY: duty 1 is the caller's by this function's own.
    let state = unsafe { state(permit) }?;
    // ORDERING: Acquire, from the Release store in `put`: what it wrote is read below. An exchange, so that of several
    // threads that release one permit exactly one does.
    match state.compare_exchange(OPEN, BUSY, Acquire, Relaxed) {
        Ok(_) => {}
        // Another thread is ahead with its release, and this one is the second.
        Err(BUSY) => return Err(Status::ConnlimitPermitEmpty),
        Err(seen) => return Err(fault(seen)),
    }
    // SAFETY: `state` has shown that the pointer is not null, so it points to a permit by the caller's duty 1.
    let held = unsafe { &raw const (*permit).held };
    // SAFETY: it was OPEN, so `put` wrote it, here or where these bytes were moved from; BUSY keeps everybody else
    // away, and by duty 2 nobody has taken it through a copy.
    let open = unsafe { held.cast::<Permit>().read() };
    // ORDERING: Release, to the load in `Vacant::new`: the read above is over before the next write.
    state.store(EMPTY, Release);
    Ok(open)
}

#[cfg(test)]
mod tests {
    use super::*;
    use connlimit::{Config, Limiter, config::Limit};
    use core::net::Ipv4Addr;
    use std::sync::Barrier;
    use std::thread;

    const EMPTY_PERMIT: ConnlimitPermit = ConnlimitPermit { state: 0, held: [0; 2] };
    const CLIENT: Ipv4Addr = Ipv4Addr::LOCALHOST;

    fn fill(permit: &mut ConnlimitPermit, limiter: &Limiter) -> Result<(), Status> {
        // SAFETY: from a reference.
        let vacant = unsafe { Vacant::new(permit) }?;
        vacant.put(limiter.try_acquire(CLIENT)?);
        Ok(())
    }

    fn release(permit: *mut ConnlimitPermit) -> Status {
        // SAFETY: the tests pass null or live permits, and release no copies.
        unsafe { connlimit_release(permit) }
    }

    #[test]
    fn a_second_release_changes_nothing() {
        let limiter = Limiter::new(Config::new(Limit::Unlimited));
        let _other = limiter.try_acquire(CLIENT);
        let mut permit = EMPTY_PERMIT;
        assert_eq!(fill(&mut permit, &limiter), Ok(()));
        assert_eq!(release(&raw mut permit), Status::ConnlimitOk);
        assert_eq!(release(&raw mut permit), Status::ConnlimitPermitEmpty);
        assert_eq!(limiter.open_connections(CLIENT), 1);
    }

    #[test]
    fn a_permit_in_use_is_not_overwritten() {
        let limiter = Limiter::new(Config::new(Limit::Unlimited));
        let mut permit = EMPTY_PERMIT;
        assert_eq!(fill(&mut permit, &limiter), Ok(()));
        assert_eq!(fill(&mut permit, &limiter), Err(Status::ConnlimitPermitInUse));
        assert_eq!(limiter.open_connections(CLIENT), 1);
        assert_eq!(release(&raw mut permit), Status::ConnlimitOk);
        assert_eq!(limiter.open_connections(CLIENT), 0);
    }

    #[test]
    fn other_memory_is_no_permit() {
        let mut words = [usize::MAX; 4];
        let permit = words.as_mut_ptr().cast::<ConnlimitPermit>();
        assert_eq!(release(permit), Status::ConnlimitNotAPermit);
        assert_eq!(release(permit.wrapping_byte_add(1)), Status::ConnlimitNotAPermit);
        assert_eq!(release(core::ptr::null_mut()), Status::ConnlimitNullPointer);
        assert_eq!(words, [usize::MAX; 4]);
    }

    #[test]
    fn an_odd_address_is_no_permit_whatever_is_there() {
        let mut words = [0_usize; 5];
        let odd = words.as_mut_ptr().wrapping_byte_add(1);
        // SAFETY: one word of the five, which may be written unaligned.
        unsafe { odd.write_unaligned(OPEN) };
        assert_eq!(release(odd.cast()), Status::ConnlimitNotAPermit);
    }

    #[test]
    fn a_moved_permit_is_released_where_it_went() {
        let limiter = Limiter::new(Config::new(Limit::Unlimited));
        let [mut from, mut to] = [EMPTY_PERMIT; 2];
        assert_eq!(fill(&mut from, &limiter), Ok(()));
        // SAFETY: from references.
        let moved = unsafe { connlimit_move(&raw mut to, &raw mut from) };
        assert_eq!(moved, Status::ConnlimitOk);
        assert_eq!(release(&raw mut from), Status::ConnlimitPermitEmpty);
        assert_eq!(limiter.open_connections(CLIENT), 1);
        assert_eq!(release(&raw mut to), Status::ConnlimitOk);
        assert_eq!(limiter.open_connections(CLIENT), 0);
    }

    #[test]
    fn a_move_onto_an_open_permit_moves_nothing() {
        let limiter = Limiter::new(Config::new(Limit::Unlimited));
        let mut permit = EMPTY_PERMIT;
        assert_eq!(fill(&mut permit, &limiter), Ok(()));
        let itself = &raw mut permit;
        // SAFETY: from a reference.
        let moved = unsafe { connlimit_move(itself, itself) };
        assert_eq!(moved, Status::ConnlimitPermitInUse);
        assert_eq!(limiter.open_connections(CLIENT), 1);
        assert_eq!(release(itself), Status::ConnlimitOk);
    }

    #[test]
    fn of_many_threads_that_release_a_permit_one_does() {
        struct Shared(*mut ConnlimitPermit);
        // SAFETY: the permit outlives the threads, and releases may race by the contract of `connlimit_release`.
        unsafe impl Sync for Shared {}

        const THREADS: usize = 4;
        let limiter = Limiter::new(Config::new(Limit::Unlimited));
        for _ in 0..200 {
            let mut permit = EMPTY_PERMIT;
            assert_eq!(fill(&mut permit, &limiter), Ok(()));
            let _other = limiter.try_acquire(CLIENT);
            let shared = &Shared(&raw mut permit);
            let (start, releases) = (&Barrier::new(THREADS), &AtomicUsize::new(0));
            thread::scope(|scope| {
                for _ in 0..THREADS {
                    scope.spawn(move || {
                        start.wait();
                        if release(shared.0) == Status::ConnlimitOk {
                            releases.fetch_add(1, Relaxed);
                        }
                    });
                }
            });
            assert_eq!(releases.load(Relaxed), 1);
            assert_eq!(limiter.open_connections(CLIENT), 1);
        }
    }
}
