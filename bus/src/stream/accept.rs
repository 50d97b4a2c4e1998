//! The side that serves streams.

use bytes::Bytes;
use cox_objects::Status;

use super::duplex::Duplex;
use super::frame::{Frame, Hello};
use super::{StreamError, WINDOW};
use crate::serve::{Messages, reply_to};
use crate::{Bus, CallError, codec};

/// Offers of streams on the subjects that are served. Several servers of a subject share the offers.
pub struct Acceptor {
    bus: Bus,
    offers: Messages,
}

/// A stream that somebody wants to open. Dropping it refuses.
pub struct Offer {
    /// The subject on which it is wanted: it says the node, the identity, the service.
    pub subject: String,
    /// What the opener says.
    pub hello: Bytes,
    bus: Bus,
    window: u64,
    peer: Option<String>,
}

impl Bus {
    /// Serves streams on a subject or pattern. The subscription stands when this returns.
    ///
    /// # Errors
    /// If the bus is not there.
    pub async fn serve_streams(&self, subject_pattern: String) -> Result<Acceptor, CallError> {
        Ok(Acceptor { bus: self.clone(), offers: self.subscribe(subject_pattern, Some("streams")).await? })
    }
}

impl Acceptor {
    /// The next offer; none when the connection is closed for good.
    pub async fn next(&mut self) -> Option<Offer> {
        loop {
            let message = self.offers.next().await?;
            let Some(peer) = reply_to(&self.bus, &message) else { continue };
            match codec::decode::<Hello>(&message.payload) {
                Ok(Hello { window, hello }) => {
                    let subject = message.subject.to_string();
                    return Some(Offer { subject, hello, bus: self.bus.clone(), window, peer: Some(peer) });
                }
                Err(error) => {
                    let refusal = Frame::Refuse(Status::bad_request(error.to_string()));
                    self.bus.link.streams.owe(peer, &refusal);
                }
            }
        }
    }
}

impl Offer {
    /// Opens the stream.
    ///
    /// # Errors
    /// If the bus is closed, or the opener reads where it could not be answered.
    pub async fn accept(mut self) -> Result<Duplex, StreamError> {
        let peer = self.peer.take().ok_or(StreamError::Ended)?;
        let link = &self.bus.link;
        let asker = link.subjects.asker_of(&peer).ok_or(StreamError::Protocol("a foreign reply address"))?;
        let shared = link.streams.register(link, asker, Some((peer.clone(), self.window)));
        let frame = Frame::Accept { address: shared.own.clone(), window: WINDOW };
        let stream = Duplex::new(self.bus.clone(), shared);
        link.client.publish(peer, frame.encode().into()).await.map_err(|_| StreamError::Closed)?;
        Ok(stream)
    }

    /// Refuses it, with the reason for the opener's user.
    pub fn refuse(mut self, status: Status) {
        self.answer(&Frame::Refuse(status));
    }

    fn answer(&mut self, frame: &Frame) {
        if let Some(peer) = self.peer.take() {
            self.bus.link.streams.owe(peer, frame);
        }
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        self.answer(&Frame::Refuse(Status::unavailable("the service is stopping")));
    }
}
