use super::*;
use tokio::io::AsyncWriteExt as _;

const V2_TCP4: &[u8] = &[0x21, 0x11, 0, 12, 192, 0, 2, 1, 198, 51, 100, 1, 0xc3, 0x50, 0, 25];

fn v2(rest: &[u8]) -> Vec<u8> {
    [V2, rest].concat()
}

/// Every header here is followed by `rest`, which has to be left; the stream hands out `step` bytes at a time.
async fn read(header: &[u8], step: usize) -> Result<Origin, ProxyError> {
    let (mut to, mut from) = tokio::io::duplex(step);
    let mut sent = header.to_vec();
    sent.extend_from_slice(b"\r\nrest");
    let sending = tokio::spawn(async move { to.write_all(&sent).await });
    let origin = read_header(&mut from, MAX_HEADER).await;
    if origin.is_ok() {
        let mut left = String::new();
        from.read_to_string(&mut left).await.unwrap();
        assert_eq!(left, "\r\nrest", "{header:?} in steps of {step}");
        sending.await.unwrap().unwrap();
    }
    origin
}

#[tokio::test]
async fn headers_are_read_to_their_last_byte_however_they_arrive() {
    let v4 = Origin::Client("192.0.2.1:50000".parse().unwrap());
    let v6 = Origin::Client("[2001:db8::1]:50000".parse().unwrap());
    let mut tcp6 = vec![0x21, 0x21, 0, 36];
    tcp6.extend_from_slice(&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    tcp6.extend_from_slice(&[0; 16]);
    tcp6.extend_from_slice(&[0xc3, 0x50, 0, 25]);
    let mut with_tlv = V2_TCP4.to_vec();
    with_tlv[3] += 5;
    with_tlv.extend_from_slice(&[0x04, 0, 2, b'\r', b'\n']);
    let mut unix = vec![0x21, 0x31, 0, 216];
    unix.extend_from_slice(&[b'/'; 216]);

    let longest = format!("PROXY UNKNOWN {}\r\n", "f".repeat(LONGEST_V1 - 16));
    assert_eq!(longest.len(), LONGEST_V1);
    for (header, expected) in [
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 50000 25\r\n".to_vec(), v4),
        (b"PROXY TCP6 2001:db8::1 2001:db8::2 50000 25\r\n".to_vec(), v6),
        (b"PROXY UNKNOWN\r\n".to_vec(), Origin::Proxy),
        (b"PROXY UNKNOWN ff:: :: 1 2\r\n".to_vec(), Origin::Proxy),
        (longest.into_bytes(), Origin::Proxy),
        (v2(V2_TCP4), v4),
        (v2(&tcp6), v6),
        (v2(&with_tlv), v4),
        (v2(&unix), Origin::Proxy),
        (v2(&[0x21, 0x00, 0, 3, 1, 2, 3]), Origin::Proxy),
        (v2(&[0x20, 0x00, 0, 0]), Origin::Proxy),
        (v2(&[0x20, 0xff, 0, 2, 9, 9]), Origin::Proxy),
    ] {
        for step in [1, 2, 3, 14, 15, 16, 17, 4096] {
            let origin = read(&header, step).await;
            assert_eq!(origin.unwrap(), expected, "{header:?} in steps of {step}");
        }
    }
}

#[tokio::test]
async fn something_else_is_noticed_as_soon_as_it_differs() {
    for start in [&b"G"[..], b"PROXX", b"\r\n\r\n\x01", b"PROXY\t", b"\x16\x03\x01"] {
        let (mut to, mut from) = tokio::io::duplex(64);
        to.write_all(start).await.unwrap();
        let error = read_header(&mut from, MAX_HEADER).await.unwrap_err();
        assert!(matches!(error, ProxyError::Missing), "{start:?}: {error}");
    }
}

#[tokio::test]
async fn malformed_headers_are_told_from_missing_ones() {
    let mut short_block = V2_TCP4.to_vec();
    short_block[3] = 11;
    short_block.pop();
    for header in [
        b"PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n".to_vec(),
        b"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n".to_vec(),
        b"PROXY UNKNOWN\rx\r\n".to_vec(),
        b"PROXY UNKNOWNS\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.1 192.0.2.2 00050000 25\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.1 192.0.2.2 50000 025\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.1 192.0.2.2 +50000 25\r\n".to_vec(),
        b"PROXY TCP6 ::1 ::1 50000 +25\r\n".to_vec(),
        b"PROXY \r\nUNKNOWN\r\n".to_vec(),
        v2(&[0x31, 0x11, 0, 0]),
        v2(&[0x22, 0x11, 0, 0]),
        v2(&[0x21, 0x41, 0, 0]),
        v2(&short_block),
    ] {
        let error = read(&header, 4096).await.unwrap_err();
        assert!(matches!(error, ProxyError::Malformed), "{header:?}: {error}");
    }
}

#[tokio::test]
async fn a_line_that_ends_too_early_is_malformed_at_once() {
    // Nothing comes after the bytes that tell: who asks for more of them has another error.
    let error = read_header(&mut &b"PROXY TCP4\r\nabc"[..], MAX_HEADER).await.unwrap_err();
    assert!(matches!(error, ProxyError::Malformed), "{error}");
}

#[tokio::test]
async fn a_line_that_is_one_byte_too_long_is_too_long_however_it_arrives() {
    let line = format!("PROXY UNKNOWN {}\r\n", "f".repeat(LONGEST_V1 - 15));
    for first in 1..line.len() {
        let (mut to, mut from) = tokio::io::duplex(256);
        let sending = tokio::spawn({
            let line = line.clone();
            async move {
                to.write_all(&line.as_bytes()[..first]).await.unwrap();
                tokio::task::yield_now().await;
                to.write_all(&line.as_bytes()[first..]).await.unwrap();
            }
        });
        let error = read_header(&mut from, MAX_HEADER).await.expect_err("it is too long");
        assert!(matches!(error, ProxyError::TooLong(LONGEST_V1)), "{error}, in pieces of {first} bytes and the rest");
        sending.await.unwrap();
    }
}

#[tokio::test]
async fn headers_that_are_too_long_or_end_early_are_given_up() {
    let endless = format!("PROXY TCP4 {}", "1".repeat(500));
    let error = read(endless.as_bytes(), 4096).await.unwrap_err();
    assert!(matches!(error, ProxyError::TooLong(LONGEST_V1)), "{error}");

    let error = read(&v2(&[0x21, 0x11, 0xff, 0xff]), 4096).await.unwrap_err();
    assert!(matches!(error, ProxyError::TooLong(65_551)), "{error}");

    for header in [b"PROXY TCP4 192.0.2.1 192".to_vec(), v2(&V2_TCP4[..9]), b"PRO".to_vec()] {
        let error = read_header(&mut &header[..], MAX_HEADER).await.unwrap_err();
        let ProxyError::Io(error) = error else { panic!("{error}") };
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
