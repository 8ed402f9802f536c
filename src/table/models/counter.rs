//! Models of one counter by itself, with any number of preemptions.

use super::super::counter::Released;
use super::super::segment_meta::SegmentMeta;
use super::*;
use core::ptr::NonNull;
use loom::cell::UnsafeCell;

/// A counter, and something that only who holds the single place may touch.
struct Place {
    counter: Counter,
    /// Accesses that are not ordered are reported by loom.
    held: UnsafeCell<()>,
}

// SAFETY: loom lets one thread run at a time, and reports accesses that may coincide.
unsafe impl Sync for Place {}
// SAFETY: as above.
unsafe impl Send for Place {}

impl Place {
    fn new(word: u32) -> Arc<Self> {
        Arc::new(Self { counter: Counter::new(word), held: UnsafeCell::new(()) })
    }

    /// Whether this thread had the place, and has given it back.
    fn come_and_go(&self) -> bool {
        let Admission::Admitted(open) = self.counter.admit(self.counter.peek(), 1) else {
            return false;
        };
        assert_eq!(open, 1, "one place");
        self.held.with_mut(|_| ());
        assert_eq!(self.counter.release(), Released::Done);
        true
    }
}

/// One place: who has it has it alone, and after all that whoever had it before did.
#[test]
fn a_counter_with_one_place() {
    model("a_counter_with_one_place", UNBOUNDED, UNBOUNDED, || {
        let place = Place::new(0);
        let threads = [(); 2].map(|()| {
            let place = Arc::clone(&place);
            thread::spawn(move || place.come_and_go())
        });
        let mine = place.come_and_go();
        let theirs = threads.map(|thread| thread.join().unwrap());
        assert!(mine || theirs.contains(&true), "somebody was first");
        assert_eq!(place.counter.observe(), Count::ZERO);
    });
}

/// A word dies once, and not while it counts somebody; nobody is admitted on it afterwards.
#[test]
fn a_counter_meets_two_stamps() {
    model("a_counter_meets_two_stamps", UNBOUNDED, UNBOUNDED, || {
        let place = Place::new(1);
        let stamps = [7, 8].map(|stamp| {
            let place = Arc::clone(&place);
            thread::spawn(move || place.counter.try_kill(stamp))
        });
        place.held.with_mut(|_| ());
        assert_eq!(place.counter.release(), Released::Done);
        let admitted = place.come_and_go();
        let stamped = stamps.map(|thread| thread.join().unwrap());
        assert!(stamped != [true, true], "a word dies once");
        match place.counter.observe() {
            Count::ZERO => assert!(admitted && stamped == [false, false]),
            word => {
                assert!(word.is_dead());
                assert_eq!(word.stamp(), if stamped[0] { 7 } else { 8 });
                // Who reuses the place comes after everybody who had it.
                place.held.with_mut(|_| ());
            }
        }
    });
}

/// The limiter goes while two connections end: if it left its mark, exactly one of them is told to be the last, and finds
/// the way meta.
#[test]
fn a_counter_is_orphaned() {
    model("a_counter_is_orphaned", UNBOUNDED, UNBOUNDED, || {
        let place = Place::new(2);
        let meta = NonNull::<SegmentMeta>::dangling();
        let releases = [(); 2].map(|()| {
            let place = Arc::clone(&place);
            thread::spawn(move || {
                let last = place.counter.release() == Released::LastOrphan;
                if last {
                    // SAFETY: as the release said.
                    assert_eq!(unsafe { place.counter.meta() }, meta);
                    place.held.with_mut(|_| ());
                }
                last
            })
        });
        // SAFETY: there is nothing else in this model.
        let marked = unsafe { place.counter.orphan(meta) };
        let last = releases.map(|thread| thread.join().unwrap());
        assert_eq!(usize::from(marked), last.into_iter().filter(|&last| last).count());
    });
}
