/* The protocol of the table, for any interleaving: no bound on preemptions. Sequentially consistent, with an ideal grace
 * period; orderings are the business of the models in src/table/models.
 *
 * NL levels of one bin with two slots. Clients of key 1 (limit 1) and of key 2 (limit 1), each a thread that comes and goes
 * ROUNDS times; a keeper that grows and drains. A header is version*32 + closed*16 + claimed*4 + valid. A word is 0, a
 * count, or DEAD. A dead word's place may be used again, and a segment is freed, when every thread that was pinned at its
 * death has been unpinned.
 *
 * Claimed: at most one permit per key; each exchange lands on its own key's word; nothing is accessed that has been freed;
 * a release finds a live word; a client with a connection is not rejected for want of room; and at rest there is no claim,
 * and one word per key that is not dead.
 */
#ifndef NL
#define NL 3
#endif
#ifndef K1
#define K1 2        /* clients of key 1 */
#endif
#ifndef K2
#define K2 1        /* clients of key 2 */
#endif
#ifndef KEEPS
#define KEEPS 2     /* turns of the keeper */
#endif
#ifndef GROWS
#define GROWS 1     /* clients put larger levels in front */
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#define NP (K1 + K2 + 1)
#define DEAD 9

#define VER(h) ((h) >> 5)
#define CLOSED(h) (((h) >> 4) & 1)
#define CLAIMED(h) (((h) >> 2) & 3)
#define VALID(h) ((h) & 3)

byte header[NL];
byte word[NL * 2];
byte key[NL * 2];
byte waits[NL * 2];     /* who was pinned when the word died, and still is */
byte seg[NL];           /* 0 untouched, 1 there, 2 gone */
byte segwaits[NL];
byte levels = 1;        /* mask of the levels in use; the highest is the newest */
byte pinned = 0;
byte out[3];

#define FREED(l) (seg[l] == 2 && segwaits[l] == 0)
#define USE(l) assert(!FREED(l))

inline newest_of(r, n) {
    n = NL - 1;
    do
    :: !((r >> n) & 1) -> n--
    :: else -> break
    od
}

#define PIN(me) pinned = pinned | (1 << me)
inline unpin(me) {
    skip; d_step {
        pinned = pinned & ~(1 << me);
        i = 0;
        do
        :: i < NL * 2 -> waits[i] = waits[i] & ~(1 << me); i++
        :: else -> break
        od;
        i = 0;
        do
        :: i < NL -> segwaits[i] = segwaits[i] & ~(1 << me); i++
        :: else -> break
        od;
        i = 0
    }
}

/* status: what came of the last step */
#define ABSENT 0
#define FOUND 1
#define ADMITTED 2
#define ATLIMIT 3
#define CHANGED 4
#define FULL 5
#define CLAIMED_IT 6

/* Looks for k in level l: status, at, seen, h. */
inline find(l, k) {
    again = 1;
    do
    :: again ->
        again = 0;
        atomic { USE(l); h = header[l]; s = 0; status = ABSENT };
        do
        :: s < 2 && status == ABSENT && !again ->
            if
            :: (VALID(h) >> s) & 1 ->
                atomic { USE(l); kk = key[l * 2 + s] };
                if
                :: kk == k ->
                    atomic { USE(l); seen = word[l * 2 + s] };
                    atomic {
                        USE(l);
                        hh = header[l];
                        if
                        :: VER(hh) != VER(h) || !((VALID(hh) >> s) & 1) -> again = 1
                        :: else ->
                            if
                            :: seen != DEAD -> status = FOUND; at = s
                            :: else -> skip
                            fi
                        fi;
                        hh = 0; s++
                    }
                :: else -> s++
                fi;
            :: else -> s++
            fi
        :: else -> break
        od
    :: else -> break
    od;
    skip; d_step { kk = 0; s = 0; again = 0 }
}

