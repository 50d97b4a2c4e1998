//! Bodies of answers: lists of shared pieces with an exact size, or streams.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use futures::Stream;
use futures::stream::BoxStream;
use http_body::{Frame, SizeHint};

/// Pieces below this size, in bytes, are sent with their neighbours.
const SMALL: usize = 16 << 10;
/// How much of them is sent at a time, at most.
const GATHERED: usize = 64 << 10;

/// The body of an answer. Large pieces go out as they are.
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

/// Takes the next piece; small ones that follow each other are copied together, since each piece on its own costs more than its copy. This is
/// done as they are sent, so that a list on its way takes no memory of its own.
fn gather(pieces: &mut VecDeque<Bytes>) -> Option<Bytes> {
    let first = pieces.pop_front()?;
    let mut size = first.len();
    let small = |piece: &&Bytes| {
        size += piece.len();
        piece.len() < SMALL && size <= GATHERED
    };
    let more = if first.len() < SMALL { pieces.iter().take_while(small).count() } else { 0 };
    if more == 0 {
        return Some(first);
    }
    let size = first.len() + pieces.iter().take(more).map(Bytes::len).sum::<usize>();
    let mut gathered = BytesMut::with_capacity(size);
    gathered.put(first);
    pieces.drain(..more).for_each(|piece| gathered.put(piece));
    Some(gathered.freeze())
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.get_mut().0 {
            Repr::Pieces(pieces, left) => {
                let next = gather(pieces);
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

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use proptest::prelude::*;

    use super::*;

    async fn frames(mut body: Body) -> Vec<Bytes> {
        let mut frames = Vec::new();
        while let Some(Ok(frame)) = body.frame().await {
            frames.extend(frame.into_data());
        }
        frames
    }

    proptest! {
        #[test]
        fn pieces_arrive_whole_and_in_order(sizes in prop::collection::vec(0usize..40_000, 0..200)) {
            let pieces: Vec<Bytes> = sizes.iter().enumerate().map(|(i, n)| vec![i as u8; *n].into()).collect();
            let body = Body::pieces(pieces.clone());
            prop_assert_eq!(body.size(), Some(sizes.iter().sum::<usize>() as u64));
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let frames = runtime.block_on(frames(body));
            prop_assert!(frames.iter().all(|frame| !frame.is_empty() && frame.len() <= GATHERED));
            prop_assert_eq!(frames.concat(), pieces.concat());
        }
    }

    #[tokio::test]
    async fn many_small_pieces_are_few_frames_and_large_ones_are_shared() {
        let large = Bytes::from(vec![1; SMALL]);
        let pieces = std::iter::repeat_n(Bytes::from_static(b"small"), 10_000).chain([large.clone()]);
        let frames = frames(Body::pieces(pieces)).await;
        assert_eq!(frames.len(), 2);
        assert_eq!(frames.last().map(|frame| frame.as_ptr()), Some(large.as_ptr()));
    }
}
