//! The region of `connlimit-shared`, as a hostile program may leave it or change it between any two calls: opening gives a
//! typed error or a limiter, and calls end and give some answer.

#![no_main]

use connlimit_shared::{Limits, SharedConfig, SharedLimiter, SharedPermit};
use libfuzzer_sys::fuzz_target;
use std::fs::File;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::FileExt as _;

fuzz_target!(|data: &[u8]| {
    let config = SharedConfig::new(Limits::new(3)).with_clients(6).with_processes(20);
    let limiter = SharedLimiter::create_unnamed(&config).unwrap();
    let file = File::from(limiter.descriptor().unwrap());
    let size = config.memory().unwrap() as u64;
    let mut other = None;
    let mut permits: Vec<SharedPermit> = Vec::new();
    // Each step is twelve bytes: what to do, where, and with which word.
    for step in data.chunks_exact(12).take(64) {
        let (what, place) = (step[0], u64::from(step[1]) << 8 | u64::from(step[2]));
        let word = u64::from_le_bytes(step[4..].try_into().unwrap());
        let now = other.as_ref().filter(|_| step[3] % 2 == 1).unwrap_or(&limiter);
        let v4 = Ipv4Addr::from_bits(u32::from(step[4] % 32));
        match what % 8 {
            // Twice as often: the head, and the groups.
            0 => file.write_all_at(&word.to_ne_bytes(), place % 90 * 8).unwrap(),
            1 | 2 => file.write_all_at(&word.to_ne_bytes(), (4096 + place * 8) % (size - 8)).unwrap(),
            3 => permits.extend(now.try_acquire(v4)),
            4 => permits.extend(now.try_acquire_within(Ipv6Addr::from_bits(word.into()), u32::from(step[3]))),
            5 => drop(permits.pop()),
            6 => match SharedLimiter::open_descriptor(&file, &config) {
                Ok(opened) => other = Some(opened),
                Err(error) => assert!(!error.to_string().is_empty()),
            },
            _ => {
                drop(now.reap());
                let (stats, top) = (now.stats(), now.top(5));
                assert!(stats.processes.len() <= 20 && top.len() <= 5);
                now.open_connections(v4);
                now.named(word.to_ne_bytes());
                now.set_limits(Limits::new(step[4].into()));
            }
        }
    }
    // A limiter that counts something keeps its file until the process ends, and hostile contents may say that it does.
    drop(permits);
    file.write_all_at(&vec![0; size as usize - 4096], 4096).unwrap();
});