/* From `seen`, on slot `at` of level l. */
inline admit(l, k) {
    do
    :: seen == DEAD -> status = CHANGED; break
    :: seen != DEAD && seen >= 1 -> status = ATLIMIT; break
    :: seen == 0 ->
        atomic {
            USE(l);
            if
            :: word[l * 2 + at] == seen ->
                word[l * 2 + at] = seen + 1;
                assert(key[l * 2 + at] == k);
                out[k]++;
                assert(out[k] <= 1);
                held = l * 2 + at + 1;
                status = ADMITTED;
                break
            :: else -> seen = word[l * 2 + at]
            fi
        }
    od;
    skip; d_step { seen = 0; at = 0 }
}

/* A word is killed if it is zero: ok says so. */
inline kill(x) {
    atomic {
        USE((x) / 2);
        ok = (word[x] == 0);
        if
        :: ok -> word[x] = DEAD; waits[x] = pinned
        :: else -> skip
        fi
    }
}

/* Claims a slot for k in level l, where k was absent under h: status, at, and h with the claim. */
inline claim(l, k) {
    status = CHANGED;
    if
    :: CLOSED(h) -> skip
    :: else ->
        expired = 0; s = 0;
        do
        :: s < 2 ->
            if
            :: (VALID(h) >> s) & 1 ->
                atomic {
                    USE(l);
                    if
                    :: word[l * 2 + s] == DEAD && waits[l * 2 + s] == 0 -> expired = expired | (1 << s); seen = 1
                    :: else -> seen = word[l * 2 + s]
                    fi
                };
                if
                :: seen == 0 -> kill(l * 2 + s)
                :: else -> skip
                fi
            :: else -> skip
            fi;
            s++
        :: else -> break
        od;
        skip; d_step { usable = ((3 & ~VALID(h)) & (3 & ~CLAIMED(h))) | expired; seen = 0; s = 0; ok = 0 };
        if
        :: usable == 0 -> status = FULL
        :: else ->
            if
            :: usable & 1 -> at = 0
            :: else -> at = 1
            fi;
            atomic {
                USE(l);
                if
                :: header[l] == h ->
                    h = (h & ~expired) | (4 << at);
                    header[l] = h;
                    mine = at + 1;
                    status = CLAIMED_IT
                :: else -> skip
                fi;
                expired = 0
            };
            if
            :: mine > 0 ->
                atomic { USE(l); key[l * 2 + at] = k };
                atomic { USE(l); word[l * 2 + at] = 1 }
            :: else -> skip
            fi;
        fi;
        skip; d_step { usable = 0; at = 0; ok = 0; expired = 0 }
    fi
}

/* Publishes the claim unless anything was published since h, or the bin is closed: then it is still there. */
inline publish(l, k) {
    do
    :: atomic {
        USE(l);
        hh = header[l];
        if
        :: hh == h ->
            header[l] = ((h & ~(4 << (mine - 1))) | (1 << (mine - 1))) + 32;
            out[k]++;
            assert(out[k] <= 1);
            held = l * 2 + mine;
            mine = 0;
            status = ADMITTED;
            break
        :: else ->
            if
#ifdef MUTANT_PUBLISH_CLOSED
            :: VER(hh) == VER(h) -> h = hh
#else
            :: VER(hh) == VER(h) && !CLOSED(hh) -> h = hh
#endif
            :: else -> status = CHANGED; break
            fi
        fi
    }
    od;
    skip; d_step { hh = 0 }
}

inline give_back(l) {
    atomic {
        if
        :: mine > 0 -> USE(l); header[l] = header[l] & ~(4 << (mine - 1)); mine = 0
        :: else -> skip
        fi
    }
}

/* In the older levels: the word with connections, or at zero too if `zero`. Admitted, rejected, changed, or absent. */
inline admit_older(zero) {
    status = ABSENT;
    l = n;
    do
    :: l > 0 && status == ABSENT ->
        l--;
        if
        :: ((r >> l) & 1) && seg[l] == 1 ->
            find(l, k);
            if
            :: status == FOUND && (seen != 0 || zero) -> admit(l, k)
            :: else -> status = ABSENT
            fi
        :: else -> skip
        fi
    :: else -> break
    od;
    skip; d_step { l = 0; seen = 0; at = 0 }
}

