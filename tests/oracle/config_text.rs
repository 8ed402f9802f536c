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
    check_policy(&config);
    config.shadow().into_iter().for_each(check_policy);

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

/// What cannot be built cannot be read either.
fn check_policy(config: &Config) {
    let tiers: Vec<_> = config.tiers().iter().map(|tier| (tier.ipv4_prefix(), tier.ipv6_prefix())).collect();
    assert!(tiers.len() <= 4, "{config:?}");
    assert!(tiers.iter().all(|&(ipv4, ipv6)| ipv4 <= 32 && ipv6 <= 128), "{config:?}");
    let wider = |pair: &[(u8, u8)]| pair[1].0 <= pair[0].0 && pair[1].1 <= pair[0].1 && pair[1] != pair[0];
    assert!(tiers.windows(2).all(wider), "{config:?}");
    assert!(config.soft_percent().is_none_or(|percent| percent <= 100), "{config:?}");
    #[cfg(feature = "rules")]
    for (network, allowance) in config.rules().iter() {
        assert_eq!(network, network.trunc(), "{config:?}");
        assert_ne!(allowance, connlimit::config::Action::Limit(0), "{config:?}");
        assert!(config.rules().action(network.addr()).is_some(), "{config:?}");
    }
}
