//! A response body that holds the permit of its request.

use connlimit::Permit;
use core::{
    pin::Pin,
    task::{Context, Poll},
};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::sync::Arc;

pin_project! {
    /// A response body that keeps its request counted until it has been sent or is dropped.
    #[derive(Debug)]
    pub struct LimitedBody<B> {
        // None for a rejection, which has an empty body.
        #[pin]
        body: Option<B>,
        permit: Option<Arc<Permit>>,
    }
}

impl<B> LimitedBody<B> {
    pub(super) const fn new(body: B, permit: Option<Arc<Permit>>) -> Self {
        Self { body: Some(body), permit }
    }

    pub(super) const fn empty() -> Self {
        Self { body: None, permit: None }
    }
}

impl<B: Body> Body for LimitedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        match self.project().body.as_pin_mut() {
            Some(body) => body.poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