proctype client(byte me; byte k) {
    byte r, n, l, h, hh, s, at, seen, status, held, mine, expired, usable, kk, i, round, was;
    bool again, ok;
    do
    :: round < ROUNDS ->
        round++;
        atomic { PIN(me); was = out[k] };
look: skip;
        atomic {
            r = levels; newest_of(r, n);
            if
            :: seg[n] == 0 -> seg[n] = 1
            :: else -> skip
            fi
        };
        if
        :: seg[n] == 2 -> goto look
        :: else -> skip
        fi;
        find(n, k);
        if
        :: status == FOUND ->
            admit(n, k);
            if
            :: status == CHANGED -> goto look
            :: else -> goto done
            fi
        :: else -> skip
        fi;
        if
        :: r != (1 << n) ->
            hh = h;
            admit_older(false);
            h = hh; hh = 0;
            if
            :: status == CHANGED -> goto look
            :: status == ADMITTED || status == ATLIMIT -> goto done
            :: else -> skip
            fi
        :: else -> skip
        fi;
        claim(n, k);
        if
        :: status == CHANGED -> goto look
        :: status == FULL ->
            atomic {
                if
                :: levels != r -> goto look
                :: levels == r && GROWS && n + 1 < NL -> levels = levels | (1 << (n + 1)); goto look
                :: else -> skip
                fi
            };
#ifndef MUTANT_OLD_PLACE_LOST
            admit_older(true);
            if
            :: status == CHANGED -> goto look
            :: status == ABSENT -> status = FULL
            :: else -> skip
            fi;
#endif
            goto done
        :: else -> skip
        fi;
        /* The claim is ours: now the older levels. */
        s = h;
        l = n;
        do
        :: l > 0 ->
            l--;
            if
            :: (r >> l) & 1 ->
                usable = s; s = 0;
                atomic {
                    if
                    :: seg[l] == 0 -> seg[l] = 2; segwaits[l] = pinned
                    :: else -> skip
                    fi
                };
                if
                :: seg[l] == 1 ->
#ifndef MUTANT_NOT_CLOSED
                    atomic { USE(l); header[l] = header[l] | 16 };
#endif
                    do
                    :: find(l, k);
                        if
                        :: status == FOUND && seen == 0 ->
                            kill(l * 2 + at);
                            if
                            :: ok -> break
                            :: else -> skip
                            fi
                        :: status == FOUND && seen != 0 ->
                            admit(l, k);
                            give_back(n);
                            if
                            :: status == CHANGED -> goto look
                            :: else -> goto done
                            fi
                        :: status == ABSENT -> break
                        fi
                    od;
                    skip; d_step { ok = 0; seen = 0; at = 0; h = 0 }
                :: else -> skip
                fi;
                s = usable; usable = 0
            :: else -> skip
            fi
        :: else -> break
        od;
        skip; d_step { h = s; s = 0; l = 0 };
        do
        :: publish(n, k);
            if
            :: status == ADMITTED -> goto done
            :: else -> skip
            fi;
#ifdef MUTANT_CLAIM_RENEWED_UNSEEN
            atomic { h = header[n] };
            if
            :: CLOSED(h) -> give_back(n); goto look
            :: else -> skip
            fi
#else
            /* Something was published: look again, and keep the claim. */
            find(n, k);
            if
            :: status == ABSENT && !CLOSED(h) -> skip
            :: else -> give_back(n); goto look
            fi
#endif
        od;
done: skip;
        /* Nobody who had a connection all the while is told that there is no room. */
        assert(!(status == FULL && was > 0 && out[k] > 0 && K1 == 1));
        skip; d_step { was = 0; h = 0; hh = 0; s = 0; at = 0; seen = 0; kk = 0; r = 0; n = 0; l = 0; status = 0 };
        unpin(me);
        if
        :: held > 0 ->
            /* the connection, and its end: no pin */
            atomic {
                held = held - 1;
                USE(held / 2);
                assert(word[held] >= 1 && word[held] != DEAD);
                assert(key[held] == k);
                out[k]--;
                word[held] = word[held] - 1;
                held = 0
            }
        :: else -> skip
        fi
    :: else -> break
    od
}

