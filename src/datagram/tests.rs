use super::*;
use crate::Config;
use crate::sync::{Mutex, lock};
use core::net::Ipv4Addr;
use proptest::prelude::*;
use std::collections::HashMap;
use std::thread;

const VICTIM: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const LIMIT: u32 = 2;
const PLACES: u8 = 2;
const HOLD: Duration = Duration::from_millis(10);
/// Miri is slow.
const EVENTS: usize = if cfg!(miri) { 15 } else { 200 };

fn addr(client: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 51, 100, client)
}

/// What happens to a gate. The numbers choose among what is there.
#[derive(Clone, Debug)]
enum Event {
    Arrives { client: u8, validated: bool },
    Completes(usize),
    Fails(usize),
    Closes(usize),
    Passes { millis: u64 },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..3_u8, any::<bool>()).prop_map(|(client, validated)| Event::Arrives { client, validated }),
        2 => any::<usize>().prop_map(Event::Completes),
        1 => any::<usize>().prop_map(Event::Fails),
        2 => any::<usize>().prop_map(Event::Closes),
        1 => (1..15_u64).prop_map(|millis| Event::Passes { millis }),
    ]
}

/// What a gate should know, as plainly as it can be said.
#[derive(Default)]
struct Oracle {
    open: HashMap<u8, u32>,
    /// Until when each place that is taken is taken.
    taken: Vec<Instant>,
}

impl Oracle {
    fn connect(&mut self, client: u8) -> bool {
        let open = self.open.entry(client).or_default();
        let admitted = *open < LIMIT;
        *open += u32::from(admitted);
        admitted
    }

    fn take_place(&mut self, client: u8, now: Instant) -> bool {
        self.taken.retain(|&until| until > now);
        let has_room = self.open.get(&client).is_none_or(|&open| open < LIMIT);
        let free = has_room && self.taken.len() < PLACES.into();
        if free {
            self.taken.push(now + HOLD);
        }
        free
    }

    fn give_back(&mut self, until: Instant, now: Instant) {
        if until > now {
            let place = self.taken.iter().position(|&taken| taken == until).unwrap();
            self.taken.swap_remove(place);
        }
    }
}

fn choose<T>(from: &mut Vec<T>, number: usize) -> Option<T> {
    (!from.is_empty()).then(|| from.swap_remove(number % from.len()))
}

proptest! {
    #[test]
    fn a_gate_decides_as_the_oracle_does(events in proptest::collection::vec(event(), 1..EVENTS)) {
        let gate = Gate::new(Limiter::new(Config::new(LIMIT))).with_unvalidated_handshakes(PLACES, HOLD);
        let mut oracle = Oracle::default();
        // The places count from their own start: a little later than that.
        let mut now = Instant::now();
        let (mut handshakes, mut connections) = (Vec::new(), Vec::new());
        for event in events {
            match event {
                Event::Arrives { client, validated: true } => match gate.decide(addr(client), true) {
                    Verdict::Admit(permit) => {
                        prop_assert!(oracle.connect(client));
                        connections.push((client, permit));
                    }
                    Verdict::Reject(reason) => {
                        prop_assert!(!oracle.connect(client));
                        prop_assert_eq!(reason, Rejected::ClientLimit);
                    }
                    other => prop_assert!(false, "{:?}", other),
                },
                Event::Arrives { client, validated: false } => {
                    match gate.decide_unvalidated(addr(client).into(), now) {
                        Verdict::AdmitUnvalidated(place) => {
                            prop_assert!(oracle.take_place(client, now));
                            prop_assert_eq!(place.client(), addr(client).into());
                            prop_assert_eq!(place.deadline(), now + HOLD);
                            handshakes.push((client, place));
                        }
                        Verdict::Validate => prop_assert!(!oracle.take_place(client, now)),
                        other => prop_assert!(false, "{:?}", other),
                    }
                }
                Event::Completes(number) => {
                    let Some((client, place)) = choose(&mut handshakes, number) else { continue };
                    oracle.give_back(place.deadline(), now);
                    match place.confirm_at(now) {
                        Ok(permit) => {
                            prop_assert!(oracle.connect(client));
                            connections.push((client, permit));
                        }
                        Err(reason) => {
                            prop_assert!(!oracle.connect(client));
                            prop_assert_eq!(reason, Rejected::ClientLimit);
                        }
                    }
                }
                Event::Fails(number) => drop(choose(&mut handshakes, number)),
                Event::Closes(number) => {
                    let Some((client, permit)) = choose(&mut connections, number) else { continue };
                    *oracle.open.get_mut(&client).unwrap() -= 1;
                    drop(permit);
                }
                Event::Passes { millis } => now += Duration::from_millis(millis),
            }
            for client in 0..3 {
                let open = oracle.open.get(&client).copied().unwrap_or_default();
                prop_assert_eq!(gate.limiter().open_connections(addr(client)), open);
            }
        }
    }
}

