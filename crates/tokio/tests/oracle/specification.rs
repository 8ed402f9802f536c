//! The PROXY protocol as it is [specified], with all bytes of the stream at hand: section 2.1 is [`line`], section 2.2
//! is [`block`].
//!
//! Where the specification leaves a choice, a comment says which one is expected. It is met from the outside in: the
//! signature, the length, whether all is there, and only then what it says.
//!
//! [specified]: https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt

use super::Verdict;
use connlimit_tokio::proxy::Origin;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const LINE: &[u8] = b"PROXY ";
const BLOCK: &[u8] = b"\x0D\x0A\x0D\x0A\x00\x0D\x0A\x51\x55\x49\x54\x0A";
const SHORTEST: usize = "PROXY UNKNOWN\r\n".len();
const LONGEST_LINE: usize = 107;

/// What `stream` begins with, and how many of its bytes a reader may take at most to find that out.
pub(super) fn read(stream: &[u8], max_header: usize) -> (Verdict, usize) {
    let agrees_with = |signature: &[u8]| stream.iter().zip(signature).all(|(a, b)| a == b);
    if !agrees_with(LINE) && !agrees_with(BLOCK) {
        (Verdict::Missing, SHORTEST)
    } else if stream.len() < SHORTEST {
        (Verdict::CutShort, stream.len())
    } else if agrees_with(LINE) {
        line(stream)
    } else {
        block(stream, max_header)
    }
}

/// Version 1: "if the CRLF sequence is not found in the first 107 characters" the line is invalid.
fn line(stream: &[u8]) -> (Verdict, usize) {
    let within = &stream[..stream.len().min(LONGEST_LINE)];
    match within.windows(2).position(|pair| pair == b"\r\n") {
        None if within.len() < LONGEST_LINE => (Verdict::CutShort, stream.len()),
        None => (Verdict::TooLong(LONGEST_LINE), LONGEST_LINE),
        Some(end) => match told_by(&within[..end]) {
            Some(origin) => (Verdict::Header(origin, end + 2), end + 2),
            // Whether such a line is one of version 1 at all takes as many bytes as the shortest header has.
            None => (Verdict::Malformed, SHORTEST.max(end + 2)),
        },
    }
}

/// What a line without its CRLF says.
fn told_by(line: &[u8]) -> Option<Origin> {
    let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    match fields[..] {
        // "The receiver must ignore anything presented before the CRLF", but also "not tolerate a single CR": expected is
        // the caution. Others may take the CR for the end of the line.
        [b"PROXY", b"UNKNOWN", ..] => (!line.contains(&b'\r')).then_some(Origin::Proxy),
        [b"PROXY", family @ (b"TCP4" | b"TCP6"), source, destination, source_port, destination_port] => {
            let addr = |field| match family {
                b"TCP4" => Some(IpAddr::V4(ipv4(text(field)?)?)),
                _ => Some(IpAddr::V6(ipv6(text(field)?)?)),
            };
            addr(destination)?;
            port(destination_port)?;
            Some(client(addr(source)?, port(source_port)?))
        }
        _ => None,
    }
}

fn text(field: &[u8]) -> Option<&str> {
    core::str::from_utf8(field).ok()
}

fn client(addr: impl Into<IpAddr>, port: u16) -> Origin {
    Origin::Client(SocketAddr::new(addr.into(), port))
}

fn port(field: &[u8]) -> Option<u16> {
    u16::try_from(number(text(field)?)?).ok()
}

/// In decimal digits, and without zeros in front.
fn number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let plain = digits && (text == "0" || !text.starts_with('0'));
    plain.then(|| text.parse().ok())?
}

/// Four numbers up to 255, with a dot between each other.
fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let numbers: Option<Vec<u8>> = text.split('.').map(|part| u8::try_from(number(part)?).ok()).collect();
    let octets: [u8; 4] = numbers?.try_into().ok()?;
    Some(octets.into())
}

/// Eight groups of hexadecimal digits, where `::` may stand for one or more of zeros.
///
/// The last two groups may be an IPv4 address. The specification does not speak of that, but of the "canonical format",
/// and in such a one (RFC 5952, section 5) `inet_ntop` writes mapped addresses, and with it the senders.
fn ipv6(text: &str) -> Option<Ipv6Addr> {
    let last = text.rsplit_once(':').filter(|(_, last)| last.contains('.'));
    let rewritten;
    let text = match last {
        None => text,
        Some((before, dotted)) => {
            let [a, b, c, d] = ipv4(dotted)?.octets();
            rewritten = format!("{before}:{a:x}{b:02x}:{c:x}{d:02x}");
            &rewritten
        }
    };
    let groups: Vec<u16> = match text.split_once("::") {
        None => groups(text)?,
        Some((front, back)) => {
            let (mut all, back) = (groups(front)?, groups(back)?);
            let zeros = 8_usize.checked_sub(all.len() + back.len()).filter(|zeros| *zeros > 0)?;
            all.extend(core::iter::repeat_n(0, zeros));
            all.extend(back);
            all
        }
    };
    let groups: [u16; 8] = groups.try_into().ok()?;
    Some(groups.into())
}

/// Groups with a colon between each other, or none.
fn groups(text: &str) -> Option<Vec<u16>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let group = |digits: &str| {
        let fits = (1..=4).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        fits.then(|| u16::from_str_radix(digits, 16).ok())?
    };
    text.split(':').map(group).collect()
}

/// Version 2: a block that says its length.
fn block(stream: &[u8], max_header: usize) -> (Verdict, usize) {
    let Some(&[version_and_command, family_and_protocol, high, low]) = stream.get(12..16) else {
        return (Verdict::CutShort, stream.len());
    };
    let whole = 16 + usize::from(u16::from_be_bytes([high, low]));
    if whole > max_header {
        return (Verdict::TooLong(whole), 16);
    }
    let Some(rest) = stream.get(16..whole) else {
        return (Verdict::CutShort, stream.len());
    };
    // Behind the addresses are TLVs, which "a receiver may choose to skip over".
    let origin = match (version_and_command, family_and_protocol) {
        // LOCAL "must discard the protocol block including the family"; for UNSPEC a receiver is "free to accept the
        // connection anyway and use the real endpoint addresses".
        (0x20, _) | (0x21, 0x00) => Some(Origin::Proxy),
        (0x21, 0x11 | 0x12) => match *rest {
            [a, b, c, d, _, _, _, _, high, low, _, _, ..] => {
                Some(client(Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low])))
            }
            _ => None,
        },
        (0x21, 0x21 | 0x22) if rest.len() >= 36 => {
            let groups: Vec<_> = rest[..16].chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
            let groups: [u16; 8] = groups.try_into().expect("sixteen octets");
            Some(client(groups, u16::from_be_bytes([rest[32], rest[33]])))
        }
        // Unix sockets: what a receiver does not implement "falls back to the UNSPEC mode".
        (0x21, 0x31 | 0x32) => (rest.len() >= 216).then_some(Origin::Proxy),
        // Other versions, commands, families and protocols. Among them are half of an UNSPEC, like 0x10, which a
        // receiver may accept too: expected is that it does not.
        _ => None,
    };
    (origin.map_or(Verdict::Malformed, |origin| Verdict::Header(origin, whole)), whole)
}
