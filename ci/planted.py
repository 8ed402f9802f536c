"""The faults that mutants.py plants, and the models that should find them, the likeliest first."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    name: str
    # Below src/.
    file: str
    # (function, old, new): `old` stands in that function once.
    edits: tuple
    # (tier, model)
    models: tuple


def mutant(name, file, function, old, new, *models):
    return mutants(name, file, [(function, old, new)], *models)


def mutants(name, file, edits, *models):
    """One fault that takes several edits. Models are of the ideal tier unless they say `real:`."""
    pairs = (model.rpartition(":") for model in dict.fromkeys(models))
    return Mutant(name, file, tuple(edits), tuple((tier or "ideal", model) for tier, _, model in pairs))


TWO, BLOCK, SHARE = "two_inserts_of_one_key", "two_inserts_meet_in_the_overflow_block", "two_inserts_share_a_bin"
GROWTH, GROWTH3, UNLINK, GROW2 = "insert_meets_growth", "three_inserts_meet_growth", "insert_meets_unlink", "two_threads_grow"
STAMP, REUSE, TICKS, EXPIRES = "revive_meets_stamp", "revive_meets_reuse", "stamp_meets_two_ticks", "a_stamp_expires_and_the_slot_serves_again"
DRAIN, DRAIN2, ENDS = "drain_meets_admission", "two_threads_drain", "drain_meets_release"
AFTER, LIMIT, BELOW, REFUSED = "release_happens_before_the_next_admission", "release_at_the_limit", "below_the_limit_nobody_is_refused", "a_rejected_attempt_changes_nothing"
GOES, OUTLIVES, OPEN, SHRINK = "the_limiter_goes_while_permits_are_released", "a_permit_outlives_the_limiter", "num_open_is_true_at_some_moment", "shrink_meets_admission"
SET, WRITERS, HANDLE = "set_config_meets_admission", "two_writers_leave_one_configuration", "the_last_handle_meets_a_release"
POLICY = "set_config_meets_an_admission_by_policy"
PLACES, BACK, LATE = "threads_never_share_a_place", "a_place_given_back_is_taken_once", "a_late_taker_gives_back_nothing"

OLD, GIVEN, BUSY, PLACE = "an_old_header_meets_a_new_client", "a_claim_given_back_meets_the_next_client", "num_open_meets_neighbours", "a_release_happens_before_the_admission_in_its_place"
UPON, SEGMENT = "growth_upon_growth_meets_admission", "two_clients_of_one_segment_outlive_the_limiter"
GRACE = "a_stamp_outlasts_whoever_saw_the_word_alive"
WALK, WALK_LOST, WALK_GROWTH, WALK_DRAIN = "a_walk_meets_a_slot_that_changes_hands", "a_walk_loses_its_level", "a_walk_meets_growth", "a_walk_meets_a_drain"

SIFT = "impl<K: Key<Cell = C>, C: KeyCell<K>, const N: usize> Slots<K> for SlotArray<C, N>"

MUTANTS = [
    # The header.
    mutant("version-stands-still", "table/header.rs", "published", ".wrapping_add(1 << VERSION)", ".wrapping_add(0)", TWO, BLOCK),
    mutant("slot-trusted-after-a-publication", "table/header.rs", "still_holds", "u64::MAX << VERSION | 1 << slot", "1 << slot", OLD),
    mutant("slot-trusted-after-its-removal", "table/header.rs", "still_holds", "u64::MAX << VERSION | 1 << slot", "u64::MAX << VERSION | 1 << slot & 0", OLD),
    mutant("claims-do-not-count", "table/header.rs", "free", "self.0 | self.0 >> CLAIMED", "self.0", BLOCK, SHARE, TWO),
    mutant("claim-leaves-the-slot-valid", "table/header.rs", "claimed", "self.0 & !(expired as u64) | Self::claim(slot)", "self.0 & !(0 & expired as u64) | Self::claim(slot)", OLD, GIVEN),

    # The bin.
    mutants("clock-read-before-the-stamp", "table/slots.rs", [(SIFT, "let now = clock.now();", ""), (SIFT, "let seen: [Count; N]", "let now = clock.now(); let seen: [Count; N]")], "a_fresh_stamp_is_not_taken_for_an_old_one", "a_clock_that_is_behind_meets_a_fresh_stamp"),
    mutant("publish-after-another", "table/bin/claim.rs", "publish", "!now.same_version(self.seen) || ", "", TWO, BLOCK),
    mutant("publish-in-a-closed-bin", "table/bin/claim.rs", "publish", " || now.is_closed()", "", GROWTH, GROWTH3, UNLINK),
    mutant("claim-in-a-closed-bin", "table/bin/claim.rs", "claim", "if header.is_closed()", "if false && header.is_closed()", GROWTH, UNLINK, GROWTH3),
    mutant("claim-kept", "table/bin/claim.rs", "drop", "self.bin.header.fetch_and(!Header::claim(self.slot), Release);", "let _ = Header::claim(self.slot);", TWO, BLOCK),
    mutant("look-not-confirmed", "table/bin.rs", "confirm", "if !header.still_holds(first + slot, now)", "if false && !header.still_holds(first + slot, now)", OLD),
    mutant("absent-although-changed", "table/bin.rs", "find_anywhere", "if !changed {", "if !changed || changed {", BUSY),
    mutant("dead-word-ends-the-search", "table/bin.rs", "confirm", "if !count.is_dead()", "if !count.is_dead() || count.is_dead()", EXPIRES, STAMP, REUSE),
    mutant("confirm-fence-dropped", "table/bin.rs", "confirm", "fence(Acquire);", "", OLD),
    mutant("publish-relaxed", "table/bin/claim.rs", "publish", "published.bits(), AcqRel, Acquire", "published.bits(), Relaxed, Relaxed", GIVEN, SHARE, BLOCK),
    mutant("publish-acquire-only", "table/bin/claim.rs", "publish", "published.bits(), AcqRel, Acquire", "published.bits(), Acquire, Acquire", GIVEN, SHARE, BLOCK),
    mutant("publish-release-only", "table/bin/claim.rs", "publish", "published.bits(), AcqRel, Acquire", "published.bits(), Release, Relaxed", GIVEN, BLOCK, GROWTH, UNLINK, "real:" + UNLINK),
    mutant("claim-relaxed", "table/bin/claim.rs", "claim_slot", "seen.bits(), AcqRel, Relaxed", "seen.bits(), Relaxed, Relaxed", OLD, GIVEN, BLOCK, GROWTH, "real:" + TWO),
    mutant("header-read-relaxed", "table/bin.rs", "header", "self.header.load(Acquire)", "self.header.load(Relaxed)", GIVEN, SHARE, BLOCK),
    mutant("close-relaxed", "table/bin.rs", "close", "fetch_or(Header::CLOSED, AcqRel)", "fetch_or(Header::CLOSED, Relaxed)", GROWTH, UNLINK, GROWTH3, DRAIN),
    mutant("close-acquire-only", "table/bin.rs", "close", "fetch_or(Header::CLOSED, AcqRel)", "fetch_or(Header::CLOSED, Acquire)", GROWTH, UNLINK, GROWTH3, DRAIN),
    mutant("close-release-only", "table/bin.rs", "close", "fetch_or(Header::CLOSED, AcqRel)", "fetch_or(Header::CLOSED, Release)", GROWTH, UNLINK, GROWTH3, DRAIN),
    mutant("close-does-nothing", "table/bin.rs", "close", "if !self.header().is_closed()", "if false", GROWTH, DRAIN),
    mutant("give-back-relaxed", "table/bin/claim.rs", "drop", "Header::claim(self.slot), Release", "Header::claim(self.slot), Relaxed", GIVEN),
    mutant("overflow-put-relaxed", "table/bin/claim.rs", "ensure_overflow", "block, Release, Relaxed", "block, Relaxed, Relaxed", BLOCK, SHARE),
    mutant("overflow-read-relaxed", "table/bin.rs", "overflow", "load(Acquire)", "load(Relaxed)", BLOCK, SHARE),
    mutant("overflow-put-twice", "table/bin/claim.rs", "ensure_overflow", "self.overflow.compare_exchange(ptr::null_mut(), block, Release, Relaxed).is_err()", "{ self.overflow.store(block, Release); false }", BLOCK, SHARE),
    mutant("overflow-not-searched-first", "table/bin.rs", "find", "} else if header.valid() & !Self::INLINE_MASK == 0 {", "} else if slots == 0 {", EXPIRES, BLOCK, SHARE),
    mutant("overflow-not-searched", "table/bin.rs", "find_anywhere", "header.valid() & !Self::INLINE_MASK != 0", "header.valid() & !Self::INLINE_MASK == 1 << 31", EXPIRES, BLOCK, SHARE),
    mutant("unexpired-slot-reused", "table/slots.rs", SIFT, "Clock::has_expired(count.stamp(), now)", "count.stamp() <= now", REUSE, STAMP, TICKS),
    mutant("stamped-slot-reused-at-once", "table/bin/claim.rs", "add", "self.waiting |= slots.counter(unused.trailing_zeros() as usize).try_kill(now);", "if slots.counter(unused.trailing_zeros() as usize).try_kill(now) { self.expired |= (unused & unused.wrapping_neg()) << first }", REUSE, STAMP, TICKS),
    mutant("live-slot-reused", "table/slots.rs", SIFT, "sifted.expired &= sifted.dead;", "", REUSE, SHARE),
    mutants("nobody-asks-for-a-tick", "table/clock.rs", [("push", "Self::request_tick(this, guard);", ""), ("request_tick", "guard.defer(move || clock.tick());", "let _ = clock;")], EXPIRES),
    mutant("drain-does-not-close", "table/bin.rs", "drain", "self.close();", "", UNLINK, DRAIN),
    mutant("drain-leaves-zero-alive", "table/bin.rs", "drain", "counter.observe().is_dead() || counter.try_kill(now)", "{ let _ = now; counter.observe().open() == 0 }", "revive_meets_unlink"),
    mutant("key-write-relaxed", "table/slots.rs", "impl KeyCell<u32>", "self.store(key, Release)", "self.store(key, Relaxed)", GIVEN, OLD, BLOCK, REUSE),

    # The counter.
    mutant("admit-loads-and-stores", "table/counter.rs", "admit", "self.word.compare_exchange_weak(seen.0, seen.0 + 1, Acquire, Relaxed)", "{ self.word.store(seen.0 + 1, Release); Ok::<u32, u32>(0) }", TWO, LIMIT, BELOW),
    mutant("limit-checked-once", "table/counter.rs", "admit", "Err(now) => seen = Count(now),", "Err(_) => { self.word.fetch_add(1, Acquire); seen = Count(0); let _ = seen; return Admission::Admitted(1) }", "two_admissions_for_one_place"),
    mutant("admits-on-a-dead-word", "table/counter.rs", "admit", "if seen.is_dead()", "if false", STAMP, REUSE),
    mutant("one-more-than-the-limit", "table/counter.rs", "admit", "seen.open() >= limit", "seen.open() > limit", TWO),
    mutant("admits-then-thinks-better-of-it", "table/counter.rs", "admit", "let limit = if limit < MAX_COUNT { limit } else { MAX_COUNT };", "if !seen.is_dead() && seen.open() < MAX_COUNT { let before = Count(self.word.fetch_add(1, Acquire)); if before.is_dead() || before.open() >= limit { self.word.fetch_sub(1, Release); return if before.is_dead() { Admission::Dead } else { Admission::AtLimit }; } return Admission::Admitted(before.open() + 1); }", REFUSED, BELOW),
    mutant("admit-relaxed", "table/counter.rs", "admit", "seen.0 + 1, Acquire, Relaxed", "seen.0 + 1, Relaxed, Relaxed", PLACE, AFTER),
    mutant("release-relaxed", "table/counter.rs", "release", "fetch_sub(1, Release)", "fetch_sub(1, Relaxed)", PLACE, ENDS, OUTLIVES),
    mutant("last-orphan-acquires-nothing", "table/counter.rs", "release", "self.word.load(Acquire);", "", OUTLIVES, GOES),
    mutant("last-orphan-not-noticed", "table/counter.rs", "release", "before == ORPHAN | 1", "before == ORPHAN", OUTLIVES, GOES),
    mutant("every-orphan-is-the-last", "table/counter.rs", "release", "before == ORPHAN | 1", "before & ORPHAN != 0", OUTLIVES, GOES),
    mutant("stamp-stores", "table/counter.rs", "impl Counter ", "self.word.compare_exchange(0, DEAD | now & MAX_COUNT, AcqRel, Relaxed).is_ok()", "self.observe() == Count::ZERO && { self.word.store(DEAD | now & MAX_COUNT, Release); true }", STAMP, DRAIN),
    mutant("stamp-relaxed", "table/counter.rs", "impl Counter ", "MAX_COUNT, AcqRel, Relaxed", "MAX_COUNT, Relaxed, Relaxed", ENDS, DRAIN),
    mutant("stamp-release-only", "table/counter.rs", "impl Counter ", "MAX_COUNT, AcqRel, Relaxed", "MAX_COUNT, Release, Relaxed", ENDS, DRAIN),
    mutant("stamp-acquire-only", "table/counter.rs", "impl Counter ", "MAX_COUNT, AcqRel, Relaxed", "MAX_COUNT, Acquire, Relaxed", ENDS, DRAIN2, DRAIN, "real:" + DRAIN2),
    mutant("observe-relaxed", "table/counter.rs", "observe", "load(Acquire)", "load(Relaxed)", GOES, ENDS, DRAIN),
    mutant("first-count-relaxed", "table/counter.rs", "start", "store(1, Release)", "store(1, Relaxed)", OLD, OLD),
    mutant("zero-is-orphaned", "table/counter.rs", "orphan", "while seen.open() > 0", "while !seen.is_dead()", GOES, DRAIN),
    mutant("orphan-relaxed", "table/counter.rs", "orphan", "seen.0 | ORPHAN, AcqRel, Acquire", "seen.0 | ORPHAN, Relaxed, Acquire", GOES, OUTLIVES, HANDLE, "real:" + GOES),
    mutant("orphan-failure-relaxed", "table/counter.rs", "orphan", "seen.0 | ORPHAN, AcqRel, Acquire", "seen.0 | ORPHAN, AcqRel, Relaxed", GOES, HANDLE),
    mutant("orphan-forgets-to-compare", "table/counter.rs", "orphan", "self.word.compare_exchange(seen.0, seen.0 | ORPHAN, AcqRel, Acquire)", "Ok::<u32, u32>(self.word.fetch_or(ORPHAN, AcqRel))", GOES, HANDLE),

    # The clock.
    mutant("grace-of-two", "table/clock.rs", "has_expired", ">= GRACE", ">= GRACE - 1", GRACE, TICKS, REUSE),
    mutant("grace-of-one", "table/clock.rs", "has_expired", ">= GRACE", ">= GRACE - 2", GRACE, REUSE, TICKS),
    mutant("grace-of-none", "table/clock.rs", "has_expired", "now.wrapping_sub(stamp) & MAX_COUNT >= GRACE", "stamp <= now", GRACE, REUSE, TICKS),
    mutant("several-ticks-at-once", "table/clock.rs", "request_tick", "this.pending.load(Relaxed) || this.pending.swap(true, Acquire)", "this.pending.load(Relaxed) && this.pending.swap(true, Acquire) && false", GRACE, TICKS, REUSE),
    mutant("tick-at-once", "table/clock.rs", "request_tick", "guard.defer(move || clock.tick());", "let _ = guard; clock.tick();", GRACE, REUSE, TICKS),
    mutant("clock-read-relaxed", "table/clock.rs", "now", "load(Acquire)", "load(Relaxed)", GRACE, TICKS, REUSE, "real:" + REUSE),
    mutant("clock-moved-relaxed", "table/clock.rs", "tick", "fetch_add(1, AcqRel)", "fetch_add(1, Relaxed)", GRACE, TICKS, REUSE, "real:" + REUSE),
    mutant("request-relaxed", "table/clock.rs", "request_tick", "swap(true, Acquire)", "swap(true, Relaxed)", "a_stamp_meets_half_a_tick"),
    mutant("request-answered-relaxed", "table/clock.rs", "tick", "store(false, Release)", "store(false, Relaxed)", "a_stamp_meets_half_a_tick"),
    mutants("request-answered-before-the-tick", "table/clock.rs", [("tick", "self.now.fetch_add(1, AcqRel);", "self.pending.store(false, Release);"), ("tick", "        self.pending.store(false, Release);\n    }", "        self.now.fetch_add(1, AcqRel);\n    }")], "a_stamp_meets_half_a_tick"),
    mutant("request-never-answered", "table/clock.rs", "tick", "self.pending.store(false, Release);", "", EXPIRES),

    # Older levels.
    mutant("no-look-after-closing", "table.rs", "kill_or_admit", "found => return Self::admit_if_open(&found, limit),", "_ => return InOlder::Absent,", "revive_meets_growth", GROWTH),
    mutant("older-segment-not-forgone", "table/level.rs", "close", "self.retire_vacant(index, budget);", "let _ = (index, budget);", GROWTH, GROWTH3),
    mutant("older-bin-not-closed", "table.rs", "kill_or_admit", "let Some(segment) = level.close(hash, &self.budget, guard) else {", "let Some(segment) = level.segment(hash, guard) else {", GROWTH, GROWTH3),
    mutant("older-zero-left-alive", "table.rs", "kill_or_admit", "if counter.try_kill(self.clock.now()) {", "if counter.peek() == Count::ZERO {", "revive_meets_growth"),
    mutant("older-zero-revived", "table.rs", "admit_if_open", "if seen != Count::ZERO", "if seen != Count::ZERO || seen == Count::ZERO", DRAIN, DRAIN2),
    mutant("older-levels-forgotten", "table.rs", "acquire_absent", "for level in list.older() {", "for level in list.older().take(0) {", "insert_meets_a_level_in_use", GROWTH),
    mutant("older-levels-not-closed", "table.rs", "acquire_absent", "match self.kill_or_admit(level, key, hash, limit, guard) {", "match Self::admit_in_older(list, key, hash, limit, guard) {", GROWTH, GROWTH3),
    mutant("oldest-level-not-closed", "table.rs", "acquire_absent", "for level in list.older() {", "for level in list.older().take(1) {", "insert_meets_growth_twice", UPON),
    mutant("insert-in-the-oldest-level", "table.rs", "acquire_slow", "let newest = list.newest();", "let newest = list.levels().last().unwrap();", GROWTH, DRAIN),
    mutant("older-levels-not-counted", "table.rs", "impl<K: Key> Table<K>", ".levels().find_map(", ".levels().take(1).find_map(", OPEN),
    mutant("drained-level-not-unlinked", "table/resize.rs", "drain", "if level.is_retired()", "if false", DRAIN2),
    mutant("limiter-leaves-its-levels", "table.rs", "impl<K: Key> Drop for Table<K>", "unsafe { level.abandon() };", "unsafe { let _ = core::mem::ManuallyDrop::new(level); core::hint::black_box(()) };", OUTLIVES, GOES),

    # The segment.
    mutant("held-bin-passed-over", "table/segment.rs", "drain", "held = !self.bins()[end].drain(now);", "self.bins()[end].drain(now); held &= false;", ENDS, DRAIN),
    mutant("drained-relaxed", "table/segment.rs", "drain", "self.drained.fetch_max(end, AcqRel)", "self.drained.fetch_max(end, crate::sync::Relaxed)", "a_release_in_a_level_that_goes_happens_before_the_next_admission"),
    mutant("abandoned-segment-freed-under-permits", "table/segment_meta.rs", "wait_for", "if before.wrapping_add(marked) == 0", "if before.wrapping_add(marked) == 0 || true", OUTLIVES, GOES),
    mutant("marks-not-counted", "table/bin.rs", "orphan", "usize::from(unsafe { counter.orphan(meta) })", "usize::from(unsafe { counter.orphan(meta) } && false)", OUTLIVES, GOES),
    mutant("way-meta-not-left", "table/counter.rs", "orphan", "cell.store(meta.as_ptr(), Relaxed);", "let _ = (cell, meta);", OUTLIVES, GOES),
    mutant("marks-counted-relaxed", "table/segment_meta.rs", "wait_for", "fetch_add(marked, AcqRel)", "fetch_add(marked, crate::sync::Relaxed)", GOES, SEGMENT),
    mutant("orphan-counted-down-relaxed", "table/segment_meta.rs", "orphan_released", "fetch_sub(1, AcqRel)", "fetch_sub(1, crate::sync::Relaxed)", SEGMENT),
    mutant("last-orphan-off-by-one", "table/segment_meta.rs", "orphan_released", "AcqRel) == 1", "AcqRel) == 0", OUTLIVES, GOES),

    # The level.
    mutant("segment-freed-at-once", "table/level.rs", "retire", "guard.retire(pointer, move |segment| {", "(|retired: NonNull<Segment<K>>, last: &dyn Fn(Box<Segment<K>>)| last(Box::from_raw(retired.as_ptr())))(pointer, &|segment: Box<Segment<K>>| {", DRAIN, DRAIN2, UNLINK),
    mutant("segment-retired-twice", "table/level.rs", "retire", "AcqRel, Relaxed).is_ok()", "AcqRel, Relaxed).is_ok() || true", DRAIN2),
    mutant("retired-segment-in-the-directory", "table/level.rs", "retire", "pointer.as_ptr(), tombstone(), AcqRel", "pointer.as_ptr(), pointer.as_ptr(), AcqRel", DRAIN2, UNLINK),
    mutant("segment-gone-relaxed", "table/level.rs", "retire", "tombstone(), AcqRel, Relaxed", "tombstone(), Relaxed, Relaxed", "a_release_in_a_level_that_goes_happens_before_the_next_admission"),
    mutant("directory-read-relaxed", "table/level.rs", "state", "load(Acquire)", "load(Relaxed)", TWO),
    mutant("touch-relaxed", "table/level.rs", "touch_index", "fresh.as_ptr(), AcqRel, Acquire", "fresh.as_ptr(), Relaxed, Relaxed", TWO),
    mutant("touch-acquires-nothing", "table/level.rs", "touch_index", "fresh.as_ptr(), AcqRel, Acquire", "fresh.as_ptr(), Release, Relaxed", TWO, SHARE, GROWTH, UNLINK, "real:" + TWO),
    mutant("touched-twice", "table/level.rs", "touch_index", "self.directory[index].compare_exchange(ptr::null_mut(), fresh.as_ptr(), AcqRel, Acquire).is_err()", "{ self.directory[index].store(fresh.as_ptr(), Release); false }", TWO, SHARE),
    mutant("forgone-relaxed", "table/level.rs", "retire_vacant", "tombstone(), Release, Relaxed", "tombstone(), Relaxed, Relaxed", GROWTH, UNLINK, GROWTH3, "real:" + GROWTH),
    mutant("gone-counted-relaxed", "table/level.rs", "note_retired", "fetch_add(1, Release)", "fetch_add(1, Relaxed)", "a_release_in_a_level_that_goes_happens_before_the_next_admission"),
    mutant("gone-read-relaxed", "table/level.rs", "left", "load(Acquire)", "load(Relaxed)", "a_release_in_a_level_that_goes_happens_before_the_next_admission"),
    mutant("gone-one-too-early", "table/level.rs", "is_retired", "self.left() == 0", "self.left() <= 1", DRAIN, DRAIN2, ENDS),
    mutant("forgone-counted-twice", "table/level.rs", "retire_vacant", "Release, Relaxed).is_ok()", "Release, Relaxed).is_ok() || true", "two_threads_drain_what_nobody_touched"),
    mutant("drain-stays-at-one-segment", "table/level.rs", "drain", "self.cursor.store(index + 1, Relaxed);", "self.cursor.store(index, Relaxed);", "a_held_segment_is_passed_over"),

    # The list of levels.
    mutant("list-stored", "table/level_list.rs", "replace", "self.0.compare_exchange(seen, new, AcqRel, Relaxed)", "Ok::<_, *mut LevelList<K>>({ let _ = seen; self.0.swap(new, AcqRel) })", GROW2, UNLINK),
    mutant("list-freed-at-once", "table/level_list.rs", "replace", "unsafe { guard.retire(old, drop) };", "drop(unsafe { Box::from_raw(old.as_ptr()) }); let _ = guard;", GROWTH, GROW2),
    mutant("level-freed-at-once", "table/level_list.rs", "unlink_retired", "guard.retire(level, move |level| {", "(|retired: NonNull<Level<K>>, last: &dyn Fn(Box<Level<K>>)| last(Box::from_raw(retired.as_ptr())))(level, &|level: Box<Level<K>>| {", DRAIN, DRAIN2),
    mutant("retired-level-on-the-list", "table/level_list.rs", "unlink_retired", ".filter(|(_, retired)| retired.is_none())", ".filter(|(_, retired)| retired.is_none() || retired.is_some())", DRAIN2, DRAIN),
    mutant("live-level-off-the-list", "table/level_list.rs", "unlink_retired", ".filter(|(_, retired)| retired.is_none())", ".filter(|(_, retired)| retired.is_none()).take(0)", UPON),
    mutant("growth-forgets-older-levels", "table/level_list.rs", "push", "seen.levels[..seen.len].iter().copied()", "seen.levels[..seen.len].iter().copied().take(1)", GROW2),
    mutant("growth-forgets-the-newest-level", "table/level_list.rs", "push", "seen.levels[..seen.len].iter().copied()", "seen.levels[1..seen.len].iter().copied()", GROWTH, OPEN),
    mutant("list-read-relaxed", "table/level_list.rs", "load", "load(Acquire)", "load(Relaxed)", GROWTH, GROW2),
    mutant("list-put-relaxed", "table/level_list.rs", "replace", "new, AcqRel, Relaxed", "new, Relaxed, Relaxed", GROWTH, GROW2),
    mutant("list-put-release-only", "table/level_list.rs", "replace", "new, AcqRel, Relaxed", "new, crate::sync::Release, Relaxed", GROW2, GROWTH3, UNLINK, "real:" + GROW2),

    # The walk.
    mutant("walk-looks-without-confirming", "table/bin.rs", "scan", "if header.still_holds(slot, now)", "if header.still_holds(slot, now) || slot < 64", WALK),
    mutant("walk-fence-dropped", "table/bin.rs", "scan", "fence(Acquire);", "", WALK),
    mutant("walk-sees-twice", "table/bin.rs", "scan", "slots &= header.valid();", "slots = header.valid();", "a_walk_looks_again"),
    mutant("walk-ends-where-a-level-went", "table/walk.rs", "walk_segment", "level.id() <= place.level", "level.id() == place.level", WALK_LOST),
    mutant("walk-skips-a-segment", "table/walk.rs", "walk_segment", "level: older, segment: 0", "level: older, segment: 1", WALK_LOST, WALK_GROWTH),
    mutant("level-numbers-repeat", "table/resize.rs", "push_level", "list.newest().id() + 1", "list.newest().id()", WALK_GROWTH, WALK_LOST, WALK_DRAIN),

    # A full table.
    mutant("old-place-not-kept", "table.rs", "acquire_without_place", "for level in list.older() {", "for level in list.older().take(0) {", "a_client_that_finds_no_room_keeps_the_place_it_had"),
    mutant("old-place-killed-before-there-is-a-new-one", "table.rs", "acquire_absent", "let tell_crowded = !self.fixed", "for level in list.older() { if let InOlder::Decided(answer) = self.kill_or_admit(level, key, hash, limit, guard) { return Some(answer); } } let tell_crowded = !self.fixed", "a_client_that_finds_no_room_keeps_the_place_it_had", "a_client_without_a_place_meets_one_with_a_place"),
    mutant("old-place-only-with-connections", "table.rs", "acquire_without_place", "match Self::admit(counter, seen, limit) {", "match if seen == Count::ZERO { InOlder::Absent } else { Self::admit(counter, seen, limit) } {", "a_client_that_finds_no_room_keeps_the_place_it_had"),
    mutant("nobody-drains-a-full-table", "table.rs", "acquire_without_place", "let drains = older > 0", "let drains = older > 99", "a_rejected_client_drains_for_the_next"),
    mutant("no-second-look", "table.rs", "acquire", "Err(Miss::FullForNow) => self.acquire_when_full(key, hash, limit, pins),", "Err(Miss::FullForNow) => Err(Refusal::Full),", "nobody_is_rejected_where_nobody_has_a_connection"),
    mutant("full-does-not-say-soon", "table/bin/claim.rs", "claim", "if usable == 0 {\n            return Room::Full { soon: found.waiting };", "if usable == 0 {\n            return Room::Full { soon: false };", "nobody_is_rejected_where_nobody_has_a_connection"),
    mutant("claim-not-renewed", "table.rs", "acquire_absent", "claim = kept.under(header)", "{ claim = kept; let _ = header; }", SHARE),
    mutant("headroom-for-nobody", "table/budget.rs", "reserve", "Purpose::Shrinking => self.bound,", "Purpose::Shrinking => self.bound - self.headroom,", "a_table_at_its_bound_shrinks"),
    mutant("no-headroom", "table/level.rs", "headroom", "if most == BINS { 0 }", "if most >= BINS { 0 }", "a_table_at_its_bound_shrinks"),
    mutant("denied-for-ever", "table/budget.rs", "is_exhausted", "self.denied.load(Relaxed) == self.returns().wrapping_add(1)", "self.denied.load(Relaxed) != 0", "growth_that_was_denied_is_tried_when_memory_has_come_back"),
    mutant("never-denied", "table/resize.rs", "grow", "self.budget.note_denied(returns);", "let _ = returns;", "growth_that_was_denied_is_tried_when_memory_has_come_back"),
    mutant("returns-relaxed", "table/budget.rs", "give_back", "fetch_add(1, Release)", "fetch_add(1, Relaxed)", "growth_that_was_denied_is_tried_when_memory_has_come_back"),
    mutant("returns-read-relaxed", "table/budget.rs", "returns", "load(Acquire)", "load(Relaxed)", "growth_that_was_denied_is_tried_when_memory_has_come_back"),
    mutant("returns-not-counted", "table/budget.rs", "give_back", "self.returns.fetch_add(1, Release);", "let _ = Release;", "growth_that_was_denied_is_tried_when_memory_has_come_back"),
    mutant("parked-not-counted", "table/level.rs", "drain", "if segment.note_parked() {", "if segment.note_parked() && false {", "a_parked_connection_does_not_keep_the_table_large"),
    mutant("list-denied-level-lost", "table/level_list.rs", "push", "if list.is_some_and(|list| self.replace(seen, list, guard)) {", "if list.is_some_and(|list| self.replace(seen, list, guard)) || true {", GROW2),
    mutant("furnished-freed-as-plain", "table/segment.rs", "empty", "meta: Self::meta(free),", "meta: { let _ = free; Self::meta(Self::free_plain) },", "a_preallocated_table_ends_with_its_permits"),
    mutant("furnished-blocks-freed-twice", "table/segment.rs", "impl<K: Key> Drop for Segment<K>", "if !self.furnished {", "if self.furnished || !self.furnished {", "a_preallocated_table_ends_with_its_permits"),
    mutant("blocks-never-freed", "table/segment.rs", "impl<K: Key> Drop for Segment<K>", "if !self.furnished {", "if !self.furnished && false {", BLOCK),

    # Segments of several bins, bins of several inline slots, wide keys.
    mutant("mark-passes-a-held-bin", "table/segment.rs", "drain", "end += usize::from(!held);", "end += 1;", "wide:two_drains_advance_one_mark"),
    mutant("only-the-first-candidate", "table/bin.rs", "find_anywhere", "let inline = self.inline.match_mask(key) & header.valid();", "let inline = self.inline.match_mask(key) & header.valid(); let inline = inline & inline.wrapping_neg();", "wide:the_second_candidate_is_the_client"),
    mutant("claim-clears-one-slot", "table/bin/claim.rs", "claim", "self.claim_slot(header, slot, found.expired, key)", "self.claim_slot(header, slot, 0, key)", "wide:a_claim_that_clears_two_slots_meets_their_clients"),
    mutant("wide-key-half-compared", "table/slots.rs", "impl KeyCell<u128>", "u128::from(self[0].load(Relaxed)) | u128::from(self[1].load(Relaxed)) << 64", "u128::from(self[0].load(Relaxed)) | 1 << 64", "wide:a_torn_key_is_nobodys"),

    # The places for handshakes before validation.
    mutant("place-taken-by-two", "datagram/places.rs", "take_at", "word.fetch_update(Relaxed, Relaxed, free).is_ok()", "free(word.load(Relaxed)).map(|until| word.store(until, Relaxed)).is_some()", PLACES),
    mutant("place-given-back-as-never-taken", "datagram/places.rs", "give_back_at", "compare_exchange(taken.until, now, Relaxed, Relaxed)", "compare_exchange(taken.until, 0 * now, Relaxed, Relaxed)", LATE),
    mutant("place-given-back-unseen", "datagram/places.rs", "give_back_at", "compare_exchange(taken.until, now, Relaxed, Relaxed).is_ok()", "swap(now, Relaxed) == taken.until", LATE),
    mutant("place-kept", "datagram/places.rs", "give_back_at", "compare_exchange(taken.until, now,", "compare_exchange(taken.until, taken.until,", BACK),

    # The limiter.
    mutant("mirror-not-written", "limiter/configure.rs", "install", "inner.hot.limit.store(limit, Release);", "let _ = limit;", SET, WRITERS),
    mutant("configuration-dropped-at-once", "limiter/configure.rs", "install", "guard.defer(move || drop(replaced));", "drop(replaced);", POLICY),
    mutant("policy-not-replaced", "limiter/configure.rs", "install", "inner.hot.current.store(Arc::as_ptr(&config).cast_mut(), Release);", "", POLICY),
    mutants("policy-relaxed", "limiter/configure.rs", [("install", "cast_mut(), Release)", "cast_mut(), crate::sync::Relaxed)"), ("pinned_config", "load(Acquire)", "load(crate::sync::Relaxed)")], POLICY),
    mutant("writers-do-not-wait", "limiter/configure.rs", "install", "let _writer = inner.writers.lock();", "let _ = &inner.writers;", WRITERS),
    mutants("mirror-written-first", "limiter/configure.rs", [("install", "let replaced = inner.config.swap(config);", "inner.hot.limit.store(limit, Release); let replaced = inner.config.swap(config);"), ("install", "        inner.hot.limit.store(limit, Release);\n        Ok(true)", "        Ok(true)")], SET, WRITERS),
    mutants("mirror-relaxed", "limiter/configure.rs", [("install", "store(limit, Release)", "store(limit, crate::sync::Relaxed)")], SET, WRITERS),

    # The epochs.
    mutants("retired-at-once", "epoch.rs", [("retire", "self.defer(move || {", "let at_once = |act: Box<dyn FnOnce()>| act(); at_once(Box::new(move || {"), ("retire", "        });\n    }", "        }));\n    }")], "real:" + GROWTH),
]

# Why a fault is none: nothing that may be observed changes.
EQUIVALENT = {
    "publish-release-only": "The publisher reads nothing through the exchange: it has its counter, and goes on with the "
    "list it had. When the exchange fails, the value read is only compared with; the next look loads the header with "
    "Acquire, and by coherence sees at least that value. All it may cost is a turn: the list is loaded before the header.",
    "claim-relaxed": "A header value never comes back: a claim bit goes with a new version or in a closed bin. So the "
    "exchange reads the very store that `find` has read with Acquire. Towards readers, the Release of the writes to key "
    "and counter, which follow the claim, carries it; and a relaxed exchange continues the release sequence of the "
    "publications before. That a release comes before the admission that takes its place rests, where the word is a new "
    "one, on the third sentence of `epoch.rs` as far as this exchange is concerned.",
    "close-release-only": "The look that follows loads the header with Acquire and reads the closing or what comes after "
    "it, which is in the release sequence of every publication so far: the header is changed by read-modify-writes only.",
    "key-write-relaxed": "A thread that meets the new key in a slot that is not published yet acts on it only if the "
    "counter it reads next is not dead. The old one is dead for everybody who is pinned (its stamp has expired), so it is "
    "the new one, whose Release carries the claim.",
    "stamp-acquire-only": "A stamp is a read-modify-write in the release sequence of the releases before it. Only pinned "
    "threads stamp, and what they have seen is freed or used again a grace period later: by the second sentence of "
    "`epoch.rs` their pins come before that.",
    "clock-read-relaxed": "A late admission on a reused word is an exchange that acquires, through the Release of the new "
    "client's first count, all that the thread had done that used the place again, its reading of the clock first. That "
    "reading would have met a tick which waited for the late thread's own pin, so which comes after that exchange: and a "
    "read does not see a write that it comes before. An older value only delays the reuse.",
    "clock-moved-relaxed": "As `clock-read-relaxed`.",
    "touch-acquires-nothing": "On success the value read is null, with nothing behind it. On failure `state` loads again "
    "with Acquire, and by coherence sees at least that value.",
    "list-put-release-only": "The exchange reads the very store that `load` has read with Acquire: under a guard no "
    "address comes back.",
    "mirror-written-first": "Both are written before `set_config` returns, under the writers' lock; a call that starts "
    "meanwhile may decide by either configuration.",
    "mirror-relaxed": "Only the number is read through the mirror. A call that starts after `set_config` returned is ordered "
    "after the store by whatever ordered the calls, and coherence does the rest; the configuration has a cell of its own.",
}
