//! An open stream in the hands of its user: sending with backpressure, receiving, ending, and both halves on their own.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use cox_objects::Status;

use super::frame::Frame;
use super::{Shared, StreamError};
use crate::Bus;

/// Both directions of a stream. Dropping it abandons what was not ended: the other side gets an error.
pub struct Duplex {
    sink: SinkHalf,
    source: SourceHalf,
}

/// The direction that sends. Dropping it without [`SinkHalf::finish`] fails the direction.
pub struct SinkHalf(Arc<End>);

/// The direction that receives. Dropping it before the end tells the other side to stop.
pub struct SourceHalf(Arc<End>);

/// This side of the stream; it leaves the connection's table with the last half.
struct End {
    bus: Bus,
    shared: Arc<Shared>,
}

impl Drop for End {
    fn drop(&mut self) {
        self.bus.link.streams.forget(&self.shared);
    }
}

impl Duplex {
    pub(super) fn new(bus: Bus, shared: Arc<Shared>) -> Self {
        let end = Arc::new(End { bus, shared });
        Duplex { sink: SinkHalf(end.clone()), source: SourceHalf(end) }
    }

    /// Sends one message, when the other side has room for it. Cancel-safe: a dropped future has sent nothing.
    ///
    /// # Errors
    /// If the stream is broken or was ended, or the message is larger than the bus carries.
    pub async fn send(&mut self, message: Bytes) -> Result<(), StreamError> {
        self.sink.send(message).await
    }

    /// The next message; none at the other side's end. Cancel-safe.
    ///
    /// # Errors
    /// If the stream broke; what had arrived before comes first.
    pub async fn recv(&mut self) -> Result<Option<Bytes>, StreamError> {
        self.source.recv().await
    }

    /// Ends this side's direction; the other may go on.
    ///
    /// # Errors
    /// If it was ended before, or is broken.
    pub async fn close(&mut self) -> Result<(), StreamError> {
        self.sink.close().await
    }

    /// Ends this side's direction and reads no more.
    ///
    /// # Errors
    /// If it was ended before, or is broken.
    pub async fn finish(mut self) -> Result<(), StreamError> {
        self.close().await
    }

    /// Ends the stream with an error, for the other side to read after what was sent.
    pub async fn fail(self, status: Status) {
        self.sink.fail(status).await;
    }

    /// Both directions on their own.
    pub fn split(self) -> (SinkHalf, SourceHalf) {
        (self.sink, self.source)
    }
}

impl SinkHalf {
    /// See [`Duplex::send`].
    ///
    /// # Errors
    /// If the stream is broken or was ended, or the message is larger than the bus carries.
    pub async fn send(&mut self, message: Bytes) -> Result<(), StreamError> {
        // The kind and the number of a frame, and some room for the server's own accounting.
        let limit = self.0.bus.max_payload().saturating_sub(64);
        if message.len() > limit {
            return Err(StreamError::TooLarge(message.len()));
        }
        let number = loop {
            if let Some(number) = self.shared().core.lock().may_send(message.len())? {
                break number;
            }
            self.shared().writable.notified().await;
        };
        let length = message.len();
        self.publish(&Frame::Data(number, message)).await?;
        // Counted only now: if this future was dropped while it waited, the number is still free.
        self.shared().core.lock().sent(length);
        Ok(())
    }

    /// See [`Duplex::close`].
    ///
    /// # Errors
    /// If it was ended before, or is broken.
    pub async fn close(&mut self) -> Result<(), StreamError> {
        let number = self.shared().core.lock().sendable()?;
        self.publish(&Frame::End(number)).await?;
        self.shared().core.lock().ended();
        Ok(())
    }

    /// Ends this direction.
    ///
    /// # Errors
    /// If it was ended before, or is broken.
    pub async fn finish(mut self) -> Result<(), StreamError> {
        self.close().await
    }

    /// Ends this direction with an error. If the stream is broken already, the other side knows or will not hear.
    pub async fn fail(self, status: Status) {
        let number = self.shared().core.lock().sendable();
        if let Ok(number) = number
            && self.publish(&Frame::Fail(number, status)).await.is_ok()
        {
            self.shared().core.lock().ended();
        }
    }

    fn shared(&self) -> &Shared {
        &self.0.shared
    }

    async fn publish(&self, frame: &Frame) -> Result<(), StreamError> {
        let peer = self.shared().peer.lock().clone().ok_or(StreamError::Closed)?;
        let client = &self.0.bus.link.client;
        client.publish(peer, frame.encode().into()).await.map_err(|_| StreamError::Closed)
    }
}

impl Drop for SinkHalf {
    fn drop(&mut self) {
        let mut core = self.shared().core.lock();
        if let Ok(number) = core.sendable() {
            core.ended();
            if let Some(peer) = self.shared().peer.lock().clone() {
                let status = Status::new(500, "InternalError", "the stream was abandoned");
                self.0.bus.link.streams.owe(peer, &Frame::Fail(number, status));
            }
        }
    }
}

impl SourceHalf {
    /// See [`Duplex::recv`].
    ///
    /// # Errors
    /// If the stream broke; what had arrived before comes first.
    pub async fn recv(&mut self) -> Result<Option<Bytes>, StreamError> {
        loop {
            // For what was taken before: after taking there is no await, or a dropped future would lose the message.
            self.give_credit().await;
            if let Some(taken) = self.shared().core.lock().take() {
                return taken;
            }
            self.shared().readable.notified().await;
        }
    }

    async fn give_credit(&self) {
        if self.shared().core.lock().owes_credit()
            && let Some(state) = self.shared().state(Instant::now())
        {
            // A closed bus shows by silence; what has arrived is read first.
            let _ = state.send(&self.0.bus.link).await;
        }
    }

    fn shared(&self) -> &Shared {
        &self.0.shared
    }
}

impl Drop for SourceHalf {
    fn drop(&mut self) {
        let mut core = self.shared().core.lock();
        if core.is_receiving() {
            core.stop();
            if let Some(peer) = self.shared().peer.lock().clone() {
                self.0.bus.link.streams.owe(peer, &Frame::Stop);
            }
        }
    }
}
