//! The serialised form of a configuration. Reading one goes through the same checks as building one.

use super::{Config, ConfigError, Family, UnknownPeer, WhenFull};
use crate::EmbeddedPolicy;

#[derive(Default, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Wire {
    max_per_client: u32,
    when_full: WhenFull,
    #[serde(skip_serializing_if = "Option::is_none")]
    ipv4_prefix: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ipv6_prefix: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    table_memory: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    preallocation: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    embedded: Option<EmbeddedPolicy>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tiers: Vec<super::Tier>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_total: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    soft_percent: Option<u8>,
    dry_run: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    shadow: Option<Box<Wire>>,
    counting: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    when_full_ipv4: Option<WhenFull>,
    #[serde(skip_serializing_if = "Option::is_none")]
    when_full_ipv6: Option<WhenFull>,
    #[serde(skip_serializing_if = "Option::is_none")]
    when_full_named: Option<WhenFull>,
    unknown_peer: UnknownPeer,
    #[cfg(feature = "rules")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rules: Vec<Rule>,
}

/// The serialised form of a rule. The network is text here, so that an error can name it whatever it is.
#[cfg(feature = "rules")]
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    network: String,
    allow: super::Allowance,
}

#[cfg(feature = "rules")]
impl TryFrom<Rule> for (ipnet::IpNet, super::Allowance) {
    type Error = ConfigError;

    fn try_from(Rule { network, allow }: Rule) -> Result<Self, ConfigError> {
        match network.parse() {
            Ok(network) => Ok((network, allow)),
            Err(_) => Err(ConfigError::Rule { network, fault: super::RuleFault::NotANetwork }),
        }
    }
}

/// The serialised form of a tier.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tier {
    ipv4_prefix: u8,
    ipv6_prefix: u8,
    limit: u32,
}

impl TryFrom<Tier> for super::Tier {
    type Error = ConfigError;

    fn try_from(wire: Tier) -> Result<Self, ConfigError> {
        Self::new(wire.ipv4_prefix, wire.ipv6_prefix, wire.limit)
    }
}

impl From<super::Tier> for Tier {
    fn from(tier: super::Tier) -> Self {
        Self { ipv4_prefix: tier.ipv4_prefix(), ipv6_prefix: tier.ipv6_prefix(), limit: tier.limit() }
    }
}

impl TryFrom<Wire> for Config {
    type Error = ConfigError;

    fn try_from(wire: Wire) -> Result<Self, ConfigError> {
        let mut config = Self::new(wire.max_per_client)
            .with_when_full(wire.when_full)
            .with_dry_run(wire.dry_run)
            .with_counting(wire.counting)
            .with_unknown_peer(wire.unknown_peer);
        for tier in wire.tiers {
            config = config.with_tier(tier)?;
        }
        #[cfg(feature = "rules")]
        {
            let rules: Result<Vec<_>, _> = wire.rules.into_iter().map(TryInto::try_into).collect();
            config = config.with_rules(rules?)?;
        }
        if let Some(max_total) = wire.max_total {
            config = config.with_max_total(max_total);
        }
        if let Some(percent) = wire.soft_percent {
            config = config.with_soft_percent(percent)?;
        }
        if let Some(shadow) = wire.shadow {
            config = config.with_shadow(Self::try_from(*shadow)?);
        }
        for (family, when_full) in [
            (Family::Ipv4, wire.when_full_ipv4),
            (Family::Ipv6, wire.when_full_ipv6),
            (Family::Named, wire.when_full_named),
        ] {
            if let Some(when_full) = when_full {
                config = config.with_when_full_for(family, when_full);
            }
        }
        if let Some(bits) = wire.ipv4_prefix {
            config = config.with_ipv4_prefix(bits)?;
        }
        if let Some(bits) = wire.ipv6_prefix {
            config = config.with_ipv6_prefix(bits)?;
        }
        if let Some(bytes) = wire.table_memory {
            config = config.with_table_memory(bytes)?;
        }
        if let Some(preallocate) = wire.preallocation {
            config = config.with_preallocation(preallocate);
        }
        if let Some(policy) = wire.embedded {
            config = config.with_embedded(policy);
        }
        Ok(config)
    }
}

impl From<Config> for Wire {
    fn from(config: Config) -> Self {
        let policy = config.policy;
        let [when_full_ipv4, when_full_ipv6, when_full_named] = policy.when_full;
        Self {
            #[cfg(feature = "rules")]
            rules: config.rules.iter().map(|(network, allow)| Rule { network: network.to_string(), allow }).collect(),
            tiers: policy.tiers,
            max_total: policy.max_total,
            soft_percent: policy.soft_percent,
            dry_run: policy.dry_run,
            shadow: policy.shadow.map(|shadow| Box::new(Self::from(Config::clone(&shadow)))),
            counting: policy.counting,
            when_full_ipv4,
            when_full_ipv6,
            when_full_named,
            unknown_peer: policy.unknown_peer,
            max_per_client: config.max_per_client,
            when_full: config.when_full,
            ipv4_prefix: config.shape.ipv4_prefix,
            ipv6_prefix: config.shape.ipv6_prefix,
            table_memory: config.shape.table_memory,
            preallocation: config.shape.preallocation,
            embedded: config.shape.embedded,
        }
    }
}
