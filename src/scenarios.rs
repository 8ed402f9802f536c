//! Scenarios for shuttle: more threads, clients and steps than loom can explore, under random schedules.
//!
//! Shuttle runs the threads of an execution one at a time and chooses at each atomic access and lock who goes on: by lot,
//! or by priorities that change at a few moments (PCT: who has come far waits long, as most faults want it). All accesses
//! are sequentially consistent here, whatever they say. So this is about protocols; orderings are loom's, in
//! `table::models`. The epoch is the ideal one, and what is freed too early or never is seen by
//! [`Life`](crate::sync::Life).
//!
//! Segments have four bins, bins two slots and two more in overflow: a few clients make a table grow, drain and shrink.
//! Where a client is, a key drawn by the schedule says.

mod ledger;
mod world;

use crate::epoch::{PinNow, pin};
use crate::sync::{self, living};
use crate::table::{CountGuard, Key, Refusal, Table};
use crate::{Config, Rejected};
use core::hash::BuildHasher;
use ledger::{Answer, Ledger};
use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{FailurePersistence, Runner, thread};
use std::hash::RandomState;
use std::sync::{Arc, Mutex};
use std::time::Instant;
use world::{Guest, World, addr};

/// Runs `scenario` under many schedules (`SHUTTLE_ITERATIONS` of each kind). It says how far it got; at least once that
/// has to be `goal`, or it has not met what it is about. With the seed that is printed (`SHUTTLE_RANDOM_SEED`), the
/// schedules are the same again.
fn explore(name: &str, goal: u64, scenario: fn() -> u64) {
    fn env<T: core::str::FromStr>(name: &str) -> Option<T> {
        std::env::var(name).ok()?.parse().ok()
    }
    let iterations = env("SHUTTLE_ITERATIONS").unwrap_or(10_000);
    let seed = env("SHUTTLE_RANDOM_SEED").unwrap_or_else(|| RandomState::new().hash_one(name));
    let mut config = shuttle::Config::new();
    config.stack_size = 1 << 18;
    config.silence_warnings = true;
    config.failure_persistence = FailurePersistence::None;
    eprintln!("scenario {name}: seed {seed}");
    let start = Instant::now();
    let furthest = Arc::new(Mutex::new(0));
    let mine = Arc::clone(&furthest);
    let run = move || {
        living::take();
        let reached = scenario();
        assert_eq!(living::take(), 0, "never freed");
        let mut furthest = mine.lock().unwrap();
        *furthest = reached.max(*furthest);
    };
    let by_lot = Runner::new(RandomScheduler::new_from_seed(seed, iterations), config.clone());
    let by_priority = Runner::new(PctScheduler::new_from_seed(seed, PREEMPTIONS + 1, iterations), config);
    let schedules = by_lot.run(run.clone()) + by_priority.run(run);
    let furthest = *furthest.lock().unwrap();
    eprintln!("scenario {name}: {schedules} schedules, reached {furthest}, in {:.1?}", start.elapsed());
    assert!(furthest >= goal, "reached {furthest} of {goal}: the scenario does not meet what it is about");
}

/// Moments at which a PCT schedule changes who goes first.
const PREEMPTIONS: usize = 3;

/// Runs `visitors` threads, and `another` beside them; what the visitors return.
fn together<T: Send>(visitors: usize, visit: impl Fn() -> Vec<T> + Sync, another: impl FnOnce() + Send) -> Vec<T> {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..visitors).map(|_| scope.spawn(&visit)).collect();
        scope.spawn(another);
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

/// Clients come and go, and one stays, while the table grows by levels, drains, and shrinks again.
#[test]
fn clients_come_and_go_while_the_table_grows_and_shrinks() {
    explore("growth", 3, || {
        let world = World::new(Config::new(thread_rng().gen_range(1..=3)));
        let stays = world.acquire(10);
        let another = || {
            for _ in 0..2 {
                world.limiter.reclaim();
                let seen = world.limiter.clients().filter(|seen| seen.client == addr(10).into());
                assert_eq!(seen.map(|seen| seen.open_connections).collect::<Vec<_>>(), [1], "who stays is seen once");
            }
        };
        let guests = together(4, || world.visit(0..10, 9), another);
        world.check(0..11);
        let levels = world.limiter.stats().v4.levels;
        drop((guests, stays));
        world.check(0..11);
        world.limiter.reclaim();
        let left = world.limiter.stats().v4;
        assert_eq!((left.levels, left.clients), (1, 0), "all that remains is one level");
        levels
    });
}

/// What was admitted under one configuration counts under the next; a call that starts after `set_config` returned
/// decides by the new one.
#[test]
fn limits_change_while_clients_come_and_go() {
    explore("limits", 3, || {
        let world = World::new(Config::new(1));
        let change = || {
            for limit in [3, 1, 2] {
                world.clients().change(limit, || world.limiter.set_config(Config::new(limit)).unwrap());
                drop(world.acquire(0));
            }
        };
        let guests = together(3, || world.visit(0..2, 8), change);
        world.check(0..2);
        let most = world.limiter.top(1).first().map_or(0, |client| client.open_connections);
        drop(guests);
        world.check(0..2);
        most.into()
    });
}

