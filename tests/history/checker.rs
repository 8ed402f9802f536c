//! Looks for an order that explains a history (Wing and Gong 1993, with the memory of Lowe 2017).
//!
//! A thread's operations follow one another, so what has been put in order is told by one number for each thread,
//! and so is the counter: the admissions among them less the releases. A combination of numbers that was reached
//! once need not be tried again, which makes the search short: few operations overlap at any time.

use super::recorder::{Answer, Event};
use std::collections::HashSet;

/// No order explains the history: the longest beginning that could be explained, and what each thread says next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unexplained {
    explained: usize,
    open: u32,
    next: Vec<Option<Event>>,
}

/// Explains what the threads say of one client.
///
/// # Errors
///
/// [`Unexplained`] when there is no order that is true to real time and to the counter.
pub(crate) fn explain(threads: &[Vec<Event>]) -> Result<(), Unexplained> {
    let total: usize = threads.iter().map(Vec::len).sum();
    let start = vec![0; threads.len()];
    let mut best = (0, start.clone(), 0);
    let mut seen = HashSet::from([start.clone()]);
    let mut open_ends = vec![(start, 0_u32)];
    while let Some((done, open)) = open_ends.pop() {
        let explained = done.iter().sum();
        if explained == total {
            return Ok(());
        }
        if explained >= best.0 {
            best = (explained, done.clone(), open);
        }
        let next = |thread: usize| threads[thread].get(done[thread]);
        let first_return = (0..threads.len()).filter_map(|thread| Some(next(thread)?.returned)).min();
        for thread in 0..threads.len() {
            let Some(event) = next(thread) else { continue };
            // Whatever was called after another had returned comes after it.
            if Some(event.called) > first_return {
                continue;
            }
            if let Some(open) = apply(event.answer, open) {
                let mut more = done.clone();
                more[thread] += 1;
                if seen.insert(more.clone()) {
                    open_ends.push((more, open));
                }
            }
        }
    }
    let (explained, done, open) = best;
    let next = threads.iter().zip(done);
    Err(Unexplained { explained, open, next: next.map(|(thread, at)| thread.get(at).copied()).collect() })
}

/// The counter after an operation, or `None` when a counter at `open` would not have given this answer.
pub(crate) const fn apply(answer: Answer, open: u32) -> Option<u32> {
    match answer {
        Answer::Admitted { most } if open < most => Some(open + 1),
        Answer::Rejected { least } if open >= least => Some(open),
        Answer::Released => open.checked_sub(1),
        Answer::Open(told) if told == open => Some(open),
        _ => None,
    }
}
