//! Sorts what a socket accepts: trusted proxies have their header read, everybody else is closed or goes straight on.

use super::{MAX_HEADER, Origin, ProxyError, ProxyErrors, read_header};
use crate::Listen;
use connlimit::{Client, Config, Limiter, config::Limit};
use core::{
    fmt,
    net::SocketAddr,
    task::{Context, Poll, ready},
    time::Duration,
};
use ipnet::IpNet;
use std::io;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// A TCP socket whose connections come through proxies that speak the PROXY protocol.
///
/// The address of an accepted connection is its client's; the proxy's own connections (health checks, clients that it
/// cannot name) have the proxy's address and are counted for the proxy.
///
/// A connection without a valid header is closed, [told](Self::on_error) and [counted](Self::errors).
///
/// Use it inside a [`LimitedListener`](crate::LimitedListener); see the [module](super).
pub struct Proxied<L: Listen<Addr = SocketAddr>> {
    listener: L,
    trusted: Vec<IpNet>,
    untrusted: Untrusted,
    max_header: usize,
    deadline: Duration,
    max_reading: usize,
    /// Headers being read, counted for the proxy they come from.
    readers: Limiter,
    reading: JoinSet<Read<L::Stream>>,
    on_error: Option<OnError>,
    errors: ProxyErrors,
}

/// A connection and whom it is counted for, or what was wrong and with whom.
type Read<S> = Result<(S, SocketAddr), (ProxyError, SocketAddr)>;
type OnError = Box<dyn FnMut(&ProxyError, SocketAddr) + Send>;

/// What happens to connections from outside the trusted networks.
///
/// Their bytes are never read for a header, so they cannot name a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Untrusted {
    /// They are closed.
    #[default]
    Close,
    /// They are clients that connect directly, counted for their own address.
    Direct,
}

impl<L: Listen<Addr = SocketAddr>> Proxied<L> {
    /// Believes the headers of connections from the `trusted` networks. All others are closed.
    ///
    /// IPv4 proxies are recognised on a dual-stack socket too.
    ///
    /// A header may have [`MAX_HEADER`] bytes and take 5 seconds; 1024 may be read at once, 512 of one proxy address.
    pub fn new(listener: L, trusted: impl IntoIterator<Item = impl Into<IpNet>>) -> Self {
        Self {
            listener,
            trusted: trusted.into_iter().map(Into::into).collect(),
            untrusted: Untrusted::default(),
            max_header: MAX_HEADER,
            deadline: Duration::from_secs(5),
            max_reading: 1024,
            readers: Limiter::new(Config::new(512)),
            reading: JoinSet::new(),
            on_error: None,
            errors: ProxyErrors::default(),
        }
    }

    /// Decides what happens to connections from outside the trusted networks.
    #[must_use]
    pub const fn with_untrusted(mut self, untrusted: Untrusted) -> Self {
        self.untrusted = untrusted;
        self
    }

    /// Bounds the length of a header of version 2, in bytes. Version 1 has 107 by its definition.
    #[must_use]
    pub const fn with_max_header(mut self, bytes: usize) -> Self {
        self.max_header = bytes;
        self
    }

    /// Bounds the time from accepting a connection to the last byte of its header. The protocol asks for at least
    /// 3 seconds, so that one lost packet can be sent again.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Bounds the headers that are read at once: `total`, and of those `per_proxy` from one address. Connections
    /// beyond are closed; a bound of 0 closes all.
    ///
    /// Proxies send the header first and at once, so few are ever under way; the bounds are for proxies that hang.
    #[must_use]
    pub fn with_max_reading(mut self, total: usize, per_proxy: impl Into<Limit>) -> Self {
        self.max_reading = total;
        self.readers = Limiter::new(Config::new(per_proxy));
        self
    }

    /// Is told of each connection that was closed for want of a valid header, with the address it came from. Must not
    /// block.
    #[must_use]
    pub fn on_error(mut self, observe: impl FnMut(&ProxyError, SocketAddr) + Send + 'static) -> Self {
        self.on_error = Some(Box::new(observe));
        self
    }

    /// How often a connection was closed for want of a valid header. Clone it to watch the counts.
    #[must_use]
    pub const fn errors(&self) -> &ProxyErrors {
        &self.errors
    }

    fn trusts(&self, proxy: SocketAddr) -> bool {
        let proxy = proxy.ip().to_canonical();
        self.trusted.iter().any(|network| network.contains(&proxy))
    }

    fn begin_reading(&mut self, mut stream: L::Stream, proxy: SocketAddr) -> Result<(), ProxyError> {
        if self.reading.len() >= self.max_reading {
            return Err(ProxyError::Busy);
        }
        let reader = self.readers.try_acquire(proxy);
        let reader = reader.map_err(|_rejected| ProxyError::Busy)?;
        let (max_header, deadline) = (self.max_header, self.deadline);
        self.reading.spawn(async move {
            let _reader = reader;
            let header = timeout(deadline, read_header(&mut stream, max_header)).await;
            match header.unwrap_or(Err(ProxyError::Late)) {
                Ok(Origin::Client(client)) => Ok((stream, client)),
                Ok(Origin::Proxy) => Ok((stream, proxy)),
                Err(error) => Err((error, proxy)),
            }
        });
        Ok(())
    }

    fn tell(&mut self, error: &ProxyError, proxy: SocketAddr) {
        self.errors.count(error);
        if let Some(observe) = &mut self.on_error {
            observe(error, proxy);
        }
    }
}

impl<L: Listen<Addr = SocketAddr>> Listen for Proxied<L> {
    type Stream = L::Stream;
    type Addr = SocketAddr;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(L::Stream, SocketAddr)>> {
        loop {
            match self.reading.poll_join_next(cx) {
                Poll::Ready(Some(Ok(Ok(accepted)))) => return Poll::Ready(Ok(accepted)),
                Poll::Ready(Some(Ok(Err((error, proxy))))) => {
                    self.tell(&error, proxy);
                    continue;
                }
                // The runtime is ending, and took the stream along.
                Poll::Ready(Some(Err(_gone))) => continue,
                Poll::Ready(None) | Poll::Pending => {}
            }
            let (stream, peer) = ready!(self.listener.poll_accept(cx))?;
            let begun = match self.untrusted {
                _ if self.trusts(peer) => self.begin_reading(stream, peer),
                Untrusted::Direct => return Poll::Ready(Ok((stream, peer))),
                Untrusted::Close => Err(ProxyError::Untrusted),
            };
            if let Err(error) = begun {
                self.tell(&error, peer);
            }
        }
    }

    fn client(&self, _stream: &L::Stream, client: &SocketAddr) -> Client {
        (*client).into()
    }

    fn admitted(&self, stream: &mut L::Stream) {
        self.listener.admitted(stream);
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl<L: Listen<Addr = SocketAddr>> fmt::Debug for Proxied<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxied")
            .field("trusted", &self.trusted)
            .field("untrusted", &self.untrusted)
            .field("reading", &self.reading.len())
            .finish_non_exhaustive()
    }
}
