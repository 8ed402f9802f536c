//! Reads `X-Forwarded-For` and `Forwarded` from the right.
//!
//! What stands left of the trusted proxies' entries was written by the client and may be anything, an opening quote for
//! instance. Reading from the right meets the trusted entries first and stops there, so nothing further left can
//! change how they are read. (Splitting at commas is not enough: a `host="a, for=192.0.2.1"` that a proxy quotes from
//! the client would forge an entry.)

use core::{
    fmt,
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
};
use http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;
use std::sync::Arc;

/// Finds the client of a request that came through trusted HTTP proxies.
///
/// # Examples
///
/// ```
/// use connlimit_http::forwarded::Forwarded;
/// use core::num::NonZeroUsize;
/// use http::HeaderMap;
/// use std::net::IpAddr;
///
/// let proxy: IpAddr = "10.1.2.3".parse()?;
/// let forwarded = Forwarded::x_forwarded_for(NonZeroUsize::MIN, [proxy]);
///
/// let mut headers = HeaderMap::new();
/// headers.insert("x-forwarded-for", "203.0.113.9, 192.0.2.1".parse()?);
/// assert_eq!(forwarded.client(proxy, &headers)?.to_string(), "192.0.2.1");
///
/// let stranger: IpAddr = "198.51.100.7".parse()?;
/// assert_eq!(forwarded.client(stranger, &headers)?, stranger);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Forwarded {
    header: HeaderName,
    entry_addr: fn(&str) -> Option<IpAddr>,
    hops: NonZeroUsize,
    trusted: Arc<[IpNet]>,
}

/// Why a trusted proxy's request names no client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForwardedError {
    /// There are fewer entries than trusted hops.
    TooFewEntries,
    /// The entry that counts is no address: unknown, obfuscated, or malformed.
    NoAddress,
}

impl fmt::Display for ForwardedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooFewEntries => "fewer forwarded entries than trusted hops",
            Self::NoAddress => "forwarded entry without an address",
        })
    }
}

impl core::error::Error for ForwardedError {}

impl Forwarded {
    /// Reads `X-Forwarded-For`.
    ///
    /// `hops` is the number of trusted proxies that each add an entry: with 1, the client is the last entry. Only
    /// connections from the `trusted` networks are believed.
    pub fn x_forwarded_for(hops: NonZeroUsize, trusted: impl IntoIterator<Item = impl Into<IpNet>>) -> Self {
        let header = HeaderName::from_static("x-forwarded-for");
        Self::new(header, parse_addr, hops, trusted)
    }

    /// Reads `Forwarded` ([RFC 7239](https://www.rfc-editor.org/rfc/rfc7239)); otherwise as
    /// [`x_forwarded_for`](Self::x_forwarded_for).
    pub fn rfc7239(hops: NonZeroUsize, trusted: impl IntoIterator<Item = impl Into<IpNet>>) -> Self {
        Self::new(header::FORWARDED, for_parameter, hops, trusted)
    }

    fn new(
        header: HeaderName,
        entry_addr: fn(&str) -> Option<IpAddr>,
        hops: NonZeroUsize,
        trusted: impl IntoIterator<Item = impl Into<IpNet>>,
    ) -> Self {
        Self { header, entry_addr, hops, trusted: trusted.into_iter().map(Into::into).collect() }
    }

    /// The client of a request that came over a connection from `peer`: the one its headers name when `peer` is
    /// trusted, else `peer` itself.
    ///
    /// # Errors
    ///
    /// A [`ForwardedError`] when `peer` is trusted and its headers name no client.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Result<IpAddr, ForwardedError> {
        let canonical = peer.to_canonical();
        if !self.trusted.iter().any(|net| net.contains(&canonical)) {
            return Ok(peer);
        }
        let mut skip = self.hops.get() - 1;
        for line in headers.get_all(&self.header).iter().rev() {
            // A proxy may pass a client's bytes on in the same line, so the line need not be text.
            let line = line.as_bytes();
            for entry in from_the_right(line, b',') {
                if skip == 0 {
                    let text = core::str::from_utf8(entry).ok();
                    return text.and_then(|text| (self.entry_addr)(text.trim())).ok_or(ForwardedError::NoAddress);
                }
                skip -= 1;
            }
        }
        Err(ForwardedError::TooFewEntries)
    }
}

/// Splits at `separator`, last part first, leaving quoted strings whole.
fn from_the_right(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    core::iter::from_fn(move || {
        let text = rest?;
        let mut quoted = false;
        for at in (0..text.len()).rev() {
            match text[at] {
                b'"' if !is_escaped(&text[..at]) => quoted = !quoted,
                byte if byte == separator && !quoted => {
                    rest = Some(&text[..at]);
                    return Some(&text[at + 1..]);
                }
                _ => {}
            }
        }
        rest = None;
        Some(text)
    })
}

/// Whether what follows `before` is escaped: by an odd number of backslashes.
fn is_escaped(before: &[u8]) -> bool {
    let backslashes = before.iter().rev().take_while(|&&byte| byte == b'\\');
    backslashes.count() % 2 == 1
}

