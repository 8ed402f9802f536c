//! Every input that fuzzing was started from or has found, without a fuzzer: these runs belong to every build.
#![cfg(not(connlimit_model))]

mod oracle;

use std::fs;
use std::path::Path;

/// Runs `check` on each seed of a fuzz target.
fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut seeds = 0;
    for entry in fs::read_dir(&folder).expect("the corpus is part of the repository") {
        let seed = entry.expect("a readable folder").path();
        let data = fs::read(&seed).expect("a readable seed");
        // Shown when the check fails: which seed it was.
        println!("{}", seed.display());
        check(&data);
        seeds += 1;
    }
    assert!(seeds >= 10, "only {seeds} seeds in {}", folder.display());
}

#[cfg_attr(miri, ignore = "reads files")]
#[test]
fn the_corpus_of_operations_passes() {
    replay("operations", oracle::check_operations);
}

#[cfg_attr(miri, ignore = "reads files")]
#[test]
fn the_corpus_of_keys_passes() {
    replay("keys", oracle::keys::check);
}

#[cfg_attr(miri, ignore = "reads files")]
#[test]
fn the_corpus_of_policies_passes() {
    replay("policy", oracle::policy::check);
}

#[cfg(feature = "serde")]
#[cfg_attr(miri, ignore = "reads files")]
#[test]
fn the_corpus_of_configurations_passes() {
    replay("config", oracle::config_text::check);
}