#[test]
fn packets_that_name_a_victim_leave_no_trace() {
    // All that one packet could use up has room for one.
    let config = Config::new(1).with_max_total(1).with_tier(24, 64, 1).unwrap();
    let limiter = Limiter::new(config.with_counting(true));
    let gate = Gate::new(limiter.clone());
    let before = limiter.stats();
    for packet in 0..if cfg!(miri) { 100 } else { 100_000 } {
        let named = if packet % 2 == 0 { VICTIM } else { Ipv4Addr::from_bits(packet) };
        assert!(matches!(gate.decide(named, false), Verdict::Validate));
    }
    assert_eq!(format!("{:?}", limiter.stats()), format!("{before:?}"), "nothing was counted, nothing allocated");
    assert!(matches!(gate.decide(VICTIM, true), Verdict::Admit(_)));
}

#[test]
fn a_client_at_its_limit_is_not_rejected_by_packets_that_it_may_not_have_sent() {
    let gate = Gate::new(Limiter::new(Config::new(1)));
    let Verdict::Admit(permit) = gate.decide(VICTIM, true) else { panic!("it has none") };
    assert!(matches!(gate.decide(VICTIM, false), Verdict::Validate));
    assert!(matches!(gate.decide(VICTIM, true), Verdict::Reject(Rejected::ClientLimit)));
    drop(permit);
}

#[test]
fn threads_get_each_place_once() {
    const THREADS: usize = 8;
    const EACH: usize = if cfg!(miri) { 20 } else { 2_000 };
    let gate = Gate::new(Limiter::new(Config::new(1))).with_unvalidated_handshakes(100, Duration::MAX);
    let taken: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let gate = gate.clone();
                scope.spawn(move || {
                    (0..EACH).filter(|_| matches!(gate.decide(VICTIM, false), Verdict::AdmitUnvalidated(_))).count()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(taken, 100, "dropped places stay taken");
}

#[test]
fn places_that_are_confirmed_are_never_more_at_once_than_there_are() {
    const EACH: usize = if cfg!(miri) { 10 } else { 2_000 };
    let gate = Gate::new(Limiter::new(Config::new(crate::config::Limit::Unlimited)))
        .with_unvalidated_handshakes(3, Duration::MAX);
    let out = Mutex::new(0);
    let confirmed: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut confirmed = 0;
                    for _ in 0..EACH {
                        if let Verdict::AdmitUnvalidated(place) = gate.decide(VICTIM, false) {
                            let now_out = {
                                let mut out = lock(&out);
                                *out += 1;
                                *out
                            };
                            assert!(now_out <= 3, "more handshakes than places");
                            thread::yield_now();
                            *lock(&out) -= 1;
                            drop(place.confirm().unwrap());
                            confirmed += 1;
                        }
                    }
                    confirmed
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert!(confirmed >= 3, "places come back: {confirmed}");
    let places = (0..4).filter(|_| matches!(gate.decide(VICTIM, false), Verdict::AdmitUnvalidated(_))).count();
    assert_eq!(places, 3, "and none is lost");
    assert_eq!(gate.limiter().open_connections(VICTIM), 0);
}

#[test]
fn a_handshake_that_is_rejected_in_the_end_gives_its_place_back() {
    let gate = Gate::new(Limiter::new(Config::new(1))).with_unvalidated_handshakes(1, Duration::MAX);
    let Verdict::AdmitUnvalidated(place) = gate.decide(VICTIM, false) else { panic!("there is a place") };
    let Verdict::Admit(permit) = gate.decide(VICTIM, true) else { panic!("it has none") };
    assert_eq!(place.confirm().unwrap_err(), Rejected::ClientLimit);
    assert!(matches!(gate.decide(VICTIM, false), Verdict::Validate), "no place for a client at its limit");
    assert!(matches!(gate.decide(addr(1), false), Verdict::AdmitUnvalidated(_)));
    drop(permit);
}

#[test]
fn a_place_lasts_as_long_as_a_clock_can_say() {
    for hold in [Duration::ZERO, Duration::from_secs(10), Duration::MAX] {
        let gate = Gate::new(Limiter::new(Config::new(1))).with_unvalidated_handshakes(1, hold);
        let before = Instant::now();
        let Verdict::AdmitUnvalidated(place) = gate.decide(VICTIM, false) else { panic!("there is a place") };
        assert!(place.deadline() > before, "{hold:?}");
    }
}
