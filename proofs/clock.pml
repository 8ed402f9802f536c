/* The grace clock, for any interleaving of ticks: src/table/clock.rs.
 *
 * One word that lingers at zero. READERS threads pin, may see the word alive, and while pinned may still admit on it.
 * STAMPERS pin, read the clock, kill the word with that time. ASKERS pin and request ticks. A tick is deferred through the
 * epoch: it runs, in two steps, when every thread that was pinned at its deferral has been unpinned. Only one is deferred
 * at a time, since the flag is answered last.
 *
 * Claimed: when the stamp has expired by a clock read at any later time, no thread is pinned that saw the word alive.
 */
#ifndef READERS
#define READERS 2
#endif
#ifndef ASKS
#define ASKS 4
#endif
#ifndef GRACE
#define GRACE 3
#endif
#define NP (READERS + 2)

byte now = 0;
bool pending = false;
byte pinned = 0;
byte saw = 0;           /* pinned threads that saw the word alive */
bool dead = false;
byte stamped = 0;
byte deferred = 0;      /* ticks that are deferred and have not begun */
byte holders[2];        /* what they wait for */
byte running = 0;       /* ticks that have begun */

#define EXPIRED (dead && now - stamped >= GRACE)
#define CHECK assert(!(EXPIRED && saw != 0))

inline pin(me) { atomic { pinned = pinned | (1 << me) } }

inline unpin(me) {
    atomic {
        pinned = pinned & ~(1 << me);
        saw = saw & ~(1 << me);
        holders[0] = holders[0] & ~(1 << me);
        holders[1] = holders[1] & ~(1 << me)
    }
}

/* What is due runs, by whichever thread comes by. */
active proctype collector() {
    do
    :: atomic { deferred > 0 && holders[0] == 0 ->
            deferred--; holders[0] = holders[1]; holders[1] = 0; running++ };
#ifdef MUTANT_ANSWERED_FIRST
        pending = false;
        atomic { now++; CHECK; running-- }
#else
        atomic { now++; CHECK };
        atomic { pending = false; running-- }
#endif
    :: timeout -> break
    od
}

active [READERS] proctype reader() {
    byte me = _pid - 1, turn = 0;
    do
    :: turn < 2 ->
        turn++;
        pin(me);
        atomic {
            if
            :: !dead -> saw = saw | (1 << me)
            :: else -> skip
            fi;
            CHECK
        };
        unpin(me)
    :: else -> break
    od
}

active proctype stamper() {
    byte me = READERS, read;
    pin(me);
    read = now;
    atomic { dead = true; stamped = read; CHECK };
    unpin(me)
}

active proctype asker() {
    byte me = READERS + 1, turn = 0;
    bool mine;
    do
    :: turn < ASKS ->
        turn++;
        pin(me);
#ifdef MUTANT_SEVERAL_AT_ONCE
        mine = true;
#else
        atomic { mine = !pending; pending = true };
#endif
        if
        :: mine -> atomic {
            if
            :: deferred < 2 -> holders[deferred] = pinned; deferred++
            :: else -> skip
            fi
        }
        :: else -> skip
        fi;
        unpin(me)
    :: else -> break
    od
}
