//! The names of named clients, for those who read logs: a client itself is only a digest.
//!
//! Names may come from peers, so what is kept is bounded in number and length, and a flood of new names pushes out those
//! that were not used for longest. Two generations do that: a name that is used goes to the young one; when that is full
//! the old one is dropped, and the young one takes its place.

use std::collections::HashMap;
use std::sync::{OnceLock, RwLock};

/// Longer names are shown by their digest. Nobody reads more in a label or a log line.
const LONGEST: usize = 128;

static NAMES: OnceLock<RwLock<Generations>> = OnceLock::new();

struct Generations {
    /// Names in one generation at most.
    most: usize,
    young: HashMap<u128, Box<[u8]>>,
    old: HashMap<u128, Box<[u8]>>,
}

/// Keeps the names of clients from now on, so that `Display` shows [named](super::Client::named) clients by name: in logs,
/// metrics and [`Limiter::top`](crate::Limiter::top). Without this they are shown by a digest that no other process shares.
///
/// It holds for the whole process, and the first call decides; `false` says that another one was faster. Between half of
/// `at_most` and `at_most` names are kept, those that were used last, each of up to 128 bytes. A client whose name is not
/// kept (any more) is shown by its digest. Names are shown with everything but printable ASCII escaped: a peer that chooses
/// its name cannot forge a line of a log.
///
/// It costs each [`Client::named`](super::Client::named) a look-up under a lock that is never waited for: under contention
/// a name may be kept only the next time it is used. Keep a [`Client`](super::Client) rather than making it anew.
///
/// # Examples
///
/// ```
/// use connlimit::client::{Client, keep_names};
///
/// keep_names(10_000);
/// assert_eq!(Client::named("tenant-17").to_string(), "named:tenant-17");
/// ```
pub fn keep_names(at_most: usize) -> bool {
    let most = (at_most / 2).max(1);
    NAMES.set(RwLock::new(Generations { most, young: HashMap::new(), old: HashMap::new() })).is_ok()
}

/// Keeps `name` if names are kept.
pub(super) fn note(digest: u128, name: &[u8]) {
    let Some(names) = NAMES.get() else { return };
    if name.len() > LONGEST || names.try_read().is_ok_and(|names| names.young.contains_key(&digest)) {
        return;
    }
    // Another thread is at it. This name is noted when it is used again.
    if let Ok(mut names) = names.try_write() {
        names.insert(digest, name);
    }
}

/// The name, if it is kept.
pub(super) fn find(digest: u128) -> Option<String> {
    let names = NAMES.get()?.try_read().ok()?;
    let name = names.young.get(&digest).or_else(|| names.old.get(&digest))?;
    Some(name.escape_ascii().to_string())
}

impl Generations {
    fn insert(&mut self, digest: u128, name: &[u8]) {
        let name = self.old.remove(&digest).unwrap_or_else(|| name.into());
        if self.young.len() >= self.most {
            self.old = core::mem::take(&mut self.young);
        }
        self.young.insert(digest, name);
    }
}

#[cfg(all(test, not(connlimit_model)))]
mod tests {
    use super::*;

    #[test]
    fn names_in_use_stay_while_a_flood_passes() {
        let mut names = Generations { most: 10, young: HashMap::new(), old: HashMap::new() };
        for flood in 0..1_000_u128 {
            if !names.young.contains_key(&u128::MAX) {
                names.insert(u128::MAX, b"regular");
            }
            names.insert(flood, b"newcomer");
            assert!(names.young.len() + names.old.len() <= 20);
            assert!(names.young.contains_key(&u128::MAX) || names.old.contains_key(&u128::MAX));
        }
    }
}
