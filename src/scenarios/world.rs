//! A limiter, and ledgers that know what it should say.

use super::ledger::{Answer, Ledger};
use crate::epoch::pin;
use crate::{Config, Limiter, Permit, Rejected};
use core::net::Ipv4Addr;
use core::ops::Range;
use shuttle::rand::{Rng, thread_rng};
use std::sync::Arc;

/// What is counted under each limit of a limiter.
pub(super) struct World {
    pub(super) limiter: Limiter,
    books: Vec<Book>,
}

struct Book {
    ledger: Arc<Ledger>,
    key: fn(u32) -> u32,
    refusal: Rejected,
}

/// A connection that the ledgers know of.
pub(super) struct Guest<T> {
    pub(super) held: Option<T>,
    pub(super) entries: Vec<(Arc<Ledger>, usize)>,
}

impl<T> Drop for Guest<T> {
    fn drop(&mut self) {
        self.entries.iter().for_each(|(ledger, attempt)| ledger.releasing(*attempt));
        drop(self.held.take());
        self.entries.iter().for_each(|(ledger, attempt)| ledger.released(*attempt));
    }
}

pub(super) fn addr(client: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(client)
}

impl World {
    pub(super) fn new(config: Config) -> Self {
        let clients = Book {
            ledger: Ledger::new(config.max_per_client().count()),
            key: |client| client,
            refusal: Rejected::ClientLimit,
        };
        Self { limiter: Limiter::new(config), books: vec![clients] }
    }

    pub(super) fn with(mut self, limit: u32, refusal: Rejected, key: fn(u32) -> u32) -> Self {
        self.books.push(Book { ledger: Ledger::new(limit), key, refusal });
        self
    }

    pub(super) fn clients(&self) -> &Ledger {
        &self.books[0].ledger
    }

    pub(super) fn acquire(&self, client: u32) -> Option<Guest<Permit>> {
        self.note(client, || self.limiter.try_acquire(addr(client)))
    }

    /// Asks for a connection of `client`, and writes down the answer.
    pub(super) fn note(&self, client: u32, ask: impl FnOnce() -> Result<Permit, Rejected>) -> Option<Guest<Permit>> {
        let entries: Vec<_> =
            self.books.iter().map(|book| (Arc::clone(&book.ledger), book.ledger.call((book.key)(client)))).collect();
        let answer = ask();
        assert_ne!(answer.as_ref().err(), Some(&Rejected::TableFull), "there is memory");
        for (book, (ledger, attempt)) in self.books.iter().zip(&entries) {
            ledger.answer(
                *attempt,
                match answer {
                    Ok(_) => Answer::Admitted,
                    Err(refusal) if refusal == book.refusal => Answer::Refused,
                    Err(_) => Answer::RefusedElsewhere,
                },
            );
        }
        answer.ok().map(|permit| Guest { held: Some(permit), entries })
    }

    /// Comes and goes for some turns; those that stay.
    pub(super) fn visit(&self, clients: Range<u32>, turns: usize) -> Vec<Guest<Permit>> {
        self.visit_by(clients, turns, |client| self.limiter.try_acquire(client))
    }

    /// The same, by a way of one's own to ask.
    pub(super) fn visit_by(
        &self,
        clients: Range<u32>,
        turns: usize,
        mut ask: impl FnMut(Ipv4Addr) -> Result<Permit, Rejected>,
    ) -> Vec<Guest<Permit>> {
        let mut guests = Vec::new();
        for _ in 0..turns {
            let client = thread_rng().gen_range(clients.clone());
            match thread_rng().gen_range(0..8) {
                0..4 => guests.extend(self.note(client, || ask(addr(client)))),
                4..7 if !guests.is_empty() => drop(guests.swap_remove(thread_rng().gen_range(0..guests.len()))),
                _ => self.clients().read(client, || self.limiter.open_connections(addr(client))),
            }
        }
        guests
    }

    /// While nothing goes on every count is what it should be, however it is asked for.
    pub(super) fn check(&self, clients: Range<u32>) {
        self.books.iter().for_each(|book| book.ledger.verify());
        let held: Vec<_> = clients.clone().map(|client| (client, self.clients().held(client))).collect();
        for &(client, held) in &held {
            assert_eq!(self.limiter.open_connections(addr(client)), held, "open connections of {client}");
        }
        for client in clients.clone() {
            let above = self.limiter.counts().above(addr(client).into());
            for (above, book) in above.zip(&self.books[1..]) {
                assert_eq!(
                    above.open(&pin()),
                    book.ledger.held((book.key)(client)),
                    "above {client}: {}",
                    book.refusal
                );
            }
        }
        let mut seen: Vec<_> = self.limiter.clients().map(|seen| (seen.client, seen.open_connections)).collect();
        seen.sort_unstable();
        let held: Vec<_> =
            held.into_iter().filter(|(_, held)| *held > 0).map(|(c, held)| (addr(c).into(), held)).collect();
        assert_eq!(seen, held, "the walk");
    }
}
