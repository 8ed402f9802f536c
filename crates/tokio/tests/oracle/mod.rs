//! What a PROXY header says and where it ends, asked of `read_header` and of the specification read a second time.

mod pieces;
mod specification;

use connlimit_tokio::proxy::{MAX_HEADER, Origin, ProxyError, read_header};
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use pieces::Pieces;
use std::io::ErrorKind;

/// What the first bytes of a stream are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// A header, of so many bytes.
    Header(Origin, usize),
    /// Something else, from its first bytes on.
    Missing,
    Malformed,
    /// So long at least, which is too long.
    TooLong(usize),
    /// A part of a header, and then the stream ends.
    CutShort,
}

/// Reads from `data` how a stream arrives and what is in it, and checks that `read_header` makes of it what the
/// specification does, and takes the bytes of the header and no others.
///
/// # Panics
///
/// When the two disagree, or the way in which the bytes arrive makes a difference.
pub(crate) fn check(data: &[u8]) {
    let (knobs, stream) = data.split_at(data.len().min(8));
    let knob = |at: usize| knobs.get(at).copied().unwrap_or(0);
    let max_header = match u16::from_be_bytes([knob(0), knob(1)]) {
        0 => MAX_HEADER,
        max => max.into(),
    };
    let end = if knob(4) & 1 == 0 { ErrorKind::UnexpectedEof } else { ErrorKind::ConnectionReset };
    let sizes = [knob(5), knob(6), knob(7)];

    let (verdict, reach) = specification::read(stream, max_header);
    for sizes in [&sizes[..], &[1], &[u8::MAX]] {
        let mut pieces = Pieces::new(stream, sizes, end);
        let answer = verdict_of(&mut pieces, max_header, end);
        assert_eq!(answer, verdict, "{:?} in pieces of {sizes:?}", stream.escape_ascii().to_string());
        if let Verdict::Header(_, length) = verdict {
            assert_eq!(pieces.rest(), &stream[length..], "what follows the header");
        }
        let taken = stream.len() - pieces.rest().len();
        assert!(taken <= reach, "{taken} bytes taken where {reach} might be of a header");
    }

    if let Verdict::Header(_, length) = verdict {
        let cut = usize::from(u16::from_be_bytes([knob(2), knob(3)])) % length;
        let mut pieces = Pieces::new(&stream[..cut], &sizes, end);
        let answer = verdict_of(&mut pieces, max_header, end);
        assert_eq!(answer, Verdict::CutShort, "{cut} of {length} bytes");
    }
}

/// What `read_header` says. A stream that is cut short ends with `end`, and the error has to say so.
fn verdict_of(pieces: &mut Pieces<'_>, max_header: usize, end: ErrorKind) -> Verdict {
    let before = pieces.rest().len();
    let answer = {
        let mut reading = pin!(read_header(pieces, max_header));
        // The stream is ready again each time that it was not.
        loop {
            if let Poll::Ready(answer) = reading.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                break answer;
            }
        }
    };
    match answer {
        Ok(origin) => Verdict::Header(origin, before - pieces.rest().len()),
        Err(ProxyError::Missing) => Verdict::Missing,
        Err(ProxyError::Malformed) => Verdict::Malformed,
        Err(ProxyError::TooLong(bytes)) => Verdict::TooLong(bytes),
        Err(ProxyError::Io(error)) => {
            assert_eq!(error.kind(), end);
            assert!(pieces.rest().is_empty(), "{error}, with {} bytes to come", pieces.rest().len());
            Verdict::CutShort
        }
        Err(other) => panic!("{other:?} is no matter of the header"),
    }
}
