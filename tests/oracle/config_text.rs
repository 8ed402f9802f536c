//! Configurations as text: any text is either a valid configuration that survives the way back, or an error.

use connlimit::{Config, Limiter};

/// Checks that `data`, read as JSON, gives a configuration that keeps the promises of [`Config`] or an error.
///
/// # Panics
///
/// When a configuration out of range was read, or one did not survive being written and read again.
pub(crate) fn check(data: &[u8]) {
    let Ok(config) = serde_json::from_slice::<Config>(data) else {
        return;
    };
    assert!(config.ipv4_prefix() <= 32, "{config:?}");
    assert!(config.ipv6_prefix() <= 128, "{config:?}");
    assert!(config.table_memory() >= 1 << 20, "{config:?}");

    let text = serde_json::to_string(&config).expect("a configuration can be written");
    let again: Config = serde_json::from_str(&text).expect("and read again");
    assert_eq!(again, config, "{text}");

    // Preallocation takes as much memory as the text asks for; that is not what is tried here.
    if !config.preallocation() {
        let limiter = Limiter::new(config.clone());
        assert_eq!(limiter.config().max_per_client(), config.max_per_client());
        assert_eq!(limiter.set_config(config), Ok(()));
    }
}