/// At the bound of memory new clients are refused, and nobody else; and what is no longer used comes back.
#[test]
fn a_full_table_refuses_only_new_clients() {
    const SLOTS: u64 = 8;
    const OVERFLOW: usize = size_of::<<u32 as Key>::Overflow>();
    explore("memory", 3, || {
        let smallest = Table::<u32>::SMALLEST;
        let bound = if thread_rng().gen_bool(0.5) { smallest + 2 * OVERFLOW } else { 7 * smallest };
        let table = Table::<u32>::new(bound, false).unwrap();
        let (ledger, refused) = (Ledger::new(2), Mutex::new(0));
        let visit = || {
            let mut guests: Vec<Guest<CountGuard>> = Vec::new();
            for _ in 0..10 {
                let client = thread_rng().gen_range(0..14);
                let attempt = ledger.call(client);
                match table.acquire(client, 2, PinNow) {
                    Ok((held, _)) => {
                        ledger.answer(attempt, Answer::Admitted);
                        guests.push(Guest { held: Some(held), entries: vec![(Arc::clone(&ledger), attempt)] });
                    }
                    Err(Refusal::AtLimit) => ledger.answer(attempt, Answer::Refused),
                    Err(Refusal::Full) => {
                        ledger.answer(attempt, Answer::Full);
                        *refused.lock().unwrap() += 1;
                        assert!(table.census().reserved_bytes <= bound as u64);
                    }
                }
                if guests.len() > 3 {
                    guests.swap_remove(thread_rng().gen_range(0..guests.len()));
                }
            }
            guests
        };
        let guests = together(3, visit, || table.reclaim());
        ledger.verify();
        for client in 0..14 {
            assert_eq!(table.open(client, &pin()), ledger.held(client));
        }
        drop(guests);
        for client in 14..40 {
            let soon = (0..8).any(|_| table.acquire(client, 1, PinNow).is_ok());
            assert!(soon, "places without connections are used again");
        }
        table.reclaim();
        let left = table.census();
        let overflows = left.slots.saturating_sub(SLOTS) / 2;
        assert_eq!((left.levels, left.open_connections), (1, 0));
        assert_eq!(left.reserved_bytes, smallest as u64 + overflows * OVERFLOW as u64, "all else has come back");
        refused.into_inner().unwrap()
    });
}

/// The last handle goes in one thread, while permits are released in threads that they did not come from.
#[test]
fn the_limiter_goes_while_permits_change_threads() {
    explore("the end", 3, || {
        let total = thread_rng().gen_bool(0.5);
        let config = Config::new(2);
        let world =
            Arc::new(World::new(if total { config.with_max_total(crate::config::Limit::Unlimited) } else { config }));
        let sent = sync::Mutex::new(Vec::new());
        thread::scope(|scope| {
            for _ in 0..4 {
                let world = Arc::clone(&world);
                scope.spawn(|| {
                    let guests = world.visit(0..8, 6);
                    drop(world);
                    for guest in guests {
                        let other = {
                            let mut sent = sent.lock().unwrap();
                            sent.push(guest);
                            let one = thread_rng().gen_range(0..sent.len() * 2);
                            (one < sent.len()).then(|| sent.swap_remove(one))
                        };
                        drop(other);
                    }
                });
            }
            drop(world);
        });
        sent.into_inner().unwrap().len() as u64
    });
}

/// There is room for the total from the first connections on, however many ask at once.
#[test]
fn first_connections_meet_at_the_total() {
    explore("first", 4, || {
        let world = World::new(Config::new(2).with_max_total(4)).with(4, Rejected::TotalLimit, |_| 0);
        let client = Mutex::new(0..5);
        let next = || client.lock().unwrap().next().unwrap();
        let guests = together(4, || world.acquire(next()).into_iter().collect(), || drop(world.acquire(4)));
        world.check(0..5);
        guests.len() as u64
    });
}

/// All or nothing, where three limits have to agree.
#[test]
fn a_client_its_network_and_the_total_agree() {
    explore("tiers", 5, || {
        let world = World::new(Config::new(2).with_tier(31, 128, 3).unwrap().with_max_total(5))
            .with(3, Rejected::TierLimit, |client| client / 2)
            .with(5, Rejected::TotalLimit, |_| 0);
        let guests = together(3, || world.visit(0..6, 7), || drop(world.acquire(0)));
        world.check(0..6);
        let open = guests.len();
        drop(guests);
        world.check(0..6);
        open as u64
    });
}

/// A session stays pinned, lets go and pins again, while places change hands around it.
#[test]
fn sessions_meet_clients_that_pass_through_zero() {
    explore("sessions", 2, || {
        let world = World::new(Config::new(2));
        // Few share their places in turn; more make the table grow, and what the session looks into is freed.
        let most = if thread_rng().gen_bool(0.5) { 3 } else { 9 };
        let stay = Mutex::new(Vec::new());
        let pinned = || {
            let mut session = world.limiter.batch();
            let turns = thread_rng().gen_range(1..16);
            let guests = world.visit_by(0..most, turns, |client| session.try_acquire(client));
            stay.lock().unwrap().extend(guests);
        };
        let churn = || {
            (0..5).for_each(|_| drop(world.acquire(thread_rng().gen_range(0..most))));
            world.limiter.reclaim();
            world.acquire(thread_rng().gen_range(0..most)).into_iter().collect()
        };
        let guests = (together(2, churn, pinned), stay);
        world.check(0..most);
        let dead = world.limiter.stats().v4.dead;
        drop(guests);
        world.check(0..most);
        dead
    });
}
