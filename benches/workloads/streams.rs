//! The clients of each thread, in the order in which they connect.

use super::{Crowd, OWN_SPACING, OWN_STRIDE};
use crate::peers::client;
use core::net::Ipv4Addr;
use rand::{SeedableRng, rngs::SmallRng};
use rand_distr::{Distribution, Uniform, Zipf};
use std::collections::HashMap;
use std::sync::Arc;

pub(crate) type Stream = Arc<[Ipv4Addr]>;

/// Draws the streams of random crowds once, since all peers and rounds share them.
pub(crate) struct Streams {
    length: usize,
    drawn: HashMap<(Crowd, u32), Stream>,
}

impl Streams {
    /// Random streams repeat after `length` clients. It should exceed the operations of one measurement, or a large
    /// crowd becomes a small one.
    pub(crate) fn new(length: usize) -> Self {
        Self { length, drawn: HashMap::new() }
    }

    /// The streams of `threads` threads.
    pub(crate) fn of(&mut self, crowd: Crowd, threads: usize) -> Vec<Stream> {
        (0..u32::try_from(threads).expect("few threads"))
            .map(|thread| {
                let drawn = self.drawn.entry((crowd, thread));
                Arc::clone(drawn.or_insert_with(|| draw(crowd, thread, self.length)))
            })
            .collect()
    }
}

fn draw(crowd: Crowd, thread: u32, length: usize) -> Stream {
    let random = SmallRng::seed_from_u64(u64::from(thread));
    match crowd {
        Crowd::Own(clients) => (0..clients).map(|index| client(thread * OWN_SPACING + index * OWN_STRIDE)).collect(),
        Crowd::One => Arc::new([client(0)]),
        Crowd::Uniform(clients) => Uniform::new(0, clients)
            .expect("a crowd is not empty")
            .sample_iter(random)
            .map(client)
            .take(length)
            .collect(),
        Crowd::Zipf(clients) => Zipf::new(f64::from(clients), 1.0)
            .expect("a crowd is not empty")
            .sample_iter(random)
            .map(|rank| client(scatter(rank, clients)))
            .take(length)
            .collect(),
    }
}

/// Spreads the ranks over the addresses, one to one, so that popular clients are not neighbours.
fn scatter(rank: f64, clients: u32) -> u32 {
    /// Prime, and above any number of clients, so it has no factor in common with one.
    const STEP: u64 = 4_294_967_291;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank is a whole number from 1 to `clients`, and a remainder by a u32 is one"
    )]
    let index = (rank as u64 * STEP % u64::from(clients)) as u32;
    index
}
