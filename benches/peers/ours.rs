//! connlimit itself, call by call and in sessions.

use super::Peer;
use connlimit::{Config, Limiter, Permit, Session};
use core::net::IpAddr;

pub(crate) struct Connlimit(Limiter);

impl Peer for Connlimit {
    const NAME: &'static str = "connlimit";
    type Permit<'p> = Permit;
    type Session<'p> = ();

    fn new(limit: u32, _: u32) -> Self {
        Self(Limiter::new(Config::new(limit)))
    }

    fn session(&self) {}

    fn try_acquire(&self, (): &mut (), client: IpAddr) -> Option<Permit> {
        self.0.try_acquire(client).ok()
    }
}

/// As an accept loop would use it: a session for each batch of connections, never kept for long.
pub(crate) struct InSession(Limiter);

impl Peer for InSession {
    const NAME: &'static str = "connlimit-session";
    type Permit<'p> = Permit;
    type Session<'p> = Session<'p>;

    fn new(limit: u32, _: u32) -> Self {
        Self(Limiter::new(Config::new(limit)))
    }

    fn session(&self) -> Session<'_> {
        self.0.session()
    }

    fn try_acquire<'p>(&'p self, session: &mut Session<'p>, client: IpAddr) -> Option<Permit> {
        session.try_acquire(client).ok()
    }
}
