//! Where the numbers come from: a limiter, and what stands in front of it.

use connlimit::stats::Stats;
use connlimit::{Config, Limiter};
use std::sync::Arc;

/// What is watched, for one exporter or collector.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) limiter: Limiter,
    #[cfg(feature = "tokio")]
    pub(crate) adapters: crate::adapters::Adapters,
}

/// All numbers, read once.
pub(crate) struct Snapshot {
    pub(crate) stats: Stats,
    pub(crate) config: Arc<Config>,
    /// Empty without a rejecter.
    pub(crate) reject_outcomes: Vec<(&'static str, u64)>,
    /// Empty without a listener for the PROXY protocol.
    pub(crate) proxy_errors: Vec<(&'static str, u64)>,
}

impl Source {
    pub(crate) fn new(limiter: Limiter) -> Self {
        Self {
            limiter,
            #[cfg(feature = "tokio")]
            adapters: crate::adapters::Adapters::default(),
        }
    }

    pub(crate) fn read(&self) -> Snapshot {
        #[cfg(feature = "tokio")]
        let (reject_outcomes, proxy_errors) = (self.adapters.reject_outcomes(), self.adapters.proxy_errors());
        #[cfg(not(feature = "tokio"))]
        let (reject_outcomes, proxy_errors) = (Vec::new(), Vec::new());
        Snapshot { stats: self.limiter.stats(), config: self.limiter.config(), reject_outcomes, proxy_errors }
    }
}
