//! Any sequence of calls, deaths and sweeps does what a plain list of permits does.

use super::*;
use crate::sync::crash;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Act {
    Acquire {
        me: u8,
        key: u128,
        limit: u32,
    },
    /// Any of the permits that process has.
    Release {
        me: u8,
        which: usize,
    },
    /// The process dies in the middle of an admission.
    Die {
        me: u8,
        key: u128,
        accesses: u64,
    },
    Sweep,
    /// The sweeper dies.
    HalfASweep {
        accesses: u64,
    },
}

fn act() -> impl Strategy<Value = Act> {
    let (me, key) = (0..4_u8, 0..24_u128);
    prop_oneof![
        8 => (me.clone(), key.clone(), 1..4_u32).prop_map(|(me, key, limit)| Act::Acquire { me, key, limit }),
        5 => (me.clone(), any::<usize>()).prop_map(|(me, which)| Act::Release { me, which }),
        1 => (me, key, 0..60_u64).prop_map(|(me, key, accesses)| Act::Die { me, key, accesses }),
        1 => Just(Act::Sweep),
        1 => (0..200_u64).prop_map(|accesses| Act::HalfASweep { accesses }),
    ]
}

/// What is known without looking at the table.
#[derive(Default)]
struct Oracle<'a> {
    /// Process, client, permit.
    permits: Vec<(u8, u128, Lane<'a>)>,
    /// Died and not swept yet.
    dead: u64,
    /// Permits of the dead, and for each of the dead one more: it may have been counted half way.
    ghosts: Vec<(u8, u128)>,
}

fn count(things: impl Iterator) -> u32 {
    things.count().try_into().unwrap()
}

impl Oracle<'_> {
    fn held(&self, key: u128) -> u32 {
        count(self.permits.iter().filter(|permit| permit.1 == key))
    }

    fn ghosts(&self, key: u128) -> u32 {
        count(self.ghosts.iter().filter(|ghost| ghost.1 == key))
    }

    fn clients(&self) -> usize {
        let mut keys: Vec<_> =
            self.permits.iter().map(|permit| permit.1).chain(self.ghosts.iter().map(|ghost| ghost.1)).collect();
        keys.sort_unstable();
        keys.dedup();
        keys.len()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 4 } else { 512 }, ..ProptestConfig::default() })]

    #[test]
    fn the_table_counts_what_a_plain_list_counts(acts in prop::collection::vec(act(), 1..200)) {
        let world = World::new(1);
        let mut oracle = Oracle::default();
        for act in acts {
            match act {
                Act::Acquire { me, key, limit } => {
                    if oracle.dead >> me & 1 == 1 {
                        continue;
                    }
                    let (held, ghosts) = (oracle.held(key), oracle.ghosts(key));
                    let deaths = oracle.dead.count_ones();
                    match world.acquire(me, key, limit) {
                        Ok(lane) => {
                            prop_assert!(held < limit, "client {} had {} of {}", key, held, limit);
                            oracle.permits.push((me, key, lane));
                        }
                        Err(Refusal::AtLimit) => prop_assert!(held + ghosts + deaths >= limit, "refused below its limit"),
                        // Each of the dead may hold one record besides.
                        Err(Refusal::Full) => prop_assert!(held == 0 && oracle.clients() + deaths as usize >= RECORDS, "full too early"),
                    }
                }
                Act::Release { me, which } => {
                    let mine: Vec<_> = (0..oracle.permits.len()).filter(|i| oracle.permits[*i].0 == me).collect();
                    if let Some(index) = mine.get(which.checked_rem(mine.len()).unwrap_or(0)) {
                        oracle.permits.swap_remove(*index).2.release();
                    }
                }
                Act::Die { me, key, accesses } => {
                    if oracle.dead >> me & 1 == 1 {
                        continue;
                    }
                    // Whatever came of it, the process is gone.
                    let _ = crash::after(accesses, || world.acquire(me, key, 2));
                    oracle.dead |= 1 << me;
                    let (gone, left) = oracle.permits.drain(..).partition(|permit| permit.0 == me);
                    oracle.permits = left;
                    oracle.ghosts.extend(Vec::into_iter(gone).map(|(me, key, _)| (me, key)));
                }
                Act::Sweep => {
                    world.table(9).sweep(oracle.dead);
                    oracle.dead = 0;
                    oracle.ghosts.clear();
                    world.check();
                }
                Act::HalfASweep { accesses } => {
                    let _ = crash::after(accesses, || world.table(9).sweep(oracle.dead));
                }
            }
            for key in 0..24 {
                let open = world.open(key);
                let (least, most) = (oracle.held(key), oracle.held(key) + oracle.ghosts(key) + oracle.dead.count_ones());
                prop_assert!((least..=most).contains(&open), "client {}: {} is not in {}..={}", key, open, least, most);
            }
        }
        world.table(9).sweep(oracle.dead);
        world.check();
        let mut seen = 0;
        world.table(9).for_each(|key, open| {
            seen += open;
            assert_eq!(open, oracle.held(key.bits()));
        });
        prop_assert_eq!(seen as usize, oracle.permits.len());
        for (_, _, lane) in oracle.permits {
            lane.release();
        }
        world.check_no_record_is_lost();
    }

    /// Whatever another program wrote, calls end and give some answer.
    #[test]
    fn calls_on_hostile_contents_end(words in prop::collection::vec(any::<u64>(), 128), calls in prop::collection::vec((0..20_u8, any::<u8>(), 1..4_u32), 1..60)) {
        let world = World::new(1);
        world.groups[0].overwrite(&words);
        let mut held = Vec::new();
        for (me, key, limit) in calls {
            // Half of the keys are those that the contents claim to have.
            let key = if key % 2 == 0 { u128::from(key) } else { world.groups[0].records().nth(usize::from(key) % RECORDS).unwrap().1.key().bits() };
            held.extend(world.acquire(me, key, limit));
            world.open(key);
            if key % 3 == 0 {
                held.pop().into_iter().for_each(Lane::release);
            }
            world.table(me).sweep(1 << me);
            world.table(me).for_each(|_, _| {});
        }
        held.into_iter().for_each(Lane::release);
    }
}
