//! All states of the table's protocol: every interleaving of a few processes and a sweeper, one shared access at a time,
//! with a death of any of them after any access.
//!
//! This is about the protocol and not about the source: memory is sequentially consistent here. What weaker memory adds
//! is for the models (`src/table/tests/models.rs`); that real processes do the same, for `tests/processes`.
//!
//! In every state: no limit is passed; a client has one record; a permit's record is its client's; a lane counts at least
//! what is held; and *each process, if it alone goes on, ends its operation*: nobody waits for anybody. When all is done
//! and the dead are swept after, all counts are exact and no record is lost.
//!
//! The planted faults are those that a first sketch of the protocol had, and others of their kind. Each must be found.
//! The large configurations run when asked for: `cargo test --release --test explorer -- --ignored`.

mod protocol;
mod search;

use protocol::{Fault, Op, Protocol};
use search::explore;

const A: Op = Op::Acquire(1);
const B: Op = Op::Acquire(2);
const C: Op = Op::Acquire(3);
const END: Op = Op::Release;

/// There are two records.
fn protocol(programs: &[&'static [Op]], limit: u8, deaths: u8) -> Protocol {
    Protocol { programs: programs.to_vec(), limit, deaths, sweeper_deaths: deaths.min(1), fault: Fault::None }
}

fn holds(name: &str, protocol: &Protocol) {
    let states = explore(protocol).unwrap_or_else(|fault| panic!("{name}: {fault}"));
    println!("{name}: {states} states, all hold");
    assert!(states > 1000, "{name}: {states} states are not all");
}

const CROSSED: [&[Op]; 2] = [&[A, END, B, END], &[A, B, END, END]];
const THREE_CLIENTS: [&[Op]; 2] = [&[A, END, B, END], &[C, END, A, END]];
const REUSE: [&[Op]; 3] = [&[A, END, A], &[B, END, C], &[C]];
const THREE: [&[Op]; 3] = [&[A, END, B], &[A, END], &[C]];

#[test]
fn two_processes_with_two_clients() {
    holds("two processes, two clients", &protocol(&CROSSED, 1, 0));
    holds("the same, limit 2", &protocol(&CROSSED, 2, 0));
}

#[test]
fn two_processes_one_of_which_may_die() {
    holds("two processes, two clients, one death", &protocol(&CROSSED, 1, 1));
}

#[test]
fn three_clients_for_two_records() {
    holds("three clients for two records", &protocol(&THREE_CLIENTS, 1, 0));
    holds("the same, one death", &protocol(&[&[A, END, B], &[C]], 1, 1));
}

#[test]
#[ignore = "large: some minutes"]
fn large_two_processes_that_may_die() {
    holds("two processes, limit 2, one death", &protocol(&CROSSED, 2, 1));
    holds("three clients for two records, one death", &protocol(&THREE_CLIENTS, 1, 1));
    holds("three clients for two records, both die", &protocol(&THREE_CLIENTS, 1, 2));
}

#[test]
#[ignore = "large: some minutes"]
fn large_three_processes() {
    holds("three processes, a place is used again", &protocol(&REUSE, 1, 0));
}

#[test]
#[ignore = "large: many minutes and gigabytes"]
fn large_three_processes_one_of_which_may_die() {
    holds("three processes, one death", &protocol(&THREE, 1, 1));
}

/// Plants a fault and expects it to be found.
fn found(fault: Fault, planted: Protocol) {
    match explore(&Protocol { fault, ..planted }) {
        Err(violation) => println!("{fault:?}: {violation}"),
        Ok(states) => panic!("{fault:?} was not found in {states} states"),
    }
}

#[test]
fn planted_faults_of_healthy_processes_are_found() {
    found(Fault::NoVersion, protocol(&CROSSED, 1, 0));
    found(Fault::NoCancel, protocol(&REUSE, 1, 0));
    found(Fault::NoLookAfterRaise, protocol(&REUSE, 1, 0));
    found(Fault::TakeWithoutDying, protocol(&REUSE, 1, 0));
    found(Fault::NoUndo, protocol(&REUSE, 1, 0));
}

#[test]
#[ignore = "large: half a minute without optimisation"]
fn planted_faults_that_are_rare_are_found() {
    found(Fault::CancelProvesTheKey, protocol(&REUSE, 1, 0));
    found(Fault::OldBitTakes, protocol(&THREE, 1, 1));
}

#[test]
fn planted_faults_that_show_when_a_process_dies_are_found() {
    found(Fault::OldBitFinds, protocol(&THREE_CLIENTS, 1, 1));
    found(Fault::SweepStores, protocol(&THREE_CLIENTS, 1, 1));
    found(Fault::SweepLeavesDying, protocol(&THREE_CLIENTS, 1, 1));
}
