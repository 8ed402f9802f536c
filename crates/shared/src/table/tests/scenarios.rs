//! Scenarios: shuttle runs four processes that admit, release, die and are swept after, under many random schedules. Larger
//! than a model can be; memory is sequentially consistent here.

use super::*;
use crate::sync::crash;
use shuttle::rand::{Rng as _, thread_rng};
use shuttle::sync::atomic::{AtomicU32, Ordering::SeqCst};
use shuttle::sync::{Arc, Mutex};
use shuttle::thread;

const PROCESSES: u8 = 4;
const CLIENTS: u32 = 20;
const LIMIT: u32 = 2;

struct Shared {
    world: World,
    /// Permits that are certainly out.
    out: [AtomicU32; CLIENTS as usize],
    sweeper: Mutex<()>,
}

/// One process: some admissions and releases, and perhaps a death in the middle of one. It is swept after then, while the
/// others go on.
fn process(shared: &Shared, me: u8) {
    let mut held = Vec::new();
    for _ in 0..6 {
        let client = thread_rng().gen_range(0..CLIENTS);
        let out = &shared.out[client as usize];
        if thread_rng().gen_range(0..8) == 0 {
            let accesses = thread_rng().gen_range(0..40);
            drop(crash::after(accesses, || shared.world.acquire(me, client.into(), LIMIT).is_ok()));
            // All its permits are gone before anybody can have their places.
            for (client, _) in held.drain(..) {
                shared.out[client as usize].fetch_sub(1, SeqCst);
            }
            let _alone = shared.sweeper.lock().unwrap();
            if thread_rng().gen_range(0..3) == 0 {
                // The sweeper dies as well.
                drop(crash::after(thread_rng().gen_range(0..60), || shared.world.table(me).sweep(1 << me)));
            }
            shared.world.table(me).sweep(1 << me);
        } else if thread_rng().gen_range(0..3) > 0 {
            if let Ok(lane) = shared.world.acquire(me, client.into(), LIMIT) {
                assert!(out.fetch_add(1, SeqCst) < LIMIT, "over the limit");
                held.push((client, lane));
            }
        } else if let Some((client, lane)) = held.pop() {
            let lane: Lane<'_> = lane;
            shared.out[client as usize].fetch_sub(1, SeqCst);
            lane.release();
        }
    }
    for (client, lane) in held {
        shared.out[client as usize].fetch_sub(1, SeqCst);
        lane.release();
    }
}

#[test]
fn scenarios_of_four_processes_that_may_die() {
    let iterations = std::env::var("SHUTTLE_ITERATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000);
    shuttle::check_random(
        || {
            let shared = Arc::new(Shared {
                world: World::new(1),
                out: std::array::from_fn(|_| AtomicU32::new(0)),
                sweeper: Mutex::new(()),
            });
            // Most places are taken, so that they change hands.
            let full: Vec<_> = (100..111).map(|client| shared.world.acquire(9, client, 1).unwrap()).collect();
            let processes: Vec<_> = (0..PROCESSES)
                .map(|me| {
                    let shared = Arc::clone(&shared);
                    thread::spawn(move || process(&shared, me))
                })
                .collect();
            processes.into_iter().for_each(|process| process.join().unwrap());
            shared.world.check();
            assert!((0..CLIENTS).all(|client| shared.world.open(client.into()) == 0));
            full.into_iter().for_each(Lane::release);
            shared.world.check_no_record_is_lost();
        },
        iterations,
    );
    println!("{iterations} schedules");
}
