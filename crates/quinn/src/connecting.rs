//! A handshake under way, and what it holds.

use crate::connection::LimitedConnection;
use crate::endpoint::Shared;
use connlimit::datagram::Place;
use connlimit::{Client, Permit, Rejected};
use core::any::Any;
use core::fmt;
use core::net::SocketAddr;
use core::pin::Pin;
use core::task::{Context, Poll};
use quinn::{AsyncTimer, Connecting, Connection, ConnectionError, ZeroRttAccepted};
use std::sync::Arc;

/// A handshake that was let begin. Await it, in a task of its own: it ends with a [`LimitedConnection`], or at the
/// [deadline](crate::LimitedEndpoint::with_handshake_deadline).
///
/// It holds the client's permit; or a [`Place`], and then the client is counted when the handshake is complete. Dropping
/// it gives the handshake up.
///
/// # Cancel safety
///
/// It may be polled by reference, in a `select!` for example, and loses nothing.
///
/// # Panics
///
/// When polled after it was ready.
#[must_use = "a handshake that is not awaited comes to nothing"]
pub struct LimitedConnecting {
    // Fields are dropped in this order: the connection is closed before its permit is released.
    under_way: Option<UnderWay>,
    timer: Option<Pin<Box<dyn AsyncTimer>>>,
    client: Client,
    remote: SocketAddr,
    shared: Arc<Shared>,
}

struct UnderWay {
    connecting: Connecting,
    held: Held,
}

/// What a handshake holds.
pub(crate) enum Held {
    Permit(Permit),
    Place(Place),
}

/// Why a handshake came to nothing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum HandshakeError {
    /// QUIC or TLS ended it.
    Connection(ConnectionError),
    /// It was not complete at the [deadline](crate::LimitedEndpoint::with_handshake_deadline).
    DeadlinePassed,
    /// It was begun before the client's address was validated, and the client gets no connection now that it is. The
    /// connection has been closed and the [hook](crate::LimitedEndpoint::on_rejected) been told.
    Rejected(Rejected),
}

impl LimitedConnecting {
    pub(crate) fn new(
        connecting: Connecting,
        held: Held,
        client: Client,
        remote: SocketAddr,
        shared: Arc<Shared>,
    ) -> Self {
        let timer = shared.handshake_timer();
        Self { under_way: Some(UnderWay { connecting, held }), timer, client, remote, shared }
    }

    /// Whom the connection is counted for.
    #[must_use]
    pub const fn client(&self) -> Client {
        self.client
    }

    /// The address that the first packet came from.
    #[must_use]
    pub const fn remote_address(&self) -> SocketAddr {
        self.remote
    }

    /// Whether that address is known to be the peer's own: the connection is counted. If not, the handshake is in one
    /// of the [places](crate::LimitedEndpoint::with_unvalidated_handshakes) set aside.
    #[must_use]
    pub const fn remote_address_validated(&self) -> bool {
        matches!(self.under_way, Some(UnderWay { held: Held::Permit(_), .. }))
    }

    /// As [`Connecting::handshake_data`]: the server name and the protocol that were agreed on, before the handshake is
    /// complete. Has no deadline of its own.
    ///
    /// # Errors
    ///
    /// When the handshake failed.
    ///
    /// # Panics
    ///
    /// When the handshake was polled to its end before.
    pub async fn handshake_data(&mut self) -> Result<Box<dyn Any>, ConnectionError> {
        self.under_way.as_mut().expect(OVER).connecting.handshake_data().await
    }

    /// As [`Connecting::into_0rtt`]: a connection to answer on before the handshake is complete. See there for what that
    /// means for security. The deadline is not watched any more.
    ///
    /// # Errors
    ///
    /// The handshake itself, to go on with, when the client's address is not
    /// [validated](Self::remote_address_validated): such a client is not counted yet, and must not have work done for it.
    ///
    /// # Panics
    ///
    /// When the handshake was polled to its end before.
    #[expect(clippy::result_large_err, reason = "the handshake goes on with it")]
    pub fn into_0rtt(mut self) -> Result<(LimitedConnection, ZeroRttAccepted), Self> {
        let (connecting, held) = match self.under_way.take().expect(OVER) {
            UnderWay { connecting, held: Held::Permit(permit) } => (connecting, permit),
            under_way @ UnderWay { held: Held::Place(_), .. } => {
                self.under_way = Some(under_way);
                return Err(self);
            }
        };
        match connecting.into_0rtt() {
            Ok((connection, accepted)) => Ok((LimitedConnection::new(connection, held), accepted)),
            Err(connecting) => {
                self.under_way = Some(UnderWay { connecting, held: Held::Permit(held) });
                Err(self)
            }
        }
    }

    fn complete(&self, connection: Connection, held: Held) -> Result<LimitedConnection, HandshakeError> {
        let permit = match held {
            Held::Permit(permit) => permit,
            Held::Place(place) => match place.confirm() {
                Ok(permit) => {
                    self.shared.counters.admitted.add_one();
                    permit
                }
                Err(reason) => {
                    self.shared.close_rejected(&connection, reason);
                    self.shared.rejected(self.client, reason, self.remote);
                    return Err(HandshakeError::Rejected(reason));
                }
            },
        };
        Ok(LimitedConnection::new(connection, permit))
    }
}

const OVER: &str = "the handshake is over";

impl Future for LimitedConnecting {
    type Output = Result<LimitedConnection, HandshakeError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let under_way = self.under_way.as_mut().expect(OVER);
        let outcome = match Pin::new(&mut under_way.connecting).poll(cx) {
            Poll::Ready(outcome) => outcome.map_err(HandshakeError::Connection),
            Poll::Pending => {
                let Some(Poll::Ready(())) = self.timer.as_mut().map(|timer| timer.as_mut().poll(cx)) else {
                    return Poll::Pending;
                };
                Err(HandshakeError::DeadlinePassed)
            }
        };
        Poll::Ready(match outcome {
            Ok(connection) => {
                let UnderWay { held, .. } = self.under_way.take().expect(OVER);
                self.complete(connection, held)
            }
            Err(error) => {
                self.give_up();
                Err(error)
            }
        })
    }
}

impl LimitedConnecting {
    fn give_up(&mut self) {
        if self.under_way.take().is_some() {
            self.shared.counters.failed.add_one();
        }
    }
}

impl Drop for LimitedConnecting {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl fmt::Debug for LimitedConnecting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitedConnecting")
            .field("client", &self.client)
            .field("remote_address", &self.remote)
            .field("remote_address_validated", &self.remote_address_validated())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(error) => write!(f, "handshake failed: {error}"),
            Self::DeadlinePassed => f.write_str("handshake not complete at its deadline"),
            Self::Rejected(reason) => write!(f, "handshake complete, connection rejected: {reason}"),
        }
    }
}

impl core::error::Error for HandshakeError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Connection(error) => Some(error),
            Self::DeadlinePassed => None,
            Self::Rejected(reason) => Some(reason),
        }
    }
}
