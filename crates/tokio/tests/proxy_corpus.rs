//! Every PROXY header that fuzzing was started from or has found, without a fuzzer: these runs belong to every build.

mod oracle;

use std::fs;
use std::path::Path;

#[test]
fn the_corpus_of_proxy_headers_passes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/proxy");
    let mut seeds = 0;
    for entry in fs::read_dir(&folder).expect("the corpus is part of the repository") {
        let seed = entry.expect("a readable folder").path();
        let data = fs::read(&seed).expect("a readable seed");
        // Shown when the check fails: which seed it was.
        println!("{}", seed.display());
        oracle::check(&data);
        seeds += 1;
    }
    assert!(seeds >= 10, "only {seeds} seeds in {}", folder.display());
}
