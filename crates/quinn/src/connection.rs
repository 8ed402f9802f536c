//! A connection and the permit it was admitted with, as one value.

use connlimit::Permit;
use core::ops::Deref;
use quinn::{Connection, VarInt};

/// A connection that owns the permit it was admitted with.
///
/// It is used as the [`Connection`] that it derefs to. Dropping it closes the connection, with error code 0 as quinn
/// does, and releases the permit after that: a client never has more connections open than it has permits. This holds
/// during a panic as well.
///
/// # It must outlive its streams
///
/// quinn keeps a connection open while there is a stream or a cloned handle of it, and so must a count. Here the
/// connection ends with this value instead: handles that were cloned from it (`connection.clone()` is a plain
/// [`Connection`]) and streams in other tasks find it closed then. So keep it until they are done: loop until `accept_bi`
/// fails, or wait for [`closed`](Connection::closed), which a server has to do anyway if its last answer is to arrive.
///
/// # Migration
///
/// The permit is the one of the address that was admitted, wherever the client has moved since; see
/// [`connlimit::datagram`].
///
/// # Examples
///
/// HTTP/3 takes a plain handle, while the permit stays with the task:
///
/// ```
/// use connlimit_quinn::LimitedConnection;
///
/// async fn serve(connection: LimitedConnection) -> Result<(), h3::error::ConnectionError> {
///     let handle = h3_quinn::Connection::new(connection.get_ref().clone());
///     let mut requests = h3::server::Connection::<_, bytes::Bytes>::new(handle).await?;
///     while let Some(_request) = requests.accept().await? {
///         // answer it
///     }
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct LimitedConnection {
    // Fields are dropped in this order.
    connection: ClosedOnDrop,
    permit: Permit,
}

impl LimitedConnection {
    /// Ties `permit` to `connection`.
    #[must_use]
    pub const fn new(connection: Connection, permit: Permit) -> Self {
        Self { connection: ClosedOnDrop { connection, armed: true }, permit }
    }

    /// The connection.
    #[must_use]
    pub const fn get_ref(&self) -> &Connection {
        &self.connection.connection
    }

    /// The permit, which stays where it is.
    pub const fn permit(&self) -> &Permit {
        &self.permit
    }

    /// Takes the two apart. Nothing is closed and nothing is released: the connection is counted until the permit is
    /// dropped, and open until all its handles and streams are.
    pub fn into_parts(self) -> (Connection, Permit) {
        let Self { mut connection, permit } = self;
        connection.armed = false;
        (connection.connection.clone(), permit)
    }
}

impl Deref for LimitedConnection {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.get_ref()
    }
}

#[derive(Debug)]
struct ClosedOnDrop {
    connection: Connection,
    armed: bool,
}

impl Drop for ClosedOnDrop {
    fn drop(&mut self) {
        if self.armed {
            // Of a connection that is closed already nothing changes.
            self.connection.close(VarInt::from_u32(0), b"");
        }
    }
}
