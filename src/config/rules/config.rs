//! The rules of a configuration, one by one.

use super::{Action, Rules, unmapped};
use crate::config::{Config, ConfigError};
use ipnet::IpNet;

impl Config {
    /// Gives one network something else than the limit for everybody, in place of the rule that it has, if any. Of all
    /// rules for networks that contain a client's address, the one with the longest prefix counts; see [`Rules`].
    ///
    /// For many rules, [`with_rules`](Self::with_rules) takes them at once, where this puts all together anew each
    /// time.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Rule`], as for [`Rules::new`].
    ///
    /// # Examples
    ///
    /// No limit for this host, whose health checks come from loopback, and nothing for a network that misbehaves:
    ///
    /// ```
    /// use connlimit::{Config, config::Action};
    ///
    /// let config = Config::new(16)
    ///     .with_rule("127.0.0.0/8".parse()?, Action::Unlimited)?
    ///     .with_rule("::1/128".parse()?, Action::Unlimited)?
    ///     .with_rule("192.0.2.0/24".parse()?, Action::Deny)?;
    /// assert_eq!(config.rules().action("127.1.2.3".parse()?), Some(Action::Unlimited));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_rule(self, network: IpNet, action: Action) -> Result<Self, ConfigError> {
        self.with_rules([(network, action)])
    }

    /// Adds rules to those that are there. A network that has a rule already gets the new one.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Rule`], as for [`Rules::new`] with the new rules.
    ///
    /// # Examples
    ///
    /// The error names the rule:
    ///
    /// ```
    /// use connlimit::{Config, config::{Action, ConfigError, RuleErrorKind}};
    ///
    /// let error = Config::new(16).with_rules([("10.0.0.1/8".parse()?, Action::Deny)]).unwrap_err();
    /// assert_eq!(error, ConfigError::Rule { network: "10.0.0.1/8".to_string(), kind: RuleErrorKind::HostBits });
    /// assert_eq!(error.to_string(), "rule for 10.0.0.1/8: the address has bits beyond the prefix");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_rules(mut self, rules: impl IntoIterator<Item = (IpNet, Action)>) -> Result<Self, ConfigError> {
        let new = Rules::new(rules)?;
        let kept = self.rules.iter().filter(|(network, _)| new.get(*network).is_none());
        self.rules = Rules::new(kept.chain(new.iter()))?;
        Ok(self)
    }

    /// Takes away the rule for exactly this network, if there is one.
    ///
    /// # Examples
    ///
    /// ```
    /// use connlimit::{Config, Limiter, config::Action};
    ///
    /// let network = "192.0.2.0/24".parse()?;
    /// let limiter = Limiter::new(Config::new(16).with_rule(network, Action::Deny)?);
    /// limiter.update_config(|config| config.without_rule(network))?;
    /// assert!(limiter.config().rules().is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn without_rule(mut self, network: IpNet) -> Self {
        let network = unmapped(network);
        if self.rules.get(network).is_some() {
            let kept = self.rules.iter().filter(|(other, _)| *other != network);
            // A part of rules that stand together stands as well.
            self.rules = Rules::new(kept).unwrap_or_else(|_| self.rules.clone());
        }
        self
    }

    /// Takes all rules away.
    #[must_use]
    pub fn without_rules(mut self) -> Self {
        self.rules = Rules::default();
        self
    }

    /// What single networks get instead of the limit for everybody.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }
}
