//! The example `h3` checks itself; here it is run.

#[path = "../examples/h3.rs"]
mod h3_server;

#[test]
fn the_example_finds_what_it_expects() {
    h3_server::main().unwrap();
}
