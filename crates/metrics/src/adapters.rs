//! What the listeners of `connlimit-tokio` count by themselves: how connections were turned away, and PROXY errors.

use connlimit_tokio::proxy::ProxyErrors;
use connlimit_tokio::{RejectCounts, Rejecter, Transport};
use core::fmt;
use std::sync::Arc;

/// Any number of each. Numbers of the same kind are added up.
#[derive(Clone, Default)]
pub(crate) struct Adapters {
    /// The streams that a rejecter is for make no difference here.
    rejecters: Vec<Arc<dyn Fn() -> RejectCounts + Send + Sync>>,
    proxies: Vec<ProxyErrors>,
}

impl Adapters {
    pub(crate) fn add_rejecter<S: Transport + 'static>(&mut self, rejecter: Rejecter<S>) {
        self.rejecters.push(Arc::new(move || rejecter.counts()));
    }

    pub(crate) fn add_proxy(&mut self, errors: ProxyErrors) {
        self.proxies.push(errors);
    }

    pub(crate) fn reject_outcomes(&self) -> Vec<(&'static str, u64)> {
        add_up(self.rejecters.iter().map(|counts| {
            let RejectCounts { closed, reset, answered, over_budget, over_share, .. } = counts();
            [
                ("closed", closed),
                ("reset", reset),
                ("answered", answered),
                ("over_budget", over_budget),
                ("over_share", over_share),
            ]
        }))
    }

    pub(crate) fn proxy_errors(&self) -> Vec<(&'static str, u64)> {
        add_up(self.proxies.iter().map(|errors| errors.counts().by_kind()))
    }
}

fn add_up<const N: usize>(all: impl Iterator<Item = [(&'static str, u64); N]>) -> Vec<(&'static str, u64)> {
    let sum = all.reduce(|mut sum, one| {
        sum.iter_mut().zip(one).for_each(|((_, sum), (_, count))| *sum += count);
        sum
    });
    sum.map(Vec::from).unwrap_or_default()
}

impl fmt::Debug for Adapters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adapters").field("rejecters", &self.rejecters.len()).field("proxies", &self.proxies).finish()
    }
}
