//! Named clients are shown by name where names are kept. One process, one decision: a test program of its own.

use connlimit::client::keep_names;
use connlimit::{Client, Config, Limiter};

#[test]
fn a_named_client_is_shown_by_name_once_names_are_kept() {
    let early = Client::named("early");
    assert_eq!(early.to_string().len(), "named:".len() + 32, "a digest: {early}");

    assert!(keep_names(100));
    assert!(!keep_names(5), "the first call decides");
    let limiter = Limiter::new(Config::new(2));
    let _permit = limiter.try_acquire(Client::named("tenant-17")).unwrap();
    assert_eq!(limiter.top(1)[0].client.to_string(), "named:tenant-17");
    assert_eq!(format!("{:?}", limiter.top(1)[0].client), "Client(named:tenant-17)");

    let forged = Client::named("a\nWARN all is well \u{202e}");
    assert_eq!(forged.to_string(), r"named:a\nWARN all is well \xe2\x80\xae");
    let long = Client::named("x".repeat(129));
    assert_eq!(long.to_string().len(), "named:".len() + 32, "too long to be kept");
    assert_eq!(early.to_string().len(), "named:".len() + 32, "its name was not kept then");
    assert_eq!(Client::named("early"), early);
    assert_eq!(early.to_string(), "named:early");
}
