//! Workers under load are killed at random moments.

use crate::child::Process;
use crate::{LIMIT, client, eventually, number, reap, small, trial};
use connlimit_shared::SharedLimiter;
use core::time::Duration;
use libtest_mimic::Trial;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::thread::sleep;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("random_kills_among_four_workers_leave_exact_counts", random),
        trial("workers_go_on_while_one_of_them_is_stopped_anywhere", stopped),
    ]
}

const WORKERS: usize = 4;
/// Each worker may have one connection more than is known.
const MAY_BE: u32 = 4;
/// More than there are records, so that places change hands; and few enough that clients reach their limit.
const CLIENTS: u32 = 24;

/// Four workers, and what is certainly known of their connections.
struct Crew {
    limiter: SharedLimiter,
    known: tempfile::NamedTempFile,
    workers: Vec<Process>,
    started: u64,
}

impl Crew {
    fn new() -> Self {
        let limiter = SharedLimiter::create_unnamed(&small()).unwrap();
        let known = tempfile::NamedTempFile::new_in("/dev/shm").unwrap();
        known.as_file().set_len(WORKERS as u64 * u64::from(CLIENTS) * 4).unwrap();
        let mut crew = Self { limiter, known, workers: Vec::new(), started: 0 };
        for number in 0..WORKERS {
            let worker = crew.start(number);
            crew.workers.push(worker);
        }
        crew
    }

    fn start(&mut self, number: usize) -> Process {
        self.started += 1;
        let settings = [
            ("NUMBER", number.to_string()),
            ("CLIENTS", CLIENTS.to_string()),
            ("KNOWN", self.known.path().display().to_string()),
            ("SEED", self.started.to_string()),
        ];
        let mut worker = Process::start("worker", &self.limiter, &settings);
        worker.line();
        worker
    }

    fn file(&self) -> &File {
        self.known.as_file()
    }

    /// The connections that worker certainly has; it may have one more of one client.
    fn known(&self, worker: usize, client: u32) -> u32 {
        let mut count = [0; 4];
        let at = (worker as u64 * u64::from(CLIENTS) + u64::from(client)) * 4;
        self.file().read_exact_at(&mut count, at).unwrap();
        u32::from_ne_bytes(count)
    }

    fn all(&self) -> Vec<u32> {
        (0..WORKERS)
            .flat_map(|worker| (0..CLIENTS).map(move |client| (worker, client)))
            .map(|(w, c)| self.known(w, c))
            .collect()
    }

    /// With all workers stopped: no limit is passed, no connection forgotten, nobody held up.
    fn audit(&self) {
        for number in 0..CLIENTS {
            let known: u32 = (0..WORKERS).map(|worker| self.known(worker, number)).sum();
            let open = self.limiter.open_connections(client(number));
            assert!(known <= LIMIT, "client {number}: {known} connections");
            assert!((known..=known + MAY_BE).contains(&open), "client {number}: {open} counted, {known} known");
            if let Ok(permit) = self.limiter.try_acquire(client(number)) {
                assert!(known < LIMIT, "client {number} has one more than its limit");
                drop(permit);
            }
        }
    }
}

fn random() {
    let kills = number("CONNLIMIT_KILLS", 60);
    let mut random = fastrand::Rng::with_seed(7);
    let mut crew = Crew::new();
    for _ in 0..kills {
        sleep(Duration::from_micros(random.u64(200..3000)));
        crew.workers.iter().for_each(Process::stop);
        crew.audit();
        let victim = random.usize(..WORKERS);
        crew.workers.remove(victim).kill();
        // The others go on while their dead colleague is swept after.
        crew.workers.iter().for_each(|worker| worker.signal(libc::SIGCONT));
        assert_eq!(reap(&crew.limiter).processes, 1);
        crew.forget(victim);
        let next = crew.start(victim);
        crew.workers.insert(victim, next);
    }
    crew.workers.drain(..).for_each(Process::kill);
    reap(&crew.limiter);
    assert_eq!(crew.limiter.stats().open_connections, 0);
    crate::check_no_record_is_lost(&crew.limiter);
    println!("{kills} workers killed at random among {WORKERS} running");
}

impl Crew {
    /// What was known of a worker that is gone.
    fn forget(&self, worker: usize) {
        let nothing = vec![0; CLIENTS as usize * 4];
        self.file().write_all_at(&nothing, worker as u64 * u64::from(CLIENTS) * 4).unwrap();
    }
}

fn stopped() {
    let crew = Crew::new();
    let mut random = fastrand::Rng::with_seed(8);
    for turn in 0..40 {
        let one = &crew.workers[turn % WORKERS];
        sleep(Duration::from_micros(random.u64(200..2000)));
        one.stop();
        // The counts of the others move.
        let before = crew.all();
        eventually("the others go on", || {
            let now = crew.all();
            (0..WORKERS).filter(|worker| *worker != turn % WORKERS).all(|worker| {
                let range = worker * CLIENTS as usize..(worker + 1) * CLIENTS as usize;
                now[range.clone()] != before[range]
            })
        });
        assert_eq!(reap(&crew.limiter).processes, 0, "whoever is stopped is not dead");
        one.signal(libc::SIGCONT);
    }
}
