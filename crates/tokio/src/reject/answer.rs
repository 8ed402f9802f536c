//! The words for a rejected HTTP client, in the version it speaks.

use connlimit::Rejected;
use core::time::Duration;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

/// Hears the client out, answers, half-closes, and drains what it still sends, so that the answer is read before a
/// reset could overtake it: closing a socket with unread data makes the kernel send one
/// ([RFC 1122, section 4.2.2.13](https://www.rfc-editor.org/rfc/rfc1122#page-88)).
///
/// The caller bounds the whole. A client that has not said anything after `patience` is answered all the same.
pub(super) async fn http<S>(
    mut stream: S,
    reason: Rejected,
    retry_after: Option<Duration>,
    patience: Duration,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut buf = [0; 1024];
    let heard = match timeout(patience, stream.read(&mut buf)).await {
        Ok(Ok(0)) => return Ok(()),
        Ok(heard) => heard?,
        Err(_silent) => 0,
    };
    match Spoken::in_(&buf[..heard]) {
        Spoken::Http1 => {
            let answer = rejection(reason, retry_after);
            stream.write_all(answer.as_bytes()).await?;
        }
        Spoken::Http2 => stream.write_all(ENHANCE_YOUR_CALM).await?,
        Spoken::Other => return Ok(()),
    }
    stream.shutdown().await?;

    let mut drained = 0;
    while drained < MOST_DRAINED {
        match stream.read(&mut buf).await? {
            0 => break,
            read => drained += read,
        }
    }
    Ok(())
}

/// Bytes of a request body that are worth reading for the sake of being polite.
const MOST_DRAINED: usize = 64 << 10;

enum Spoken {
    Http1,
    Http2,
    Other,
}

impl Spoken {
    /// Judges by the first bytes: a method, the preface of HTTP/2, or something that no HTTP answer would help.
    fn in_(heard: &[u8]) -> Self {
        match heard {
            _ if heard.starts_with(b"PRI * HTTP/2") => Self::Http2,
            [] | [b'A'..=b'Z', ..] => Self::Http1,
            _ => Self::Other,
        }
    }
}

fn rejection(reason: Rejected, retry_after: Option<Duration>) -> String {
    let status = reason.http_status();
    let phrase = phrase(status);
    let text = format!("{reason}\n");
    let retry_after = retry_after.map_or_else(String::new, |wait| {
        let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
        format!("Retry-After: {seconds}\r\n")
    });
    format!(
        "HTTP/1.1 {status} {phrase}\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {length}\r\n\
         {retry_after}\
         Cache-Control: no-store\r\n\
         Connection: close\r\n\
         \r\n\
         {text}",
        length = text.len(),
    )
}

/// What [RFC 6585](https://www.rfc-editor.org/rfc/rfc6585#section-4) and
/// [RFC 9110](https://www.rfc-editor.org/rfc/rfc9110#section-15) call the codes of a rejection. Clients go by the code.
const fn phrase(status: u16) -> &'static str {
    match status {
        403 => "Forbidden",
        429 => "Too Many Requests",
        _ => "Service Unavailable",
    }
}

/// An empty `SETTINGS` frame, and a `GOAWAY` frame that names stream 0 as the last one handled and code 0xb:
/// nothing of the request was processed, so the client may repeat it later.
const ENHANCE_YOUR_CALM: &[u8] = &[
    0, 0, 0, 0x4, 0, 0, 0, 0, 0, // length 0, SETTINGS, no flags, stream 0
    0, 0, 8, 0x7, 0, 0, 0, 0, 0, // length 8, GOAWAY, no flags, stream 0
    0, 0, 0, 0, 0, 0, 0, 0xb, // last stream 0, ENHANCE_YOUR_CALM
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_its_length_and_waits_whole_seconds() {
        let answer = rejection(Rejected::ClientLimit, Some(Duration::from_millis(1001)));
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("\r\nRetry-After: 2\r\n"), "{head}");
        assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{head}");
        assert!(!body.chars().any(|c| c.is_ascii_digit()), "counts are nobody's business: {body}");

        let answer = rejection(Rejected::ClientLimit, Some(Duration::MAX));
        assert!(answer.contains("\r\nRetry-After: 18446744073709551615\r\n"), "{answer}");

        let answer = rejection(Rejected::TotalLimit, None);
        assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{answer}");
        assert!(!answer.contains("Retry-After"), "{answer}");
    }
}
