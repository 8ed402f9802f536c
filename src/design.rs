//! How it works, why it is right, and what that rests on. There is no code in this module.
//!
//! # The problem
//!
//! Count connections per client, exactly, at the rate at which a server accepts them. A lock makes all threads take
//! turns. A count per client behind a shared pointer costs a contended reference count per connection. A lock-free map
//! from clients to counts has to forget clients that are gone, and there is the difficulty: *the last release meets the
//! next admission*. Who removes a count that has come to zero while somebody else raises it again loses a connection or
//! counts one forever.
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
//!                    LevelList ─► Level (newest) ─► Segment ─► Bin ─► counter ◄─ Permit
//!                         │                            ▲
//!                         └─────► Level (older, drains)│ 64 bins, made on first touch,
//!                                                        freed when closed and empty
//! ```
//!
//! - A **counter** is a 32-bit word: connections, or zero, or dead with a stamp.
//! - A **bin** is one cache line (two for IPv6): a header, six (five) keys and counters, and a pointer to an overflow
//!   block. A client is in the bin that its keyed hash says, or nowhere.
//! - A **level** is an array of bins. New clients go to the newest level. A level that is too small, or too
//!   large, gets a newer one in front of it and drains: its bins are closed one by one, its connections end in their own
//!   time, and each segment is freed when nobody is left in it.
//! - The **list of levels** is replaced as a whole.
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
//!    DEAD, forever; after three ticks of the grace clock the place is free
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
//! A claim is made before the client's word in an older level is killed, and kept until it is published: a client that had a
//! place has one throughout, and where there is no new place to be had it is admitted on its old word, at zero or not.
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
//! | I3 | a key has one word that is not dead | within a bin: the publishing CAS; across levels: older bins are closed, and the key's word there dead, before the newest is written | `two_inserts_of_one_key`, `a_slot_goes_to_another_client`, `insert_meets_unlink`, `a_client_without_a_place_meets_one_with_a_place` |
//! | I4 | a dead word's place is used again only when no CAS on it can still be under way | grace clock | `revive_meets_reuse`, `stamp_meets_two_ticks` |
//! | I5 | a segment is freed only when closed, empty and a grace period old | drain, epoch | `drain_meets_admission`, `two_threads_drain` |
//! | I6 | an attempt that is rejected changes no count | admission is a CAS, not an addition that is taken back | `a_rejected_attempt_changes_nothing` |
//! | I7 | a thread that stalls anywhere delays nobody's admission or release, up to the allocator | claims are private, everything else is a single step that others repeat or skip | by argument: see *Ends* at each loop |
//! | I8 | a walk sees a client that stays once, with a count that it had | levels have numbers that never come back, each slot is looked at once and confirmed by its header | `a_walk_meets_growth`, `a_walk_meets_a_drain`, `a_walk_loses_its_level`, `a_walk_meets_a_slot_that_changes_hands` |
//! | I9 | a client with a connection is never told that there is no room | its word is found wherever it is; no word is given up for a place that is not certain | `a_client_that_finds_no_room_keeps_the_place_it_had`, `proofs/table.pml` |
//! | I10 | the release of a connection comes before the admission in its place, also on another word | acquiring reads of headers, marks, directories and retired segments | `a_release_happens_before_the_admission_in_its_place`, `a_release_in_a_level_that_goes_happens_before_the_next_admission` |
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
//!   race to install a segment holds one more for an instant. A part of the share, an eighth of the largest level there
//!   can be, is kept for becoming smaller: so a table that was full to the last byte gives its memory back.
//! - What is given back goes to the allocator. Whether that gives it back to the system is its own business.
//! - Outside the bound is what the epoch keeps: for each thread that has called and ended some 4.5 KiB, until no thread is
//!   pinned that was then. A [Batch](crate::Batch) that stays open while threads come and go holds that much for each.
//! - A look-up reads at most one bin per level: 13 places (11 for IPv6). There are at most 32 levels: one, or a few while
//!   older ones drain or long-lived clients sit in them.
//! - A long-lived client holds its segment (4 KiB for IPv4, 8 KiB for IPv6, and as much again if each of its bins has an
//!   overflow block), not its level. What parked connections hold does not keep the table from becoming smaller.
//! - The second level has 8192 bins (half a MiB for IPv4, if memory allows), each larger one twice as many as the one
//!   before. A level is crowded when half of its inline places are in use, and too large when one in 64 is. Near the bound
//!   a level is as large as memory allows, and a full one may be followed by a smaller.
//! - A bin has 13 places (11 for IPv6), and each client has one bin, chosen by the hash. So a table that cannot grow
//!   rejects its first newcomer long before all places are taken: with 65,000 bins at about a quarter. (A second bin to
//!   choose from would make that better, but then one exchange on one header would not prove a client absent any more.)
//! - At the bound a newcomer is rejected when its bin is full. It drains a share of an older level now and then, since
//!   nobody else would. Where its bin has places that only the grace clock keeps, it lets go of its pin and looks again, up
//!   to eight times; not in a caller's pin, and not while another thread's pin stops the clock. The cost of a rejection is a
//!   few times that of one at the limit: that growth was denied is remembered until memory has come back.
//! - Near the bound, a newcomer may be rejected while another thread that has reserved memory is just about to put it to
//!   use; and while other threads' claims in its bin, which they may yet give back, take the last places.
//! - Draining is done in passing by inserts, 64 bins by one insert in sixteen, and by one in 64 of those who are rejected
//!   for lack of room. Shrinking is considered by one insert in 256, chosen by the client's hash: a server whose clients
//!   are few and always the same may have none of these among them. It should call
//!   [`reclaim`](crate::Limiter::reclaim) from a timer.
//! - A flush of the epoch looks at each thread that has ever called and still lives. So a thread flushes at most once in as
//!   many inserts as there are such threads divided by sixteen.
//! - An allocation of the table that fails rejects the newcomer for whom it was. What crossbeam-epoch allocates by itself
//!   aborts like a box: its part of each thread, and a node of two kibibytes for some flushes. So does the box of a permit
//!   with tiers or a total.
//! - In a child of `fork` the epoch's collector and the lock of those who change configurations are new.
//!
//! # What is checked, and how
//!
//! - **Loom** explores the interleavings of two or three threads on this code, with bins of two places and levels of one
//!   bin. In the *ideal* tier the epoch is its own specification, as eager and as weak as that allows; in the *real*
//!   one it is crossbeam-epoch; in the *wide* one segments have two bins, and bins two inline slots. Models print how many executions they explored, and whether they were cut short. Those of one
//!   counter by itself have no bound on preemptions.
//! - **Shuttle** runs scenarios of four or five threads on this code under random schedules, with ideal epochs and with
//!   bins of four places and segments of four bins: tables grow by several levels, drain, shrink, fill up and go away.
//!   Who is admitted or rejected, what is counted and what is freed is held against a ledger. That is a sample where loom
//!   is exhaustive, and all accesses are sequentially consistent in it: it is about protocols, and loom about orderings.
//! - **SPIN** explores `proofs/table.pml` and `proofs/clock.pml` with no bound on preemptions, sequentially consistent:
//!   the protocol for two and three clients of one key with growth and draining, and the grace clock.
//! - **Mutants**: `ci/mutants.py` plants known bugs, weakened orderings among them, and fails if the models stay green.
//! - **Properties** and **fuzz targets** compare whole histories of operations with a plain map; **stress** tests count
//!   exactly what several threads hold; recorded **histories** are checked for linearizability. Long runs so far: a soak of
//!   10^9 operations on four threads (`cargo test --release --test stress -- --ignored`, commit 4eb5114), and the fuzzing
//!   in `fuzz/README.md`, 1.3 * 10^8 executions.
//! - The **sanitizers** for threads and for addresses and **Miri** run the unit and stress tests (`.ci/run tsan asan miri`).
//!
//! # What is trusted
//!
//! - crossbeam-epoch, for three sentences: a deferred function runs after all threads pinned at its deferral have been
//!   unpinned; what was done under a pin that began before comes before that run; and what came before the deferral comes
//!   before all that is done under a later pin. (Its code runs in the models of the real tier, up to their bounds.)
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
