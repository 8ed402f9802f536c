//! The examples check themselves; here they are run.

#[path = "../examples/echo.rs"]
mod echo;
#[path = "../examples/h3.rs"]
mod h3_server;

#[test]
fn the_echo_example_finds_what_it_expects() {
    echo::main().unwrap();
}

#[test]
fn the_h3_example_finds_what_it_expects() {
    h3_server::main().unwrap();
}
