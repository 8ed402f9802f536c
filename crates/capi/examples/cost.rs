//! What `tests/c/cost.c` does, in Rust: for counting the instructions that the C ABI adds.

use connlimit::{Config, Limiter};
use core::hint::black_box;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

fn main() {
    let mut args = std::env::args().skip(1);
    let call = args.next().unwrap_or_default();
    let n: u64 = args.next().and_then(|n| n.parse().ok()).unwrap_or_default();
    let v4 = IpAddr::from(Ipv4Addr::new(192, 0, 2, 1));
    let v6 = IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
    let limiter = Limiter::new(Config::new(if call.starts_with("reject") { 1 } else { 2 }));
    let _held = (limiter.try_acquire(v4), limiter.try_acquire(v6));
    match call.as_str() {
        "acquire_ip" | "acquire_sockaddr" => (0..n).for_each(|_| acquire(&limiter, black_box(v4))),
        "acquire_ip6" => (0..n).for_each(|_| acquire(&limiter, black_box(v6))),
        "reject_ip" | "reject_sockaddr" => (0..n).for_each(|_| reject(&limiter, black_box(v4))),
        "reject_ip6" => (0..n).for_each(|_| reject(&limiter, black_box(v6))),
        "open_ip" => (0..n).for_each(|_| {
            black_box(limiter.open_connections(black_box(v4)));
        }),
        _ => {}
    }
}

fn acquire(limiter: &Limiter, client: IpAddr) {
    drop(black_box(limiter.try_acquire(client).expect("room for one")));
}

fn reject(limiter: &Limiter, client: IpAddr) {
    assert!(black_box(limiter.try_acquire(client)).is_err());
}
