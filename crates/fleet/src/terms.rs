//! What an operator decides: the limit, the seats, and what happens when something is lost.

use crate::protocol::machine::Settings;
use crate::protocol::wire::Rules;
use core::fmt;
use core::time::Duration;

/// What a fleet has agreed on, and how this machine goes about it.
///
/// The seats, the share, the time to live and the [name](Self::fleet) must be the same on all machines; a machine that
/// comes with others is turned away by [`Fleet::join`](crate::Fleet::join). The limit may differ for a while, so that it
/// can be changed one machine after the other: the largest one bounds them all. The rest is each machine's own.
///
/// | term | default | |
/// |---|---|---|
/// | [`seats`](Self::seats) | 16 | machines that have a share of their own |
/// | [`share`](Self::share) | 1, or 0 if `seats > limit / 2` | connections of a client that a machine admits without a lease |
/// | [`ttl`](Self::ttl) | 10 s | how long a machine that died keeps what it had |
/// | [`patience`](Self::patience) | 20 ms | how long [`acquire`](crate::Fleet::acquire) waits for a lease |
/// | [`flush`](Self::flush) | 5 ms | least time between two requests to the engine |
/// | [`timeout`](Self::timeout) | `ttl / 10` | how long to wait for the engine's answer |
/// | [`on_loss`](Self::on_loss) | [`OnLoss::Keep`] | connections that have lost their lease |
/// | [`when_away`](Self::when_away) | [`WhenAway::Share`] | admissions while the engine cannot be reached |
///
/// # Examples
///
/// ```
/// use connlimit_fleet::Terms;
///
/// let terms = Terms::new(100).seats(10).share(1);
/// let bounds = terms.bounds()?;
/// assert_eq!((bounds.limit, bounds.leased, bounds.alone), (100, 90, 91));
/// # Ok::<(), connlimit_fleet::TermsError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Terms {
    limit: u32,
    seats: u32,
    share: Option<u32>,
    shares_beyond_limit: bool,
    ttl: Duration,
    pub(crate) patience: Duration,
    flush: Duration,
    timeout: Option<Duration>,
    pub(crate) on_loss: OnLoss,
    when_away: WhenAway,
    pub(crate) fleet: String,
}

/// What becomes of connections above the share when a machine has been cut off from the engine for a time to live, so
/// that what was leased to it may have been given to others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnLoss {
    /// They stay. The fleet may have up to [`Bounds::cut_off`] connections of the client open until they end.
    #[default]
    Keep,
    /// They are named by [`Fleet::overhang`](crate::Fleet::overhang), for the server to close them.
    Close,
}

/// What a machine admits while it has lost touch with the engine for a time to live. It cannot tell whether the engine
/// is away for all, or only for itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WhenAway {
    /// Its share of each client.
    #[default]
    Share,
    /// What it had leased too. Right when the engine is away for all; if only this machine is cut off, the others may be
    /// granted the same once more.
    Hold,
    /// The whole limit, on this machine alone: the fleet may have `machines * limit` connections of each client.
    Open,
}

/// How many connections of one client a fleet has open at most, by what has happened. From [`Terms::bounds`].
///
/// `N` is the limit, `S` the seats, `f` the share, and `Q = max(N - S * f, 0)` what can be leased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bounds {
    /// `max(N, S * f)`: while all is well; when machines die; when the engine dies, restarts, forgets everything, or is
    /// replaced by a replica that lacks the last grants; when any clock is set.
    pub limit: u32,
    /// `Q`: what can be leased in all.
    pub leased: u32,
    /// `N - (S - 1) * f`: what one machine admits when the client is nowhere else. A client that spreads its connections
    /// gets the whole limit.
    pub alone: u32,
    /// `max(N, S * f) + Q`: while connections stay that a machine kept which was cut off for a time to live. Each further
    /// time that this happens while they stay adds `Q` again; precisely, what was open above the share. If another
    /// machine has taken the seat meanwhile, there is `f` more.
    pub cut_off: u32,
    /// `S * N`: while the engine is away and machines are told to be [open](WhenAway::Open).
    pub open: u32,
}

impl Terms {
    /// At most `limit` connections of each client in the whole fleet.
    pub const fn new(limit: u32) -> Self {
        Self {
            limit,
            seats: 16,
            share: None,
            shares_beyond_limit: false,
            ttl: Duration::from_secs(10),
            patience: Duration::from_millis(20),
            flush: Duration::from_millis(5),
            timeout: None,
            on_loss: OnLoss::Keep,
            when_away: WhenAway::Share,
            fleet: String::new(),
        }
    }

    /// Machines that may have a share: at least as many as run at once, those that are being replaced included. A machine
    /// that finds no seat free takes part without a share, and takes a seat when one falls free.
    ///
    /// Each seat sets `share` connections of the limit aside, whether there is a machine or not.
    pub const fn seats(mut self, seats: u32) -> Self {
        self.seats = seats;
        self
    }

    /// Connections of each client that a machine with a seat admits without asking anybody. With 0, no connection is
    /// admitted without a lease: then clients are to be let in by [`acquire`](crate::Fleet::acquire), which waits.
    pub const fn share(mut self, share: u32) -> Self {
        self.share = Some(share);
        self.shares_beyond_limit = false;
        self
    }

    /// As [`share`](Self::share), and allows that the shares together exceed the limit. The fleet's bound is then
    /// `seats * share`, not the limit, and nothing is ever leased.
    pub const fn share_beyond_limit(mut self, share: u32) -> Self {
        self.share = Some(share);
        self.shares_beyond_limit = true;
        self
    }

