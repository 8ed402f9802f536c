//! Reads one header and not a byte more.
//!
//! Both versions can be read exactly: version 2 says its length, and a line of version 1 that does not end in CR has at
//! least two bytes to go.

use core::{fmt, net::SocketAddr};
use proxy_header::{ParseConfig, ProxiedAddress, ProxyHeader};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// The longest header that [`Proxied`](super::Proxied) accepts unless told otherwise, in bytes.
///
/// Addresses take 52 bytes at most; the rest is for TLVs such as the names in a client's certificate.
pub const MAX_HEADER: usize = 4096;

/// Whose connection a header says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// That of a client at this address.
    Client(SocketAddr),
    /// The proxy's own, such as a health check (`LOCAL`), or that of a client it cannot name (`UNKNOWN`, `UNSPEC`, Unix
    /// addresses). The addresses of the connection itself are the ones to use.
    Proxy,
}

/// Why a connection that should have brought a PROXY header was closed.
#[derive(Debug)]
#[non_exhaustive]
pub enum ProxyError {
    /// It came from outside the trusted networks.
    Untrusted,
    /// Too many headers are being read, from this proxy or altogether.
    Busy,
    /// It began with something else.
    Missing,
    /// It began like a header and did not go on like one.
    Malformed,
    /// It announced a header of this many bytes, or did not end a line of this many.
    TooLong(usize),
    /// The header was not complete in time.
    Late,
    /// The connection failed, or ended within the header.
    Io(io::Error),
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Untrusted => f.write_str("connection from outside the trusted networks"),
            Self::Busy => f.write_str("too many PROXY headers are being read"),
            Self::Missing => f.write_str("no PROXY header"),
            Self::Malformed => f.write_str("malformed PROXY header"),
            Self::TooLong(bytes) => write!(f, "PROXY header of {bytes} bytes or more"),
            Self::Late => f.write_str("PROXY header not complete in time"),
            Self::Io(error) => write!(f, "connection failed within the PROXY header: {error}"),
        }
    }
}

impl core::error::Error for ProxyError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for ProxyError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

const V1: &[u8] = b"PROXY ";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// `PROXY UNKNOWN\r\n`; the shortest header of version 2 has one byte more.
const SHORTEST: usize = 15;
/// The longest line of version 1, with its CRLF.
const LONGEST_V1: usize = 107;
const V2_PREFIX: usize = 16;
const V2_LOCAL: u8 = 0x20;

/// Reads the PROXY header, of version 1 or 2, that `stream` begins with. What follows it is left in the stream.
///
/// There is no time limit in here. For accept loops of your own; [`Proxied`](super::Proxied) has everything around it.
///
/// # Errors
///
/// Any of [`ProxyError`] but `Untrusted`, `Busy` and `Late`. The stream is then somewhere within the header.
///
/// # Examples
///
/// ```
/// use connlimit_tokio::proxy::{MAX_HEADER, Origin, read_header};
///
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let mut stream = &b"PROXY TCP4 192.0.2.1 192.0.2.2 50000 25\r\nHELO"[..];
/// let origin = read_header(&mut stream, MAX_HEADER).await?;
/// assert_eq!(origin, Origin::Client("192.0.2.1:50000".parse()?));
/// assert_eq!(stream, b"HELO");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn read_header<S>(stream: &mut S, max_header: usize) -> Result<Origin, ProxyError>
where
    S: AsyncRead + Unpin,
{
    let mut header = Vec::with_capacity(LONGEST_V1);
    while header.len() < SHORTEST {
        let missing = SHORTEST - header.len();
        read_up_to(stream, &mut header, missing).await?;
        if !could_become(V1, &header) && !could_become(V2, &header) {
            return Err(ProxyError::Missing);
        }
    }
    if header.starts_with(V2) {
        read_v2(stream, &mut header, max_header).await?;
        // A receiver has to accept LOCAL whatever address family comes with it.
        if header[V2.len()] == V2_LOCAL {
            return Ok(Origin::Proxy);
        }
    } else {
        read_v1(stream, &mut header).await?;
    }
    origin(&header)
}

fn could_become(signature: &[u8], header: &[u8]) -> bool {
    signature.iter().zip(header).all(|(a, b)| a == b)
}

async fn read_v1<S>(stream: &mut S, header: &mut Vec<u8>) -> Result<(), ProxyError>
where
    S: AsyncRead + Unpin,
{
    // Not only at the end: what was read for the signature may have the whole of a line that ends too early.
    let mut ended = header.windows(2).any(|pair| pair == b"\r\n");
    while !ended {
        let allowed = LONGEST_V1 - header.len();
        if allowed == 0 {
            return Err(ProxyError::TooLong(LONGEST_V1));
        }
        let certain = if header.ends_with(b"\r") { 1 } else { 2 };
        read_up_to(stream, header, certain.min(allowed)).await?;
        ended = header.ends_with(b"\r\n");
    }
    Ok(())
}

async fn read_v2<S>(stream: &mut S, header: &mut Vec<u8>, max: usize) -> Result<(), ProxyError>
where
    S: AsyncRead + Unpin,
{
    read_exactly(stream, header, V2_PREFIX).await?;
    let rest = u16::from_be_bytes([header[V2_PREFIX - 2], header[V2_PREFIX - 1]]);
    let whole = V2_PREFIX + usize::from(rest);
    if whole > max {
        return Err(ProxyError::TooLong(whole));
    }
    read_exactly(stream, header, whole).await
}

async fn read_exactly<S>(stream: &mut S, header: &mut Vec<u8>, whole: usize) -> Result<(), ProxyError>
where
    S: AsyncRead + Unpin,
{
    while header.len() < whole {
        let missing = whole - header.len();
        read_up_to(stream, header, missing).await?;
    }
    Ok(())
}

async fn read_up_to<S>(stream: &mut S, header: &mut Vec<u8>, most: usize) -> Result<(), ProxyError>
where
    S: AsyncRead + Unpin,
{
    let had = header.len();
    header.resize(had + most, 0);
    let read = stream.read(&mut header[had..]).await?;
    header.truncate(had + read);
    if read == 0 {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok(())
}

fn origin(header: &[u8]) -> Result<Origin, ProxyError> {
    let config = ParseConfig { include_tlvs: false, ..ParseConfig::default() };
    let (parsed, _length) = ProxyHeader::parse(header, config).map_err(|_| ProxyError::Malformed)?;
    let address = parsed.proxied_address();
    if header.starts_with(V1) && !is_exact(header, address) {
        return Err(ProxyError::Malformed);
    }
    Ok(address.map_or(Origin::Proxy, |address| Origin::Client(address.source)))
}

/// The parser reads ports as Rust does, with zeros or a sign in front, and looks at the beginning of `UNKNOWN` alone.
fn is_exact(line: &[u8], address: Option<&ProxiedAddress>) -> bool {
    match address {
        Some(ProxiedAddress { source, destination, .. }) => {
            line.ends_with(format!(" {} {}\r\n", source.port(), destination.port()).as_bytes())
        }
        None => line.starts_with(b"PROXY UNKNOWN ") || line.starts_with(b"PROXY UNKNOWN\r"),
    }
}

#[cfg(test)]
mod tests;
