//! The example `echo` checks itself; here it is run.

#[path = "../examples/echo.rs"]
mod echo;

#[test]
fn the_example_finds_what_it_expects() {
    echo::main().unwrap();
}