/// The address in the `for` parameter of one element of `Forwarded`.
fn for_parameter(element: &str) -> Option<IpAddr> {
    from_the_right(element.as_bytes(), b';').find_map(|pair| {
        let (name, value) = core::str::from_utf8(pair).ok()?.split_once('=')?;
        let value = value.trim();
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
        name.trim().eq_ignore_ascii_case("for").then(|| parse_addr(value))?
    })
}

/// An address, with or without brackets and a port.
fn parse_addr(text: &str) -> Option<IpAddr> {
    let plain = text.parse().ok();
    let with_port = || text.parse().ok().map(|addr: SocketAddr| addr.ip());
    let in_brackets = || {
        let addr = text.strip_prefix('[')?.strip_suffix(']')?;
        addr.parse().ok().map(IpAddr::V6)
    };
    plain.or_else(with_port).or_else(in_brackets)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(10, 0, 0, 1));

    fn hops(hops: usize) -> NonZeroUsize {
        NonZeroUsize::new(hops).unwrap()
    }

    fn headers(name: &'static str, lines: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, http::HeaderValue::from_bytes(line).unwrap());
        }
        headers
    }

    #[test]
    fn entries_of_x_forwarded_for_are_counted_from_the_right_across_lines() {
        let lines: &[&[u8]] = &[b"1.1.1.1, 2.2.2.2:80", b" 2001:db8::3 ,[2001:db8::4]:80,[2001:db8::5]"];
        let headers = headers("x-forwarded-for", lines);
        let clients = ["2001:db8::5", "2001:db8::4", "2001:db8::3", "2.2.2.2", "1.1.1.1"];
        for (index, client) in clients.into_iter().enumerate() {
            let forwarded = Forwarded::x_forwarded_for(hops(index + 1), [PROXY]);
            assert_eq!(forwarded.client(PROXY, &headers), Ok(client.parse().unwrap()));
        }
        let forwarded = Forwarded::x_forwarded_for(hops(6), [PROXY]);
        assert_eq!(forwarded.client(PROXY, &headers), Err(ForwardedError::TooFewEntries));
    }

    #[test]
    fn the_for_parameter_is_found_in_any_place_case_and_quoting() {
        for element in [
            "for=192.0.2.1",
            "For=\"192.0.2.1:4711\"",
            "proto=http; FOR = 192.0.2.1 ;by=203.0.113.43",
            "by=\"[::1]:9\";for=\"192.0.2.1\";host=\"x;for=203.0.113.1\"",
        ] {
            let headers = headers("forwarded", &[element.as_bytes()]);
            let client = Forwarded::rfc7239(hops(1), [PROXY]).client(PROXY, &headers);
            assert_eq!(client, Ok("192.0.2.1".parse().unwrap()), "{element}");
        }
    }

    #[test]
    fn what_a_client_writes_cannot_change_how_a_proxys_entry_is_read() {
        let honest = b"for=192.0.2.1;host=\"evil, for=203.0.113.1, \\\" for=203.0.113.2\"";
        for forged in [&b"for=203.0.113.3"[..], b"for=\"", b"for=\"\\", b"\"\\\",,;;=", b"\xff\x80\""] {
            for line in [[forged, b", ", honest].concat(), [forged, b",", honest].concat()] {
                let headers = headers("forwarded", &[&line]);
                let client = Forwarded::rfc7239(hops(1), [PROXY]).client(PROXY, &headers);
                assert_eq!(client, Ok("192.0.2.1".parse().unwrap()), "{}", line.escape_ascii());
            }
        }
    }

    #[test]
    fn an_entry_without_an_address_is_an_error_and_not_the_next_entry() {
        for element in ["for=unknown", "for=_hidden", "for=\"_gazonk\"", "proto=http", "", "for=1.2.3"] {
            let line = format!("for=203.0.113.1, {element}");
            let headers = headers("forwarded", &[line.as_bytes()]);
            let client = Forwarded::rfc7239(hops(1), [PROXY]).client(PROXY, &headers);
            assert_eq!(client, Err(ForwardedError::NoAddress), "{element}");
        }
        let none = Forwarded::rfc7239(hops(1), [PROXY]).client(PROXY, &HeaderMap::new());
        assert_eq!(none, Err(ForwardedError::TooFewEntries));
    }

    #[test]
    fn only_trusted_peers_are_believed_mapped_or_not() {
        let headers = headers("x-forwarded-for", &[b"192.0.2.1"]);
        let forwarded = Forwarded::x_forwarded_for(hops(1), [PROXY]);
        let mapped = "::ffff:10.0.0.1".parse().unwrap();
        assert_eq!(forwarded.client(mapped, &headers), Ok("192.0.2.1".parse().unwrap()));
        let stranger = "10.0.0.2".parse().unwrap();
        assert_eq!(forwarded.client(stranger, &headers), Ok(stranger));
    }
}
