//! The serialised form of a policy. Reading one goes through the same checks as building one.

use super::{Embedded, EmbeddedPolicy};
use crate::ConfigError;
use core::net::Ipv6Addr;

#[derive(Default, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Wire {
    nat64: Embedded,
    #[serde(rename = "6to4")]
    six_to_four: Embedded,
    teredo: Embedded,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    nat64_prefixes: Vec<Nat64>,
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Nat64 {
    network: Ipv6Addr,
    bits: u8,
    #[serde(default)]
    embedded: Embedded,
}

impl TryFrom<Wire> for EmbeddedPolicy {
    type Error = ConfigError;

    fn try_from(wire: Wire) -> Result<Self, ConfigError> {
        let policy = Self::new().with_nat64(wire.nat64).with_6to4(wire.six_to_four).with_teredo(wire.teredo);
        wire.nat64_prefixes
            .into_iter()
            .try_fold(policy, |policy, prefix| policy.with_nat64_prefix(prefix.network, prefix.bits, prefix.embedded))
    }
}

impl From<EmbeddedPolicy> for Wire {
    fn from(policy: EmbeddedPolicy) -> Self {
        Self {
            nat64: policy.nat64(),
            six_to_four: policy.six_to_four(),
            teredo: policy.teredo(),
            nat64_prefixes: policy
                .nat64_prefixes()
                .map(|(network, bits, embedded)| Nat64 { network, bits, embedded })
                .collect(),
        }
    }
}
