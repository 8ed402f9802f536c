//! One attempt after the other, a limiter answers like the plain maps.

use crate::oracle;
use connlimit::{
    Config,
    config::{ConfigError, TierErrorKind},
};
use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 2 } else { 256 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_limiter_with_a_policy_agrees_with_plain_maps(
        setup: [u8; 8],
        operations in vec(any::<[u8; 4]>(), 1..if cfg!(miri) { 20 } else { 150 }),
    ) {
        oracle::policy::check(&[&setup, operations.as_flattened()].concat());
    }

    #[test]
    fn tiers_are_taken_when_each_is_wider_than_the_one_before(prefixes in vec((0..=33_u8, 0..=129_u8), 0..6)) {
        let mut config = Config::new(1);
        let mut taken: Vec<(u8, u8)> = Vec::new();
        for (ipv4, ipv6) in prefixes {
                        if ipv4 > 32 {
                prop_assert_eq!(config.clone().with_tier(ipv4, ipv6, 7), Err(ConfigError::Ipv4Prefix(ipv4)));
            } else if ipv6 > 128 {
                prop_assert_eq!(config.clone().with_tier(ipv4, ipv6, 7), Err(ConfigError::Ipv6Prefix(ipv6)));
            } else {
                let again = taken.contains(&(ipv4, ipv6));
                let wider = taken.last().is_none_or(|&(v4, v6)| ipv4 <= v4 && ipv6 <= v6);
                match config.clone().with_tier(ipv4, ipv6, 7) {
                    Ok(same) if again => prop_assert_eq!(&same, &config),
                    Ok(longer) => {
                        prop_assert!(wider && taken.len() < 4);
                        taken.push((ipv4, ipv6));
                        config = longer;
                    }
                    Err(error) => {
                        prop_assert!(!wider || taken.len() == 4);
                        let kind = if taken.len() == 4 { TierErrorKind::TooMany } else { TierErrorKind::Narrower };
                        prop_assert_eq!(error, ConfigError::Tier { ipv4_prefix: ipv4, ipv6_prefix: ipv6, kind });
                    }
                }
            }
            let tiers: Vec<_> = config.tiers().iter().map(|tier| (tier.ipv4_prefix(), tier.ipv6_prefix())).collect();
            prop_assert_eq!(&tiers, &taken);
        }
    }
}
