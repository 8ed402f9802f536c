//! The text form of a configuration. Reading one goes through the same checks as building one, and an error names the
//! key.
//!
//! A limit, and a rule's action, is a number, `"unlimited"` or `"deny"`. `max_per_client` has to be there: a file without it
//! protects nobody, and nobody would notice.

mod word;

use super::{
    Config, ConfigError, Embedded, EmbeddedPolicy, Family, Limit, MIN_TABLE_MEMORY, TierErrorKind, UnknownPeer,
    WhenFull,
};
use core::fmt;
use core::net::Ipv6Addr;
use serde::{Deserialize, Serialize};

/// A configuration as text.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Text {
    max_per_client: Limit,
    #[serde(default)]
    when_full: WhenFull,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    when_full_ipv4: Option<WhenFull>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    when_full_ipv6: Option<WhenFull>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    when_full_named: Option<WhenFull>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ipv4_prefix: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ipv6_prefix: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    table_memory: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    preallocation: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_total: Option<Limit>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    soft_percent: Option<u8>,
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    counting: bool,
    #[cfg(feature = "audit")]
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    audit: bool,
    #[serde(default)]
    unknown_peer: UnknownPeer,
    // Tables come last: TOML has no way back to plain keys after them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    embedded: Option<EmbeddedPolicy>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tiers: Vec<TierText>,
    #[cfg(feature = "rules")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rules: Vec<RuleText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shadow: Option<Box<Text>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TierText {
    ipv4_prefix: u8,
    ipv6_prefix: u8,
    limit: Limit,
}

/// The network is plain text here, so that an error can name it whatever it is.
#[cfg(feature = "rules")]
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    network: String,
    action: super::Action,
}

/// What is done with embedded addresses, as text.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EmbeddedText {
    #[serde(default)]
    nat64: Embedded,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    nat64_prefixes: Vec<Nat64Text>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nat64Text {
    /// As `2001:db8:46::/96`.
    network: String,
    #[serde(default)]
    embedded: Embedded,
}

/// What is wrong, behind the key that it stands under.
pub(super) struct TextError {
    key: String,
    fault: Fault,
}

enum Fault {
    Config(ConfigError),
    NotAPrefix(String),
}

impl TextError {
    /// Under `key` of what surrounds it.
    fn within(self, key: &str) -> Self {
        Self { key: format!("{key}.{}", self.key), ..self }
    }
}

/// An error that stands under `key`.
fn under(key: impl Into<String>) -> impl FnOnce(ConfigError) -> TextError {
    move |error| TextError { key: key.into(), fault: Fault::Config(error) }
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.key)?;
        match &self.fault {
            Fault::Config(error) => error.fmt(f),
            Fault::NotAPrefix(text) => write!(f, "{text:?} is not a network in the form 2001:db8:46::/96"),
        }
    }
}

impl TryFrom<Text> for Config {
    type Error = TextError;

    fn try_from(text: Text) -> Result<Self, TextError> {
        let mut config = Self::new(text.max_per_client)
            .with_when_full(text.when_full)
            .with_dry_run(text.dry_run)
            .with_counting(text.counting)
            .with_unknown_peer(text.unknown_peer);
        #[cfg(feature = "audit")]
        {
            config = config.with_audit(text.audit);
        }
        for (family, when_full) in [
            (Family::Ipv4, text.when_full_ipv4),
            (Family::Ipv6, text.when_full_ipv6),
            (Family::Named, text.when_full_named),
        ] {
            if let Some(when_full) = when_full {
                config = config.with_when_full_for(family, when_full);
            }
        }
        if let Some(bits) = text.ipv4_prefix {
            config = config.with_ipv4_prefix(bits).map_err(under("ipv4_prefix"))?;
        }
        if let Some(bits) = text.ipv6_prefix {
            config = config.with_ipv6_prefix(bits).map_err(under("ipv6_prefix"))?;
        }
        if let Some(bytes) = text.table_memory {
            if bytes < MIN_TABLE_MEMORY {
                return Err(under("table_memory")(ConfigError::TableMemory(bytes)));
            }
            config = config.with_table_memory(bytes);
        }
        if let Some(preallocate) = text.preallocation {
            config = config.with_preallocation(preallocate);
        }
        if let Some(max_total) = text.max_total {
            config = config.with_max_total(max_total);
        }
        if let Some(percent) = text.soft_percent {
            if percent > 100 {
                return Err(under("soft_percent")(ConfigError::SoftPercent(percent)));
            }
            config = config.with_soft_percent(percent);
        }
        if let Some(embedded) = text.embedded {
            config = config.with_embedded(embedded);
        }
        for (at, TierText { ipv4_prefix, ipv6_prefix, limit }) in text.tiers.into_iter().enumerate() {
            let key = format!("tiers[{at}]");
            if config.tiers().iter().any(|tier| tier.prefixes() == (ipv4_prefix, ipv6_prefix)) {
                let kind = TierErrorKind::Repeated;
                return Err(under(key)(ConfigError::Tier { ipv4_prefix, ipv6_prefix, kind }));
            }
            config = config.with_tier(ipv4_prefix, ipv6_prefix, limit).map_err(under(key))?;
        }
        #[cfg(feature = "rules")]
        {
            config = config.with_rules(rules(text.rules)?).map_err(under("rules"))?;
        }
        if let Some(shadow) = text.shadow {
            config = config.with_shadow(Self::try_from(*shadow).map_err(|error| error.within("shadow"))?);
        }
        Ok(config)
    }
}

