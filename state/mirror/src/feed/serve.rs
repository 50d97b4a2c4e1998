//! The server of node feeds, beside a mirror.

use std::time::Duration;

use bytes::Bytes;
use cox_bus::{Bus, CallError, Duplex, Offer, StreamError, codec};
use cox_objects::{Position, Status};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use super::{Hello, Interest, Message, WirePut};
use crate::state::Put;
use crate::{Changes, Mirror};

/// About how many bytes go in one message.
const PART: usize = 256 << 10;
/// How often a node is told how far its feed is, if nothing else does.
const PROGRESS: Duration = Duration::from_millis(250);

/// Serves the feeds of all nodes until it is cancelled. A node may open its own only: the server's permissions see to that.
///
/// # Errors
/// If the bus is not there.
pub async fn serve(mirror: &Mirror, bus: &Bus, cancel: CancellationToken) -> Result<(), CallError> {
    let mut offers = bus.serve_streams(bus.subjects().node_wildcard("feed")).await?;
    let mut feeds = FuturesUnordered::new();
    loop {
        tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            offer = offers.next() => match offer {
                Some(offer) => feeds.push(feed(mirror, bus, offer)),
                None => return Ok(()),
            },
            Some(()) = feeds.next() => {}
        }
    }
}

async fn feed(mirror: &Mirror, bus: &Bus, offer: Offer) {
    let Some((node, _)) = bus.subjects().parse_node(&offer.subject) else {
        return offer.refuse(Status::bad_request("not a node's feed"));
    };
    let hello: Hello = match codec::decode(&offer.hello) {
        Ok(hello) => hello,
        Err(error) => return offer.refuse(Status::bad_request(error.to_string())),
    };
    let Ok(stream) = offer.accept().await else { return };
    let interest = Interest::new(&node, hello.scope);
    match Feed::start(mirror, interest, stream).await {
        Ok(feed) => {
            if let Err(error) = feed.run().await {
                tracing::debug!(node, %error, "a node's feed has ended");
            }
        }
        Err(error) => tracing::debug!(node, %error, "a node's feed did not begin"),
    }
}

struct Feed<'a> {
    mirror: &'a Mirror,
    interest: Interest,
    changes: Changes,
    stream: Duplex,
    number: u64,
    told: Position,
}

impl<'a> Feed<'a> {
    /// Sends the whole set.
    async fn start(mirror: &'a Mirror, mut interest: Interest, stream: Duplex) -> Result<Feed<'a>, StreamError> {
        let (position, puts) = mirror.with(|state| (state.position(), interest.whole(state)));
        let changes = mirror.changes_after(&interest.resources(), position.revision);
        let mut feed = Feed { mirror, interest, changes, stream, number: 0, told: position };
        feed.send(|number| Message::Begin { number, position }).await?;
        for puts in parts(puts) {
            feed.send(|number| Message::Part { number, puts }).await?;
        }
        feed.send(|number| Message::Whole { number }).await?;
        Ok(feed)
    }

    /// Sends changes until one side ends.
    async fn run(mut self) -> Result<(), StreamError> {
        let mut progress = tokio::time::interval(PROGRESS);
        loop {
            tokio::select! {
                changes = self.changes.next() => {
                    let Some(changes) = changes else {
                        self.stream.fail(Status::expired("the feed fell behind the mirror")).await;
                        return Ok(());
                    };
                    let Some(position) = changes.last().map(|change| change.position) else { continue };
                    let mut puts = Vec::new();
                    for change in &changes {
                        puts.extend(self.interest.take(change, self.mirror));
                    }
                    if !puts.is_empty() {
                        self.tell(position, puts).await?;
                    }
                }
                _ = progress.tick() => {
                    // Taken before the changes are looked at: what comes up to here is then in them.
                    let position = self.mirror.position();
                    if position != self.told && self.changes.is_drained_to(position.revision) {
                        self.tell(position, Vec::new()).await?;
                    }
                }
                said = self.stream.recv() => match said? {
                    // A node has nothing to say after its hello.
                    Some(_) => {}
                    None => return Ok(()),
                },
            }
        }
    }

    async fn tell(&mut self, position: Position, puts: Vec<Put>) -> Result<(), StreamError> {
        self.told = position;
        let puts = puts.into_iter().map(WirePut::from).collect();
        self.send(|number| Message::Changes { number, position, puts }).await
    }

    async fn send(&mut self, message: impl FnOnce(u64) -> Message) -> Result<(), StreamError> {
        let message = message(self.number);
        self.number += 1;
        let bytes = codec::encode(&message).map_err(|_| StreamError::Protocol("a message that cannot be encoded"))?;
        self.stream.send(Bytes::from(bytes)).await
    }
}

/// Splits a whole set into messages.
fn parts(puts: Vec<Put>) -> Vec<Vec<WirePut>> {
    let mut parts = vec![Vec::new()];
    let mut size = 0;
    for put in puts.into_iter().map(WirePut::from) {
        size += put.weight();
        if size > PART {
            size = put.weight();
            parts.push(Vec::new());
        }
        if let Some(part) = parts.last_mut() {
            part.push(put);
        }
    }
    parts
}
