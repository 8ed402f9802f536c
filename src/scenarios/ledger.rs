//! What was done in an execution, and whether it may have been so.
//!
//! A connection counts for certain from the answer that admitted it until its release begins, and possibly from the
//! call that asked for it until its release is over. So each answer has a test that is exact whenever nothing else goes
//! on: there are never more certain connections than the limit; who is refused met a moment of that many possible ones;
//! and a count that was read lies between the two.

use std::sync::{Arc, Mutex, MutexGuard};

/// A moment: that of an event in this ledger.
type Moment = usize;
const NEVER: Moment = Moment::MAX;

/// The connections of each key under one limit.
pub(super) struct Ledger(Mutex<Book>);

#[derive(Default)]
struct Book {
    now: Moment,
    /// In force from the first moment to the second at most.
    limits: Vec<(Moment, Moment, u32)>,
    attempts: Vec<Attempt>,
    readings: Vec<Reading>,
}

struct Attempt {
    key: u32,
    called: Moment,
    answered: Moment,
    admitted: bool,
    /// Who is refused on another account may have counted here meanwhile.
    refused_here: bool,
    releasing: Moment,
    released: Moment,
}

struct Reading {
    key: u32,
    called: Moment,
    answered: Moment,
    count: u32,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Admitted,
    /// By the limit that the ledger is about.
    Refused,
    /// By another limit.
    RefusedElsewhere,
    /// For want of memory.
    Full,
}

impl Ledger {
    pub(super) fn new(limit: u32) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Book { limits: vec![(0, NEVER, limit)], ..Book::default() })))
    }

    /// The next moment. Nobody is given a turn while the book is open.
    fn open(&self) -> MutexGuard<'_, Book> {
        let mut book = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        book.now += 1;
        book
    }

    /// Changes the limit by `change`; one thread only may.
    pub(super) fn change(&self, limit: u32, change: impl FnOnce()) {
        let mut book = self.open();
        let begun = book.now;
        book.limits.push((begun, NEVER, limit));
        drop(book);
        change();
        let mut book = self.open();
        let now = book.now;
        let before = book.limits.len() - 2;
        book.limits[before].1 = now;
    }

    /// Asks for a connection of `key`; the attempt's number.
    pub(super) fn call(&self, key: u32) -> usize {
        let mut book = self.open();
        let called = book.now;
        let never = Attempt {
            key,
            called,
            answered: NEVER,
            admitted: false,
            refused_here: false,
            releasing: NEVER,
            released: NEVER,
        };
        book.attempts.push(never);
        book.attempts.len() - 1
    }

    /// The answer to `attempt`.
    pub(super) fn answer(&self, attempt: usize, answer: Answer) {
        let mut book = self.open();
        let now = book.now;
        let this = &mut book.attempts[attempt];
        this.answered = now;
        this.admitted = answer == Answer::Admitted;
        this.refused_here = answer == Answer::Refused;
        if !this.admitted {
            (this.releasing, this.released) = (now, now);
        }
        let (key, called) = (this.key, this.called);
        let certain = book.certain(key, now);
        // The last to count may have been another one, by a limit that was in force when that one called.
        let last = book.attempts.iter().filter(|other| other.key == key && other.is_certain(now));
        let begun = last.filter(|other| other.answered >= called).map(|other| other.called).min();
        let most = book.limits_within(begun.unwrap_or(called), now).max().expect("there is always a limit");
        assert!(answer != Answer::Admitted || certain <= most, "{certain} connections of {key}, where {most} may be");
        let always = (called..=now).all(|at| book.certain(key, at) > 0);
        assert!(answer != Answer::Full || !always, "no room for {key}, who has connections");
    }

    pub(super) fn releasing(&self, attempt: usize) {
        let mut book = self.open();
        book.attempts[attempt].releasing = book.now;
    }

    pub(super) fn released(&self, attempt: usize) {
        let mut book = self.open();
        book.attempts[attempt].released = book.now;
    }

    /// Reads the count of `key` by `read`.
    pub(super) fn read(&self, key: u32, read: impl FnOnce() -> u32) {
        let called = self.open().now;
        let count = read();
        let mut book = self.open();
        let answered = book.now;
        book.readings.push(Reading { key, called, answered, count });
    }

    /// Connections of `key`, while nothing goes on.
    pub(super) fn held(&self, key: u32) -> u32 {
        let book = self.open();
        book.certain(key, book.now)
    }

    /// Looks whether every refusal and every reading had its reason.
    pub(super) fn verify(&self) {
        let book = self.open();
        for refused in book.attempts.iter().filter(|attempt| attempt.refused_here) {
            let Attempt { key, called, answered, .. } = *refused;
            let least = book.limits_within(called, answered).min().expect("there is always a limit");
            let possible = (called..=answered).map(|at| book.possible(key, at)).max();
            assert!(possible >= Some(least), "{key} was refused with {possible:?} connections, where {least} may be");
        }
        for &Reading { key, called, answered, count } in &book.readings {
            let least = (called..=answered).map(|at| book.certain(key, at)).min();
            let most = (called..=answered).map(|at| book.possible(key, at)).max();
            assert!(least <= Some(count) && Some(count) <= most, "{count} read of {key}: not in {least:?} to {most:?}");
        }
    }
}

impl Attempt {
    const fn is_certain(&self, at: Moment) -> bool {
        self.admitted && self.answered <= at && at < self.releasing
    }

    const fn is_possible(&self, at: Moment) -> bool {
        !self.refused_here && self.called <= at && at <= self.released
    }
}

impl Book {
    fn limits_within(&self, from: Moment, until: Moment) -> impl Iterator<Item = u32> {
        self.limits.iter().filter(move |limit| limit.0 <= until && from <= limit.1).map(|limit| limit.2)
    }

    fn certain(&self, key: u32, at: Moment) -> u32 {
        self.count(key, |attempt| attempt.is_certain(at))
    }

    fn possible(&self, key: u32, at: Moment) -> u32 {
        self.count(key, |attempt| attempt.is_possible(at))
    }

    fn count(&self, key: u32, counts: impl Fn(&Attempt) -> bool) -> u32 {
        let found = self.attempts.iter().filter(|attempt| attempt.key == key && counts(attempt)).count();
        u32::try_from(found).expect("executions are short")
    }
}