#[cfg(feature = "rules")]
fn rules(rules: Vec<RuleText>) -> Result<Vec<(ipnet::IpNet, super::Action)>, TextError> {
    let rule = |(at, RuleText { network, action }): (usize, RuleText)| {
        network.parse().map(|network| (network, action)).map_err(|_| {
            let kind = super::RuleErrorKind::NotANetwork;
            under(format!("rules[{at}]"))(ConfigError::Rule { network, kind })
        })
    };
    rules.into_iter().enumerate().map(rule).collect()
}

impl From<Config> for Text {
    fn from(config: Config) -> Self {
        let layers = config.layers;
        let [when_full_ipv4, when_full_ipv6, when_full_named] = layers.when_full_for;
        let tier = |tier: super::Tier| TierText {
            ipv4_prefix: tier.ipv4_prefix(),
            ipv6_prefix: tier.ipv6_prefix(),
            limit: tier.limit(),
        };
        Self {
            max_per_client: config.max_per_client,
            when_full: layers.when_full,
            when_full_ipv4,
            when_full_ipv6,
            when_full_named,
            ipv4_prefix: config.shape.ipv4_prefix,
            ipv6_prefix: config.shape.ipv6_prefix,
            table_memory: config.shape.table_memory,
            preallocation: config.shape.preallocation,
            max_total: layers.max_total,
            soft_percent: layers.soft_percent,
            dry_run: layers.dry_run,
            counting: layers.counting,
            #[cfg(feature = "audit")]
            audit: layers.audit,
            unknown_peer: layers.unknown_peer,
            embedded: config.shape.embedded,
            tiers: layers.tiers.into_iter().map(tier).collect(),
            #[cfg(feature = "rules")]
            rules: (config.rules.iter())
                .map(|(network, action)| RuleText { network: network.to_string(), action })
                .collect(),
            shadow: layers.shadow.map(|shadow| Box::new(Self::from(Config::clone(&shadow)))),
        }
    }
}

impl TryFrom<EmbeddedText> for EmbeddedPolicy {
    type Error = TextError;

    fn try_from(text: EmbeddedText) -> Result<Self, TextError> {
        let mut policy = Self::new().with_nat64(text.nat64);
        for (at, Nat64Text { network, embedded }) in text.nat64_prefixes.into_iter().enumerate() {
            let key = format!("nat64_prefixes[{at}]");
            let parts = network
                .split_once('/')
                .and_then(|(addr, bits)| Some((addr.parse::<Ipv6Addr>().ok()?, bits.parse::<u8>().ok()?)));
            let Some((addr, bits)) = parts else {
                return Err(TextError { key, fault: Fault::NotAPrefix(network) });
            };
            policy = policy.with_nat64_prefix(addr, bits, embedded).map_err(under(key))?;
        }
        Ok(policy)
    }
}

impl From<EmbeddedPolicy> for EmbeddedText {
    fn from(policy: EmbeddedPolicy) -> Self {
        let prefix = |(addr, bits, embedded)| Nat64Text { network: format!("{addr}/{bits}"), embedded };
        Self { nat64: policy.nat64(), nat64_prefixes: policy.nat64_prefixes().map(prefix).collect() }
    }
}
