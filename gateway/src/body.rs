//! Bodies of answers: lists of shared pieces with an exact size, or streams.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use futures::stream::BoxStream;
use http_body::{Frame, SizeHint};

/// The body of an answer. Pieces go out as they are: nothing is copied together.
pub struct Body(Repr);

enum Repr {
    Pieces(VecDeque<Bytes>, u64),
    Stream(BoxStream<'static, Bytes>),
}

impl Body {
    /// No content.
    pub fn empty() -> Self {
        Body::pieces([])
    }

    /// One piece.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Body::pieces([bytes.into()])
    }

    /// Several pieces, one after the other.
    pub fn pieces(pieces: impl IntoIterator<Item = Bytes>) -> Self {
        let pieces: VecDeque<Bytes> = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
        let size = pieces.iter().map(|piece| piece.len() as u64).sum();
        Body(Repr::Pieces(pieces, size))
    }

    /// What comes when it comes; each item is flushed at once if the connection is idle.
    pub fn stream(stream: impl Stream<Item = Bytes> + Send + 'static) -> Self {
        Body(Repr::Stream(Box::pin(stream)))
    }

    /// The size in bytes, if it is known.
    pub fn size(&self) -> Option<u64> {
        match &self.0 {
            Repr::Pieces(_, size) => Some(*size),
            Repr::Stream(_) => None,
        }
    }

    /// The pieces, of a body whose size is known.
    pub fn into_pieces(self) -> Result<VecDeque<Bytes>, Self> {
        match self.0 {
            Repr::Pieces(pieces, _) => Ok(pieces),
            stream => Err(Body(stream)),
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.get_mut().0 {
            Repr::Pieces(pieces, left) => {
                let next = pieces.pop_front();
                *left -= next.as_ref().map_or(0, |piece| piece.len() as u64);
                Poll::Ready(next.map(|piece| Ok(Frame::data(piece))))
            }
            Repr::Stream(stream) => stream.as_mut().poll_next(cx).map(|next| next.map(|piece| Ok(Frame::data(piece)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.0, Repr::Pieces(pieces, _) if pieces.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Repr::Pieces(_, left) => SizeHint::with_exact(*left),
            Repr::Stream(_) => SizeHint::default(),
        }
    }
}