    /// How long the leases and the seat of a machine outlive it. A machine that hears nothing from the engine relies on
    /// its leases for this long, less a 32nd. Between a second and an hour.
    ///
    /// When the engine has lost its memory it grants nothing for this long.
    pub const fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// How long [`acquire`](crate::Fleet::acquire) waits for a lease; at most the time to live.
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Least time between two requests of this machine to the engine. Longer ones gather more.
    pub const fn flush(mut self, flush: Duration) -> Self {
        self.flush = flush;
        self
    }

    /// How long to wait for an answer of the engine, connecting included; at most a quarter of the time to live.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// What becomes of connections that have lost their lease.
    pub const fn on_loss(mut self, on_loss: OnLoss) -> Self {
        self.on_loss = on_loss;
        self
    }

    /// What is admitted while the engine cannot be reached.
    pub const fn when_away(mut self, when_away: WhenAway) -> Self {
        self.when_away = when_away;
        self
    }

    /// The fleet's name, should several share an engine. It is part of each key there: letters, digits, `-`, `_`, `.`
    /// and `:`. The default is the empty name.
    pub fn fleet(mut self, name: impl Into<String>) -> Self {
        self.fleet = name.into();
        self
    }

    fn shares(&self) -> u32 {
        self.share.unwrap_or(u32::from(self.seats <= self.limit / 2))
    }

    /// What these terms promise, in numbers.
    ///
    /// # Errors
    ///
    /// [`TermsError`] when they cannot stand.
    pub fn bounds(&self) -> Result<Bounds, TermsError> {
        let settings = self.settings()?;
        let (limit, Rules { pool, seats, share, .. }) = (self.limit, settings.rules);
        let bound = limit.max(seats.saturating_mul(share));
        Ok(Bounds {
            limit: bound,
            leased: pool,
            alone: pool.saturating_add(if seats > 0 { share } else { 0 }),
            cut_off: bound.saturating_add(pool),
            open: seats.saturating_mul(limit),
        })
    }

    pub(crate) fn settings(&self) -> Result<Settings, TermsError> {
        let Self { limit, seats, ttl, flush, patience, .. } = *self;
        let share = self.shares();
        let timeout = self.timeout.unwrap_or(ttl / 10);
        if limit == 0 {
            return Err(TermsError::NoLimit);
        }
        if share > limit {
            return Err(TermsError::ShareAboveLimit { share, limit });
        }
        if u64::from(seats) * u64::from(share) > u64::from(limit) && !self.shares_beyond_limit {
            return Err(TermsError::SharesAboveLimit { seats, share, limit });
        }
        if ttl < Duration::from_secs(1) || ttl > Duration::from_secs(3600) {
            return Err(TermsError::Ttl(ttl));
        }
        if timeout > ttl / 4 || timeout < Duration::from_millis(1) {
            return Err(TermsError::Timeout(timeout));
        }
        if flush > ttl / 10 {
            return Err(TermsError::Flush(flush));
        }
        if patience > ttl {
            return Err(TermsError::Patience(patience));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
        if !self.fleet.chars().all(plain) || self.fleet.len() > 100 {
            return Err(TermsError::Fleet(self.fleet.clone()));
        }
        let retention = Duration::from_secs(7200).max(ttl * 20);
        Ok(Settings {
            rules: Rules { pool: limit.saturating_sub(seats.saturating_mul(share)), seats, share, ttl, retention },
            limit,
            when_away: self.when_away,
            flush,
            timeout,
            idle: ttl / 2,
        })
    }
}

/// Why terms cannot stand.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TermsError {
    /// A limit of 0.
    NoLimit,
    /// One machine's share is more than the whole limit.
    ShareAboveLimit {
        /// The share.
        share: u32,
        /// The limit.
        limit: u32,
    },
    /// The shares of all seats together are more than the limit, and nobody
    /// [said](Terms::share_beyond_limit) that they may.
    SharesAboveLimit {
        /// The seats.
        seats: u32,
        /// The share.
        share: u32,
        /// The limit.
        limit: u32,
    },
    /// A time to live below a second or above an hour.
    Ttl(Duration),
    /// A timeout above a quarter of the time to live, or below a millisecond.
    Timeout(Duration),
    /// More than a tenth of the time to live between two requests.
    Flush(Duration),
    /// Patience for longer than the time to live.
    Patience(Duration),
    /// A name with other characters than letters, digits, `-`, `_`, `.` and `:`, or longer than 100.
    Fleet(String),
}

impl fmt::Display for TermsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLimit => f.write_str("a limit of 0 admits nobody"),
            Self::ShareAboveLimit { share, limit } => write!(f, "a share of {share} is above the limit of {limit}"),
            Self::SharesAboveLimit { seats, share, limit } => {
                write!(f, "{seats} seats with a share of {share} are above the limit of {limit}")
            }
            Self::Ttl(ttl) => write!(f, "time to live of {ttl:?} is not between a second and an hour"),
            Self::Timeout(timeout) => {
                write!(f, "timeout of {timeout:?} is not between a millisecond and a quarter of the time to live")
            }
            Self::Flush(flush) => write!(f, "flush interval of {flush:?} is above a tenth of the time to live"),
            Self::Patience(patience) => write!(f, "patience of {patience:?} is above the time to live"),
            Self::Fleet(name) => write!(f, "{name:?} cannot be a fleet's name"),
        }
    }
}

impl core::error::Error for TermsError {}
