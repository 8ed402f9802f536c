//! The script does what the ledger does.

#[path = "../../../tests/support/mod.rs"]
#[allow(clippy::std_instead_of_core, reason = "shared with the tests outside")]
mod support;

use super::{Redis, SCRIPT};
use crate::engine::{Engine, Entry, Key, Reply, Request, Rules};
use crate::protocol::ledger::Ledger;
use core::time::Duration;
use std::sync::Arc;
use support::Server;

/// The script, with time and server as the test says.
fn scripted() -> String {
    let time = "{redis.call('GET', 'test:seconds'), redis.call('GET', 'test:micros')}";
    let run = "'run_id:' .. redis.call('GET', 'test:run')";
    let script = SCRIPT.replace("redis.call('TIME')", time).replace("redis.call('INFO', 'server')", run);
    // Keys live by the server's time, which is not the test's.
    let script = script.replace("redis.call('PEXPIRE', notes .. id, ttl)", "");
    assert!(!script.contains("'TIME'") && !script.contains("'INFO'"), "the script asks in another way");
    script
}

#[tokio::test]
async fn the_script_and_the_ledger_answer_alike() {
    let Some(server) = Server::start(&[]) else { return };
    let mut engine = Redis::open(format!("redis://{}/", server.address())).unwrap().with_script(&scripted());
    let set = |values: &[(&str, String)]| {
        let flat = values.iter().flat_map(|(key, value)| [*key, value.as_str()]);
        server.command(&["MSET"].into_iter().chain(flat).collect::<Vec<_>>());
    };
    let mut random = fastrand::Rng::with_seed(17);
    let (mut kinds, mut grown, mut contended, mut excess) = ([0; 4], 0, 0, 0);
    for round in 0..12u64 {
        server.command(&["FLUSHALL"]);
        let mut ledger = Ledger::default();
        let (mut clock, mut run, mut sequence) = (1_000_000_000_000u64, 0, [0u64; 4]);
        let mut epochs: Vec<Arc<str>> = vec!["none".into()];
        let ttl = Duration::from_secs(1);
        let mut rules = Rules { pool: 9, seats: 2, share: 1, ttl, retention: ttl * 1_000_000 };
        for step in 0..250 {
            clock = match random.u32(..60) {
                0 => clock + 5000,
                1 => clock - 700,
                2 => clock - 100,
                _ => clock + random.u64(..120),
            };
            run += u32::from(random.u32(..60) == 0);
            if random.u32(..100) == 0 {
                rules.share = random.u32(1..=2);
            }
            rules.pool = *random.choice([9, 9, 9, 12].iter()).unwrap();
            let who = random.usize(..4);
            sequence[who] += random.u64(..20).min(1);
            let epoch = match random.u32(..10) {
                0..=2 => None,
                3 => random.choice(&epochs).cloned(),
                _ => epochs.last().cloned(),
            };
            let entry = |random: &mut fastrand::Rng| {
                let hold = random.u32(..4).saturating_sub(1);
                Entry { key: Key::new(&[b'k', random.u8(b'0'..b'3')]), hold, want: hold + random.u32(..6) }
            };
            let mut entries: Vec<_> = (0..random.usize(..3)).map(|_| entry(&mut random)).collect();
            entries.sort_by(|one, other| one.key.cmp(&other.key));
            entries.dedup_by(|one, other| one.key == other.key);
            let request = Request {
                session: format!("session-{who}").into(),
                epoch,
                sequence: sequence[who],
                end: random.u32(..30) == 0,
                rules,
                entries,
            };
            set(&[
                ("test:seconds", (clock / 1000).to_string()),
                ("test:micros", (clock % 1000 * 1000 + 999).to_string()),
                ("test:run", format!("run{run}")),
            ]);
            let expected = ledger.exchange(clock, &format!("run{run}").into(), &request);
            let mut answer = engine.exchange(&request, Duration::from_secs(20)).await.unwrap();
            if let Reply::Granted(granted) = &mut answer {
                granted.contended.sort();
                grown += granted.grants.iter().filter(|grant| grant.leased > 3).count();
                excess += granted.grants.iter().filter(|grant| grant.excess > 0).count();
                contended += granted.contended.len();
                if epochs.last() != Some(&granted.epoch) {
                    epochs.push(Arc::clone(&granted.epoch));
                }
            }
            kinds[match &answer {
                Reply::Granted(_) => 0,
                Reply::Unknown => 1,
                Reply::Overtaken => 2,
                Reply::OtherRules { .. } => 3,
            }] += 1;
            assert_eq!(answer, expected, "round {round}, step {step}: {request:?}");
        }
    }
    // Everything was met.
    assert!(kinds.iter().all(|&met| met > 20), "{kinds:?}");
    assert!(grown > 20 && contended > 20 && excess > 20, "{grown}, {contended}, {excess}");
}
