//! Admission for protocols over UDP, where the source address of a first packet proves nothing.
//!
//! TCP has exchanged packets with a peer before a server accepts. A QUIC server sees a single datagram, and anybody can
//! write any source address into it. A server that counts such a packet for the client it names can be used to lock that
//! client out: its places are taken by packets that it never sent. So before an address is validated it must not be
//! counted, and it must not be rejected either: the rejection would be about a client that may have sent nothing, and
//! would carry its name into logs and ban lists.
//!
//! A [`Gate`] knows one fact more than a [`Limiter`], whether the address is validated, and has one
//! answer more, [`Validate`](Verdict::Validate). It does no input and output and knows no protocol; `connlimit-quinn` is
//! built on it, and any stack that tells whether an address is validated can be.
//!
//! # What counts as validated
//!
//! For QUIC, [RFC 9000, section 8.1]: the packet carries a token of a Retry packet ([8.1.2]) or of an earlier connection
//! ([8.1.3]) that the stack has found good; or the handshake has come so far that the peer has answered something that
//! was sent to its address. For DTLS, a cookie ([RFC 9147, section 5.1]). The gate believes what it is told.
//!
//! # Migration
//!
//! A QUIC connection may move to another address ([RFC 9000, section 9]). Its permit stays with the client that was
//! admitted, and that is on purpose: whoever can copy packets of a connection can make it seem to have moved to an
//! address of their choice, if only for a moment ([9.3.1]), and counts that follow could be moved to a victim. So a client
//! may hold connections at an address beyond that address's limit, but no more than the limits of all the addresses at
//! which it could receive packets.
//!
//! [RFC 9000, section 8.1]: https://www.rfc-editor.org/rfc/rfc9000.html#section-8.1
//! [8.1.2]: https://www.rfc-editor.org/rfc/rfc9000.html#section-8.1.2
//! [8.1.3]: https://www.rfc-editor.org/rfc/rfc9000.html#section-8.1.3
//! [RFC 9000, section 9]: https://www.rfc-editor.org/rfc/rfc9000.html#section-9
//! [9.3.1]: https://www.rfc-editor.org/rfc/rfc9000.html#section-9.3.1
//! [RFC 9147, section 5.1]: https://www.rfc-editor.org/rfc/rfc9147.html#section-5.1

#[cfg(all(test, connlimit_loom))]
mod models;
mod places;
#[cfg(all(test, not(connlimit_model)))]
mod tests;

use crate::client::Client;
use crate::limiter::Limiter;
use crate::permit::Permit;
use crate::rejected::Rejected;
use crate::sync::Arc;
use core::time::Duration;
use places::{Places, Taken};
use std::time::Instant;

/// Decides about first packets, by client and by whether the client's address is validated.
///
/// A cheap handle, like the [`Limiter`] in it: clones share counts and places.
///
/// # What is guaranteed between threads
///
/// - A packet from an address that is not validated changes no client's count, is never rejected, and never causes
///   another packet to be rejected. However many there are, and whomever they name, a client below its limits that
///   validates its address is admitted.
/// - Unless [`with_unvalidated_handshakes`](Self::with_unvalidated_handshakes) allows some, no handshake begins before
///   the address is validated.
/// - Memory does not grow with packets that are not validated.
/// - For validated clients all that [`Limiter`] guarantees.
/// - Every decision is lock-free.
///
/// # Why validation comes first, always
///
/// [RFC 9000, section 8.1.2] lets a server send Retry packets only under load, which saves clients one round trip on
/// their first contact (for later ones there are tokens, section 8.1.3). But a handshake costs a signature and memory
/// for as long as it is under way, and "under load" is what an attacker decides. So the default is the one that has nothing to
/// exhaust: a Retry is computed from the packet and forgotten. Whoever wants the round trip back sets aside a fixed
/// number of places, which is then all that an attacker can take.
///
/// # Examples
///
/// ```
/// use connlimit::datagram::{Gate, Verdict};
/// use connlimit::{Config, Limiter, Rejected};
/// use std::net::Ipv4Addr;
///
/// let gate = Gate::new(Limiter::new(Config::new(1)));
/// let client = Ipv4Addr::new(192, 0, 2, 1);
///
/// // Anybody may have sent these.
/// for _ in 0..1000 {
///     assert!(matches!(gate.decide(client, false), Verdict::Validate));
/// }
/// // This has come back with a token.
/// let Verdict::Admit(permit) = gate.decide(client, true) else { panic!("the client is below its limit") };
/// assert!(matches!(gate.decide(client, true), Verdict::Reject(Rejected::ClientLimit)));
/// # drop(permit);
/// ```
///
/// [RFC 9000, section 8.1.2]: https://www.rfc-editor.org/rfc/rfc9000.html#section-8.1.2
#[derive(Clone, Debug)]
pub struct Gate {
    limiter: Limiter,
    places: Arc<Places>,
}

/// What to do with a first packet.
#[derive(Debug)]
#[must_use = "an admitted connection stops being counted when its permit is dropped"]
pub enum Verdict {
    /// The address is validated and the connection is counted: begin the handshake, and keep the permit for as long as
    /// the connection.
    Admit(Permit),
    /// The address is not validated, and there is a place for a handshake all the same: begin it, and
    /// [confirm](Place::confirm) it when it is complete. Only where
    /// [`with_unvalidated_handshakes`](Gate::with_unvalidated_handshakes) has made places.
    AdmitUnvalidated(Place),
    /// Make the peer show that it receives at its address: send a Retry packet, and keep nothing.
    Validate,
    /// The client, whose address is validated, gets no connection now.
    Reject(Rejected),
}

