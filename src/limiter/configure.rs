//! The configuration in force: read by every admission, changed while they go on.

use super::{LAYERED, Limiter};
use crate::config::{Config, ConfigError};
use crate::epoch::{Guard, pin};
use crate::sync::{Acquire, Arc, Release};
use core::ops::Deref;

impl Limiter {
    /// The configuration in force, borrowed under the guard; touches no reference count.
    #[inline]
    pub(super) fn pinned_config<'a>(&'a self, _: &'a Guard) -> &'a Config {
        // ORDERING: Acquire, pairs with Release in `install`. Without it: a configuration that is not initialised.
        let config = self.inner.hot.current.load(Acquire);
        // SAFETY: `config` holds it, until the last handle goes; or `install` has replaced it and leaves it to the
        // epoch, and the guard is pinned.
        let config = unsafe { &*config };
        #[cfg(connlimit_model)]
        config.life.used();
        config
    }

    pub(crate) fn load_config(&self) -> impl Deref<Target = Arc<Config>> {
        self.inner.config.load()
    }

    /// The configuration in force, with the shape the limiter was built with.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        self.inner.config.load_full()
    }

    /// Changes the configuration in force, while admissions go on undisturbed: what the change does not name stays as it is.
    ///
    /// `change` gets the configuration in force and returns the one to be; it may return a `Result`, as builders that can
    /// fail do. When another thread was faster, `change` runs again on what that thread has set, so of two changes none is
    /// lost. No lock is held while it runs.
    ///
    /// Admissions that start after this returns decide by the new configuration. No connection is closed: a client that
    /// has more than a lowered limit keeps what it has, and gets nothing new until it is below.
    ///
    /// # Errors
    ///
    /// What `change` returns, and [`ConfigError::FixedAtBuild`] when it sets something that is fixed when a limiter is built
    /// (see [`Config`]) other than it was. Nothing has changed then.
    ///
    /// # Examples
    ///
    /// ```
    /// use connlimit::{Config, Limiter};
    ///
    /// let limiter = Limiter::new(Config::new(16).with_tier(24, 48, 256)?.with_max_total(10_000));
    /// limiter.update_config(|config| config.with_max_per_client(32))?;
    /// limiter.update_config(|config| config.with_tier(24, 48, 512))?;
    /// assert_eq!(limiter.config().max_total(), Some(10_000.into()), "as it was");
    /// # Ok::<(), connlimit::config::ConfigError>(())
    /// ```
    pub fn update_config<R>(&self, mut change: impl FnMut(Config) -> R) -> Result<(), ConfigError>
    where
        R: Into<Result<Config, ConfigError>>,
    {
        loop {
            let current = self.config();
            let changed = change(Config::clone(&current)).into()?;
            // Another thread's change came in between: this one would undo it.
            if self.install(changed, Some(&current))? {
                return Ok(());
            }
        }
    }

    /// Replaces the whole configuration, while admissions go on undisturbed: what `config` leaves out is switched off,
    /// limits of tiers, the total and rules among them. To change a part, use [`update_config`](Self::update_config).
    ///
    /// The shape alone, which is fixed when a limiter is built (see [`Config`]), stays where `config` does not name it.
    ///
    /// # Errors
    ///
    /// [`ConfigError::FixedAtBuild`] when `config` sets a part of the shape other than it was. Nothing has changed then.
    pub fn set_config(&self, config: Config) -> Result<(), ConfigError> {
        self.install(config, None).map(|_| ())
    }

    /// Puts `config` in force, unless the one in force is not `expected`.
    fn install(&self, config: Config, expected: Option<&Arc<Config>>) -> Result<bool, ConfigError> {
        let inner = &*self.inner;
        let _writer = inner.writers.lock();
        let current = inner.config.load_full();
        if expected.is_some_and(|expected| !Arc::ptr_eq(expected, &current)) {
            return Ok(false);
        }
        let config = Arc::new(config.adapted_to(&current)?);
        let limit = mirrored_limit(&config);
        // ORDERING: Release, pairs with Acquire in `pinned_config`.
        inner.hot.current.store(Arc::as_ptr(&config).cast_mut(), Release);
        let replaced = inner.config.swap(config);
        // Pinned threads may still read the old configuration, so the epoch frees it; flushed so that it does not linger in
        // this thread's local bag.
        let guard = pin();
        guard.defer(move || drop(replaced));
        guard.flush();
        // ORDERING: Release, pairs with Acquire in `limit`.
        inner.hot.limit.store(limit, Release);
        Ok(true)
    }
}

impl From<Config> for Result<Config, ConfigError> {
    /// A change that cannot fail; see [`Limiter::update_config`].
    fn from(config: Config) -> Self {
        Ok(config)
    }
}

/// The limit for the path that must not read the configuration.
pub(super) fn mirrored_limit(config: &Config) -> u32 {
    // A limit of 0 looks like `LAYERED`, and goes that way.
    if config.is_plain() { config.max_per_client().count() } else { LAYERED }
}
