//! How long a client may leave what is sent to it unread: a connection that takes nothing for that time is closed.
//!
//! Guarantees: what waits for a client that does not read is bounded by the connection's buffers, and is given back after a bounded time.
//! A connection that is read costs nothing but a look at the result of each write.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// What a watcher may take: by then megabytes wait in the buffers of both sides, and it can go on where it was on another connection.
const WATCH: Duration = Duration::from_secs(10);
/// What a client may take that was sent an answer.
const ANSWER: Duration = Duration::from_secs(60);

/// What a connection is used for, as far as it tells how patient the server is. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Use(Arc<AtomicU8>);

const ANSWERS: u8 = 0;
const CONVERSES: u8 = 1;
const WATCHES: u8 = 2;

impl Use {
    /// There is a watch on it, or was.
    pub(crate) fn watch(&self) {
        self.0.fetch_max(WATCHES, Ordering::Relaxed);
    }

    /// There is a conversation on it: a log in a pager, a shell that was paused. Whoever holds it may take all the time.
    pub(crate) fn conversation(&self) {
        self.0.fetch_max(CONVERSES, Ordering::Relaxed);
    }

    fn patience(&self) -> Option<Duration> {
        match self.0.load(Ordering::Relaxed) {
            ANSWERS => Some(ANSWER),
            WATCHES => Some(WATCH),
            _ => None,
        }
    }
}

/// A stream that breaks when its reader takes too long.
pub(super) struct Paced<S> {
    stream: S,
    of: Use,
    /// Since when nothing can be written, and when that is looked at again.
    stuck: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl<S> Paced<S> {
    pub(super) fn new(stream: S, of: Use) -> Self {
        Paced { stream, of, stuck: None }
    }

    /// Goes on with what a write has come to.
    fn judge<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.stuck = None;
            return outcome;
        }
        let now = || (Instant::now(), Box::pin(tokio::time::sleep(WATCH)));
        let (since, look) = self.stuck.get_or_insert_with(now);
        loop {
            ready!(look.as_mut().poll(cx));
            if self.of.patience().is_some_and(|patience| since.elapsed() >= patience) {
                let why = "the client does not read what it is sent";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, why)));
            }
            look.as_mut().reset(Instant::now() + WATCH);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.judge(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.judge(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    async fn stuck(of: Use, most: Duration) -> Option<Duration> {
        let (stream, reader) = duplex(16);
        let (mut paced, begun) = (Paced::new(stream, of), Instant::now());
        let broke = tokio::time::timeout(most, paced.write_all(&[0; 64])).await;
        drop(reader);
        broke.ok().map(|broke| {
            assert_eq!(broke.unwrap_err().kind(), io::ErrorKind::TimedOut);
            begun.elapsed()
        })
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_is_left_after_a_time_that_fits() {
        let (watch, converse) = (Use::default(), Use::default());
        watch.watch();
        watch.conversation();
        converse.conversation();
        let day = Duration::from_secs(86_400);
        assert_eq!(stuck(watch, day).await.map(|took| took.as_secs()), Some(WATCH.as_secs()));
        assert_eq!(stuck(Use::default(), day).await.map(|took| took.as_secs()), Some(ANSWER.as_secs()));
        assert_eq!(stuck(converse, day).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_slowly_is_kept() {
        let (stream, mut reader) = duplex(16);
        let of = Use::default();
        of.watch();
        let mut paced = Paced::new(stream, of);
        let reading = async {
            for _ in 0..64 {
                tokio::time::sleep(WATCH - Duration::from_secs(1)).await;
                reader.read_u8().await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(paced.write_all(&[0; 64]), reading);
        written.unwrap();
    }
}
