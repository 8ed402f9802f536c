//! One limit on concurrent connections per client for a fleet of machines, decided locally.
//!
//! A client may have `N` connections open in the whole fleet. Each machine has a small share of that for every client, and
//! leases more from an *engine*, a Redis or Valkey server, when a client needs it. Every admission is one of the exact
//! local limiter, within what this machine has: it takes nanoseconds and never waits. Only clients above their share ever
//! cost the engine anything.
//!
//! **Read [`operating`] first**: where the load balancer can route by client address, none of this is needed.
//!
//! # Examples
//!
//! ```no_run
//! use connlimit::{Config, Limiter};
//! use connlimit_fleet::{Fleet, Terms, engine::Redis};
//!
//! # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
//! let engine = Redis::open("redis://192.0.2.10/")?;
//! let fleet = Fleet::join(engine, Limiter::new(Config::new(100)), Terms::new(100).seats(10).share(1)).await?;
//!
//! let listener = tokio::net::TcpListener::bind("0.0.0.0:8080").await?;
//! let (stream, peer) = listener.accept().await?;
//! // In nanoseconds, or no.
//! if let Ok(permit) = fleet.try_acquire(peer) {
//!     # let _ = (permit, &stream);
//! }
//! // Waits for a lease, at most the patience agreed on; so not in the accept loop, but in the task of the connection.
//! let permit = fleet.acquire(peer).await?;
//! # let _ = permit;
//! # Ok(())
//! # }
//! ```
//!
//! # Guarantees
//!
//! `N` is the limit, `S` the seats, `f` the share of a seat, `Q = max(N - S * f, 0)` what can be leased, `T` the time to
//! live. In numbers: `N` = 100, `S` = 10, `f` = 1, so `Q` = 90, and `T` = 10 s. [`Terms::bounds`] computes them.
//!
//! | situation | connections of one client in the fleet | example |
//! |---|---|---|
//! | all is well | at most `max(N, S * f)` | 100 |
//! | | and none is rejected before there are `N` less the shares of machines where the client is not, at most `(S - 1) * f`; what is leased elsewhere and not used comes back within `T / 4`, on request | 91 on one machine alone, 100 everywhere |
//! | shares [beyond the limit](Terms::share_beyond_limit), `S * f > N` | at most `S * f` | `f` = 12: 120 |
//! | a machine dies | at most `max(N, S * f)`; what it had is free after `T` | 100; 10 s |
//! | a machine is cut off for `T`, [`OnLoss::Keep`] | at most `max(N, S * f)` and what was open there above the share, at most `Q`; for `j` times `j * Q`, as long as those connections stay. If another machine takes its seat, `f` more | 190 |
//! | the same, [`OnLoss::Close`] | at most `max(N, S * f)` when what is [named](Fleet::overhang) has been closed | 100 |
//! | the engine dies, restarts, is emptied | at most `max(N, S * f)`; nothing is granted for `T` when it is back | 100 |
//! | a replica takes over that lacks the last grants | the same | 100 |
//! | two engines at once, for want of a quorum | at most `max(N, S * f) + Q` | 190 |
//! | the engine is away, [`WhenAway::Share`] | what is open, and at most `f` on each machine | |
//! | the same, [`WhenAway::Hold`] | at most `max(N, S * f)` if it is away for all; `Q` more for each machine that is cut off alone | 100; 190 |
//! | the same, [`WhenAway::Open`] | at most `N` on each machine | 1000 |
//! | a clock is set, on a machine or on the engine | as if nothing had been | 100 |
//!
//! Assumed is that clocks run within 1.5 % of true time, that machines are honest, and that no more machines run than there
//! are seats, where seats are said to matter. Each line is checked under loss, delay, duplication and reordering of messages
//! by the tests of the protocol, which is a pure state machine; and on a real server that is killed, stopped, emptied and
//! replaced.
//!
//! Requests to the engine, per second: `4 S / T` when nobody is above a share, and one for each [flush](Terms::flush) of a
//! machine in which somebody asks for more; each names up to 256 clients. A client at its limit who insists is asked for
//! once in `T / 8`.
//!
//! # How it works
//!
//! ```text
//! cap of client c on machine m  =  f (with a seat)  +  k(m, c) leased        the engine:  sum over m of k(m, c) <= Q
//!
//!           count reaches f               granted                 idle, or wanted elsewhere
//!  SHARE ------------------> ASKING ----------------> LEASED k ----------------------------> LEASED k'
//!    ^                          | refused                |  the session's deadline has passed
//!    |<-------------------------+                        v
//!    |  overhang gone                                   LOST: cap = f; what is open above f stays, or is named for closing
//!    +<------------------- told to the engine <----------+  in touch again
//! ```
//!
//! A lease lasts as long as the machine's session, which each request extends: no renewal per client. A machine counts the
//! session's end from before it sent the request, by a clock that goes on while it is suspended, and a 32nd early. It raises
//! a cap when the answer is there; it lowers it first and then says so, and each admission looks twice, so that none slips
//! through between the two. When the engine may have forgotten something (an empty memory, another `run_id`, a clock that
//! was set) it grants nothing for `T`: by then each machine has told what it has, or has stopped relying on it.
//!
//! The idea of learning before granting is that of Google's Doorman, whose leases are for rates; what differs for
//! connections is that they do not end when their lease does.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod client;
mod clock;
mod driver;
pub mod engine;
mod error;
mod fleet;
mod gate;
mod protocol;
mod stats;
mod sync;
mod terms;

#[doc = include_str!("operating.md")]
pub mod operating {}

pub use client::FleetClient;
pub use error::{JoinError, Rejection};
pub use fleet::Fleet;
pub use stats::{Overhang, Stats};
pub use terms::{Bounds, OnLoss, Terms, TermsError, WhenAway};

/// The code of the README is compiled with the other examples.
#[doc = include_str!("../README.md")]
#[cfg(all(doctest, feature = "redis"))]
struct ReadmeDoctests;