proctype keeper(byte me) {
    byte r, n, l, h, s, turn, i, x;
    bool ok, none;
    do
    :: turn < KEEPS ->
        turn++;
        PIN(me);
        atomic { r = levels; newest_of(r, n) };
        if
        :: n + 1 < NL ->     /* grow, or shrink: a level in front */
            atomic {
                if
                :: levels == r -> levels = levels | (1 << (n + 1))
                :: else -> skip
                fi
            }
        :: r != (1 << n) ->  /* drain an older one */
            l = n;
            do
            :: l > 0 ->
                l--;
                if
                :: (r >> l) & 1 -> break
                :: (r >> l) & 1 -> skip
                :: else -> skip
                fi
            :: else -> break
            od;
            if
            :: (r >> l) & 1 && l != n ->
                atomic {
                    if
                    :: seg[l] == 0 -> seg[l] = 2; segwaits[l] = pinned
                    :: else -> skip
                    fi
                };
                if
                :: seg[l] == 1 ->
                    atomic { USE(l); header[l] = header[l] | 16 };
                    atomic { USE(l); h = header[l]; s = 0; none = 1 };
                    do
                    :: s < 2 ->
                        if
                        :: (VALID(h) >> s) & 1 ->
                            atomic { USE(l); ok = (word[l * 2 + s] == DEAD) };
                            if
                            :: !ok -> kill(l * 2 + s)
                            :: else -> skip
                            fi;
                            none = none && ok
                        :: else -> skip
                        fi;
                        s++
                    :: else -> break
                    od;
                    if
                    :: none ->
                        atomic {
                            if
                            :: seg[l] == 1 -> seg[l] = 2; segwaits[l] = pinned
                            :: else -> skip
                            fi
                        }
                    :: else -> skip
                    fi
                :: else -> skip
                fi;
                if
                :: seg[l] == 2 ->
                    atomic {
                        if
                        :: levels == r -> levels = levels & ~(1 << l)
                        :: else -> skip
                        fi
                    }
                :: else -> skip
                fi
            :: else -> skip
            fi
        :: else -> skip
        fi;
        skip; d_step { r = 0; n = 0; l = 0; h = 0; s = 0; ok = 0; none = 0 };
        unpin(me)
    :: else -> break
    od
}

init {
    byte p, x;
    atomic {
        p = 0;
        do
        :: p < K1 -> run client(p, 1); p++
        :: p >= K1 && p < K1 + K2 -> run client(p, 2); p++
        :: else -> break
        od;
        run keeper(p)
    };
    /* At rest: nobody holds anything, no claim is left, no key has two words that are not dead. */
    (_nr_pr == 1);
    atomic {
        p = 0; x = 0;
        do
        :: p < NL ->
            assert(CLAIMED(header[p]) == 0);
            if
            :: VALID(header[p]) & 1 ->
                assert(word[p * 2] == 0 || word[p * 2] == DEAD);
                if
                :: word[p * 2] == 0 -> assert(!((x >> key[p * 2]) & 1)); x = x | (1 << key[p * 2])
                :: else -> skip
                fi
            :: else -> skip
            fi;
            if
            :: (VALID(header[p]) >> 1) & 1 ->
                assert(word[p * 2 + 1] == 0 || word[p * 2 + 1] == DEAD);
                if
                :: word[p * 2 + 1] == 0 -> assert(!((x >> key[p * 2 + 1]) & 1)); x = x | (1 << key[p * 2 + 1])
                :: else -> skip
                fi
            :: else -> skip
            fi;
            p++
        :: else -> break
        od
    }
}
