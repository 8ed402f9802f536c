//! The serialised form of a configuration. Reading one goes through the same checks as building one.

use super::{Config, ConfigError, WhenFull};
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
}

impl TryFrom<Wire> for Config {
    type Error = ConfigError;

    fn try_from(wire: Wire) -> Result<Self, ConfigError> {
        let mut config = Self::new(wire.max_per_client).with_when_full(wire.when_full);
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
        Self {
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
