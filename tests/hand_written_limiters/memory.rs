//! What the table lets go.

use connlimit::{Config, Limiter};
use core::net::Ipv6Addr;
use core::time::Duration;
use std::thread;

/// Entries are added and never removed: the limiter itself is what runs the server out of memory.
#[test]
fn clients_that_are_gone_take_no_memory() {
    let config = Config::new(1).with_table_memory(1 << 20);
    let limiter = Limiter::new(config);
    let before = resident_bytes();
    for number in 0..1_000_000 {
        let addr = Ipv6Addr::from_bits(0x2001_0db8_u128 << 96 | number << 64);
        // At its bound a table may need a moment to clear away who left.
        let admitted = (0..10_000).any(|patience| {
            let admitted = limiter.try_acquire(addr).is_ok();
            if !admitted && patience > 100 {
                thread::sleep(Duration::from_millis(1));
            }
            admitted
        });
        assert!(admitted, "client {number} finds the table full of clients that are gone");
    }
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes more for a table of 1 MiB");
}

/// Memory of this process that is in use, the other tests' included.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.expect("a line about it").trim().trim_end_matches(" kB");
    number.parse::<usize>().expect("a number of KiB") * 1024
}