impl Gate {
    /// A gate before `limiter` that lets nobody begin a handshake whose address is not validated.
    #[must_use]
    pub fn new(limiter: Limiter) -> Self {
        Self { limiter, places: Arc::new(Places::new(0, Duration::ZERO)) }
    }

    /// Lets up to `places` handshakes at a time begin before the address is validated, without the round trip of a
    /// Retry. While all places are taken, and for clients at their limit, the answer is
    /// [`Validate`](Verdict::Validate).
    ///
    /// A place is free again when its handshake is [confirmed](Place::confirm), and otherwise `deadline` after it was
    /// taken, however the handshake ended: so an attacker makes the server begin at most `places` handshakes in each
    /// `deadline`, not one for each packet. (A `deadline` of zero is one nanosecond, and bounds next to nothing.) 64
    /// places and ten seconds are less than seven signatures a second.
    ///
    /// These handshakes are counted for no client, and for neither [tiers](crate::Config::with_tier) nor
    /// [total](crate::Config::with_max_total), before they are confirmed. A packet that finds all places taken looks at
    /// each of them, which is why there are not more.
    ///
    /// Call it before the first decision: places that were taken before are forgotten.
    ///
    /// # Examples
    ///
    /// ```
    /// use connlimit::datagram::{Gate, Verdict};
    /// use connlimit::{Config, Limiter};
    /// use std::{net::Ipv4Addr, time::Duration};
    ///
    /// let limiter = Limiter::new(Config::new(8));
    /// let gate = Gate::new(limiter.clone()).with_unvalidated_handshakes(1, Duration::from_secs(10));
    /// let client = Ipv4Addr::new(192, 0, 2, 1);
    ///
    /// let Verdict::AdmitUnvalidated(place) = gate.decide(client, false) else { panic!("there is a place") };
    /// assert_eq!(limiter.open_connections(client), 0);
    /// assert!(matches!(gate.decide(client, false), Verdict::Validate));
    ///
    /// // The handshake is complete.
    /// let permit = place.confirm()?;
    /// assert_eq!(limiter.open_connections(client), 1);
    /// # drop(permit);
    /// # Ok::<(), connlimit::Rejected>(())
    /// ```
    #[must_use]
    pub fn with_unvalidated_handshakes(self, places: u8, deadline: Duration) -> Self {
        Self { places: Arc::new(Places::new(places, deadline)), ..self }
    }

    /// Decides about a first packet that says it comes from `client`. `validated` is whether that was found to be true,
    /// in the sense of [the module](self).
    ///
    /// A `validated` client is counted as by [`Limiter::try_acquire`]; what that rejects is
    /// [`Reject`](Verdict::Reject).
    #[cfg_attr(feature = "audit", track_caller)]
    pub fn decide(&self, client: impl Into<Client>, validated: bool) -> Verdict {
        let client = client.into();
        if validated {
            return self.limiter.try_acquire(client).map_or_else(Verdict::Reject, Verdict::Admit);
        }
        // The clock is read for those alone who have places.
        if self.places.is_empty() { Verdict::Validate } else { self.decide_unvalidated(client, Instant::now()) }
    }

    fn decide_unvalidated(&self, client: Client, now: Instant) -> Verdict {
        // A handshake that would end with a rejection is not worth a place: with a Retry it ends before it begins.
        match self.limiter.would_admit(client).then(|| self.places.take(now)).flatten() {
            Some(taken) => Verdict::AdmitUnvalidated(Place { gate: self.clone(), client, taken }),
            None => Verdict::Validate,
        }
    }

    /// The limiter that counts the validated clients.
    #[must_use]
    pub const fn limiter(&self) -> &Limiter {
        &self.limiter
    }
}

/// A place for one handshake with a peer whose address is not validated.
///
/// Dropping it gives nothing back before its [deadline](Self::deadline): a handshake that fails has cost as much as one
/// that does not, and who sends such packets should not get a new one for each.
#[derive(Debug)]
#[must_use = "a place that is not confirmed is taken until its deadline"]
pub struct Place {
    gate: Gate,
    client: Client,
    taken: Taken,
}

impl Place {
    /// Counts the connection for its client, now that the handshake is complete: that has validated the address
    /// ([RFC 9000, section 8.1]: the peer has used keys which it could only have from packets sent there). The place is
    /// given back after the count is taken, so that the connection is never counted nowhere.
    ///
    /// Works after the [deadline](Self::deadline) too, when the place may be somebody else's already.
    ///
    /// # Errors
    ///
    /// As [`Limiter::try_acquire`]: close the connection then. The place is given back all the same.
    ///
    /// [RFC 9000, section 8.1]: https://www.rfc-editor.org/rfc/rfc9000.html#section-8.1
    #[cfg_attr(feature = "audit", track_caller)]
    pub fn confirm(self) -> Result<Permit, Rejected> {
        self.confirm_at(Instant::now())
    }

    #[cfg_attr(feature = "audit", track_caller)]
    fn confirm_at(self, now: Instant) -> Result<Permit, Rejected> {
        let permit = self.gate.limiter.try_acquire(self.client);
        self.gate.places.give_back(self.taken, now);
        permit
    }

    /// The client that the first packet named, and that [`confirm`](Self::confirm) counts.
    #[must_use]
    pub const fn client(&self) -> Client {
        self.client
    }

    /// When the place is free again if the handshake is not confirmed. Give the handshake up then, or more of them are
    /// under way than there are places.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.gate.places.deadline(&self.taken)
    }
}
