//! A log that a flood cannot fill: so many lines a second, and later one line that says how many were left out.

use std::{
    fmt::Display,
    io::{self, Write},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

pub const LINES_PER_SECOND: u32 = 10;

/// A [`Budget`] that threads share.
pub struct Log<W>(Mutex<Budget<W>>);

impl<W: Write> Log<W> {
    pub fn new(out: W) -> Self {
        Self(Mutex::new(Budget::new(out, Instant::now())))
    }

    pub fn line(&self, line: &dyn Display) {
        let mut budget = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A server whose log is gone goes on serving.
        let _written = budget.line(Instant::now(), line).is_ok();
    }
}

/// Lines that may still be written in the second that began at `since`.
pub struct Budget<W> {
    out: W,
    since: Instant,
    written: u32,
    left_out: u64,
}

impl<W: Write> Budget<W> {
    pub const fn new(out: W, now: Instant) -> Self {
        Self { out, since: now, written: 0, left_out: 0 }
    }

    pub fn line(&mut self, now: Instant, line: &dyn Display) -> io::Result<()> {
        if now.duration_since(self.since) >= Duration::from_secs(1) {
            self.since = now;
            self.written = 0;
            if self.left_out > 0 {
                writeln!(self.out, "({} lines left out)", self.left_out)?;
                self.left_out = 0;
            }
        }
        if self.written == LINES_PER_SECOND {
            self.left_out += 1;
            return Ok(());
        }
        self.written += 1;
        writeln!(self.out, "{line}")
    }
}
