//! How it works, why it is right, and what that rests on. There is no code in this module.
//!
//! # The problem
//!
//! Count connections per client, exactly, at the rate at which a server accepts them. A lock makes all threads take
//! turns. A count per client behind a shared pointer costs a contended reference count per connection. A lock-free map
//! from clients to counts has to forget clients that are gone, and there is the difficulty: *the last release meets the
//! next admission*. Who removes a count that has come to zero while somebody else raises it again loses a connection or
//! counts one for ever.
//!
//! # The idea
//!
//! A counter never moves, and at zero it **lingers**. It stays in its place, and the client that returns revives it with
//! the same compare-and-swap that any admission is. Nothing is looked up, unlinked, allocated or deferred when a
//! connection ends: a release is one subtraction. Only who needs the *place* of a lingering counter kills it, by a
//! compare-and-swap from zero, and then waits until nobody can still be about to revive it.
//!
//! # The parts
//!
//! ```text
//!  Limiter ─► Counts ─► Table (IPv4 | IPv6 | names | each tier | total)
//!                         │
//!                         ▼
//!                       Roster ─► Level (newest) ─► Segment ─► Bin ─► counter ◄─ Permit
//!                         │                            ▲
//!                         └─────► Level (older, drains)│ 512 bins, made on first touch,
//!                                                        freed when closed and empty
//! ```
//!
//! - A **counter** is a 32-bit word: connections, or zero, or dead with a stamp.
//! - A **bin** is one cache line (two for IPv6): a header, six (five) keys and counters, and a pointer to an overflow
//!   block. A client is in the bin that its keyed hash says, or nowhere.
//! - A **level** is a power of two of bins. New clients go to the newest level. A level that is too small, or too
//!   large, gets a newer one in front of it and drains: its bins are closed one by one, its connections end in their own
//!   time, and each segment is freed when nobody is left in it.
//! - The **roster** is the list of levels, replaced as a whole.
//! - A **permit** is one word: where the counter is.
//!
//! # The life of a counter
//!
//! ```text
//!             admit                  admit / release
//!    ZERO ────────────► LIVE 1 ◄──────────────────────► LIVE n
//!     │ ▲───────────────┘                                 │ the limiter is dropped
//!     │      release                                      ▼
//!     │ stamp, by who needs the place                  ORPHAN n ──► segment freed by the last release
//!     ▼
//!    DEAD, for ever; after three ticks of the grace clock the place is free
//! ```
//!
//! # The life of a place in a bin
//!
//! ```text
//!              CAS on the header              CAS on the header
//!    free ─────────────────────► claimed ─────────────────────────► valid ──┐
//!     ▲ ▲                           │  key and count are written;           │ dead and expired:
//!     │ └───────────────────────────┘  nobody else looks                    │ cleared by the next claim
//!     │      given back: something was                                      │
//!     │      published since the look                                       │
//!     └─────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! When the last handle on a limiter is dropped, each counter that still counts somebody is marked as an orphan, and the
//! address of its segment is left at the start of its cache line, where no header or key is needed any more. So a permit
//! that outlives the limiter finds what it has to free, and one that does not carries nothing for it.
//!
//! The header is `[version | CLOSED | claimed | valid]`. Publishing compares it with the value under which the key was
//! looked for in vain, and moves the version. So it fails if anything was published since.
//!
//! # What holds
//!
//! | | claim | why | models |
//! |---|---|---|---|
//! | I1 | a client never has more permits than the limit | one live word per key (I3), raised only by a CAS from a value below the limit | `two_inserts_of_one_key`, `insert_meets_growth`, `three_inserts_meet_growth` |
//! | I2 | a release lands on the word that its admission raised | the permit has its address, and words never move | `drain_meets_release`, `shrink_meets_admission` |
//! | I3 | a key has one word that is not dead | within a bin: the publishing CAS; across levels: older bins are closed, and the key's word there dead, before the newest is written | `two_inserts_of_one_key`, `a_slot_goes_to_another_client`, `insert_meets_unlink` |
//! | I4 | a dead word's place is used again only when no CAS on it can still be under way | grace clock | `revive_meets_reuse`, `stamp_meets_two_ticks` |
//! | I5 | a segment is freed only when closed, empty and a grace period old | drain, epoch | `drain_meets_admission`, `two_threads_drain` |
//! | I6 | an attempt that is rejected changes no count | admission is a CAS, not an addition that is taken back | `a_rejected_attempt_changes_nothing` |
//! | I7 | a thread that stalls anywhere delays nobody's admission or release | claims are private, everything else is a single step that others repeat or skip | by argument: see *Ends* at each loop |
//! | I8 | a walk sees a client that stays once, with a count that it had | levels have numbers that never come back, each slot is looked at once and confirmed by its header | `a_walk_meets_growth`, `a_walk_meets_a_drain`, `a_walk_loses_its_level`, `a_walk_meets_a_slot_that_changes_hands` |
//!
//! I6 is weaker with [tiers](crate::Config::with_tier), and is stated there.
//!
//! # The grace clock
//!
//! A thread that has read a lingering word's zero may be delayed just before its compare-and-swap. If meanwhile the word
//! dies, the place goes to another client and *that* one's count comes to zero, the late exchange would succeed on the
//! wrong client's word. So a place is used again only after every thread that was pinned when the word died has been
//! unpinned. The time is told by a counter that moves in functions deferred through the epoch, one at a time: a
//! deferred function per grace period, not per client. A stamp has expired when the counter has moved by **three**; with
//! two there is an interleaving in which a thread that pinned *between* two ticks still holds the old word.
//! `src/table/clock.rs` has the argument, the model `stamp_meets_two_ticks` the interleaving. A stamp is judged by a clock
//! that was read after it (`a_clock_that_is_behind_meets_a_fresh_stamp`).
//!
//! A thread that stays pinned stops the clock. Places are not used again then, so new clients fill the table faster, up
//! to its bound; clients that are tracked notice nothing. No pin of this crate spans user code except a
//! [Batch](crate::Batch), which says so, and the epoch is the crate's own: pins in other libraries do not count.
//!
//! # Orderings
//!
//! There is no sequentially consistent access; every access says in the source what it pairs with. The pairs:
//!
//! | carries | from | to |
//! |---|---|---|
//! | key and first count of a new client | publishing CAS, Release | header load, Acquire |
//! | "this place has been claimed" | key and count stores, Release | fences in `Bin::confirm` and `Bin::look`, Acquire |
//! | all of a bin's publications | publishing CAS, Release | `close`, Acquire |
//! | "there is a newer level" | `close` and gone segments, Release | header and directory loads, Acquire |
//! | what an ended connection did | `release`, Release | `admit`, Acquire (for users); `observe` and `stamp`, Acquire (for who frees) |
//! | the accesses that a grace period waited for | tick, Release | clock load, Acquire |
//! | initialised levels, segments, blocks | the CAS that installs them, Release | the load that finds them, Acquire |
//! | a segment's address, left with an orphaned word | the mark, Release | the load of the last release, Acquire |
//! | other releases of an orphaned word, of an orphaned segment | `release`, `orphan_released`, Release | the load and the count of the last one, Acquire |
//!
//! # Bounds
//!
//! - Memory of a table never exceeds its share of [`Config::table_memory`](crate::Config::table_memory): a level is
//!   reserved whole before it is put in front, and given back segment by segment once freed. A thread that loses the
//!   race to install a segment holds one more for an instant.
//! - A look-up reads at most one bin per level: 13 places (11 for IPv6). There are at most 32 levels: one, or a few while
//!   older ones drain or long-lived clients sit in them.
//! - A long-lived client holds its segment (32 KiB for IPv4, 64 KiB for IPv6, and as much again if each of its bins has an
//!   overflow block), not its level.
//! - The second level has 8192 bins (half a MiB for IPv4, if memory allows), each larger one twice as many as the one
//!   before. A level is crowded when half of its inline places are in use, and too large when one in 64 is.
//! - Near the bound, a newcomer may be rejected while another thread that has reserved memory is just about to put it to use.
//! - Draining is done in passing by inserts, 64 bins by one insert in sixteen.
//!
//! # What is checked, and how
//!
//! - **Loom** explores the interleavings of two or three threads on this code, with bins of two places and levels of one
//!   bin. In the *ideal* tier the epoch is its own specification, and as eager as that allows; in the other it is the
//!   real crossbeam-epoch. Models print how many executions they explored, and whether they were cut short. Those of one
//!   counter by itself have no bound on preemptions.
//! - **Shuttle** runs scenarios of four or five threads on this code under random schedules, with ideal epochs and with
//!   bins of four places and segments of four bins: tables grow by several levels, drain, shrink, fill up and go away.
//!   Who is admitted or rejected, what is counted and what is freed is held against a ledger. That is a sample where loom
//!   is exhaustive, and all accesses are sequentially consistent in it: it is about protocols, and loom about orderings.
//! - **Mutants**: `ci/mutants.py` plants known bugs, weakened orderings among them, and fails if the models stay green.
//! - **Properties** and **fuzz targets** compare whole histories of operations with a plain map; **stress** tests count
//!   exactly what several threads hold; recorded **histories** are checked for linearizability. Long runs so far: a soak of
//!   10^9 operations on four threads (`cargo test --release --test stress -- --ignored`, commit 4eb5114), and the fuzzing
//!   in `fuzz/README.md`, 1.3 * 10^8 executions.
//! - The **sanitizers** for threads and for addresses and **Miri** run the unit and stress tests (`.ci/run tsan asan miri`).
//!
//! # What is trusted
//!
//! - crossbeam-epoch: that a deferred function runs after all threads pinned at its deferral have been unpinned, and that
//!   who pins later sees what came before. (Its code runs in the models of the second tier, up to their bounds.)
//! - arc-swap, for the configuration: a register of `Arc`s. In models a mutex stands in for it.
//! - Loom's view of memory: it does not explore every behaviour that C11 allows, and bounds on preemptions mean that what
//!   was explored is much, not all.
//!
//! # Other designs
//!
//! Counters on the heap behind moving pointers were prototyped, model-checked and measured first. They cost a second
//! cache miss per look-up, an allocation and a deferred free per client, and a protocol to migrate pointers; reconnecting
//! clients were two to three times slower. An open-addressed table whose counters move with growth makes every release
//! look up its counter again, and couples the proof of counting with that of moving.
//!
//! # One admission, step by step
//!
//! [`docs::walkthrough`](crate::docs::walkthrough) goes through the source, with the files.
