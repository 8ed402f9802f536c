//! A stream that arrives in pieces.

use core::pin::Pin;
use core::task::{Context, Poll};
use std::io::{Error, ErrorKind};
use tokio::io::{AsyncRead, ReadBuf};

pub(super) struct Pieces<'a> {
    rest: &'a [u8],
    /// How many bytes there are at each read, again and again; for 0 one byte, and that not at once.
    sizes: &'a [u8],
    turn: usize,
    was_pending: bool,
    end: ErrorKind,
}

impl<'a> Pieces<'a> {
    /// At the end of `stream`, an end of file if `end` says so, or the error.
    pub(super) const fn new(stream: &'a [u8], sizes: &'a [u8], end: ErrorKind) -> Self {
        Self { rest: stream, sizes, turn: 0, was_pending: false, end }
    }

    /// What has not been read.
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<(), Error>> {
        let size = self.sizes[self.turn % self.sizes.len()];
        if size == 0 && !self.was_pending {
            self.was_pending = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.was_pending = false;
        self.turn += 1;
        if self.rest.is_empty() && self.end != ErrorKind::UnexpectedEof {
            return Poll::Ready(Err(self.end.into()));
        }
        let size = usize::from(size).max(1).min(buffer.remaining()).min(self.rest.len());
        let (piece, rest) = self.rest.split_at(size);
        buffer.put_slice(piece);
        self.rest = rest;
        Poll::Ready(Ok(()))
    }
}
