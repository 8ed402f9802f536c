//! Walking skeleton; the lock-free table replaces it.
use crate::{client::Identity, *};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// Limits connections per client.
#[derive(Clone, Debug)]
pub struct Limiter(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    counts: Mutex<HashMap<Identity, u32>>,
    config: Mutex<Arc<Config>>,
}

/// One counted connection.
#[derive(Debug)]
#[must_use = "the connection stops being counted when its permit is dropped"]
pub struct Permit(Arc<Inner>, Identity);

impl Drop for Permit {
    fn drop(&mut self) {
        let mut m = self.0.counts.lock().unwrap();
        let c = m.get_mut(&self.1).unwrap();
        *c -= 1;
        if *c == 0 {
            m.remove(&self.1);
        }
    }
}

/// A batch of admissions.
#[derive(Debug)]
pub struct Session<'a>(&'a Limiter, core::marker::PhantomData<*const ()>);
impl Session<'_> {
    /// As [`Limiter::try_acquire`].
    pub fn try_acquire(&mut self, client: impl Into<Client>) -> Result<Permit, Rejected> {
        self.0.try_acquire(client)
    }
}

impl Limiter {
    /// A limiter.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self(Arc::new(Inner {
            counts: Mutex::default(),
            config: Mutex::new(Arc::new(config.resolved())),
        }))
    }
    fn key(&self, c: Client) -> Identity {
        let cfg = self.config();
        match c.identity() {
            Identity::V4(a) => Identity::V4(
                (u32::from(a)
                    & (u32::MAX
                        .checked_shl(32 - u32::from(cfg.ipv4_prefix()))
                        .unwrap_or(0)))
                .into(),
            ),
            Identity::V6(a) => Identity::V6(
                (u128::from(a)
                    & (u128::MAX
                        .checked_shl(128 - u32::from(cfg.ipv6_prefix()))
                        .unwrap_or(0)))
                .into(),
            ),
            n => n,
        }
    }
    /// Counts one more connection of `client`.
    pub fn try_acquire(&self, client: impl Into<Client>) -> Result<Permit, Rejected> {
        let k = self.key(client.into());
        let max = self.config().max_per_client();
        let mut m = self.0.counts.lock().unwrap();
        let c = m.entry(k).or_insert(0);
        if max != 0 && *c >= max {
            return Err(Rejected::ClientLimit);
        }
        *c += 1;
        Ok(Permit(self.0.clone(), k))
    }
    /// A batch of admissions.
    #[must_use]
    pub fn session(&self) -> Session<'_> {
        Session(self, core::marker::PhantomData)
    }
    /// Open connections of `client`.
    #[must_use]
    pub fn num_open(&self, client: impl Into<Client>) -> u32 {
        self.0
            .counts
            .lock()
            .unwrap()
            .get(&self.key(client.into()))
            .copied()
            .unwrap_or(0)
    }
    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        self.0.config.lock().unwrap().clone()
    }
    /// Replaces the configuration.
    pub fn set_config(&self, config: Config) -> Result<(), ConfigError> {
        let mut c = self.0.config.lock().unwrap();
        *c = Arc::new(config.adapted_to(&c.shape)?);
        Ok(())
    }
}
