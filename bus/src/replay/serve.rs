//! The apiserver's side of snapshots and ranges.

use std::sync::Arc;

use bytes::Bytes;
use cox_objects::{Position, Revision, Status};
use futures::stream::{FuturesUnordered, StreamExt};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Head, Question, WireEvent, WireObject, internal};
use crate::seal::SealingKey;
use crate::source::{EventSource, SourceError};
use crate::{Bus, CallError, Offer, codec};

/// About how many bytes go in one message.
const CHUNK: usize = 256 << 10;
/// How many reads are served at a time; others wait for their turn.
const READS: usize = 8;

/// Serves snapshots and ranges of a log until it is cancelled. Secrets go out sealed.
///
/// # Errors
/// If the bus is not there.
pub async fn serve_reads<S: EventSource>(
    bus: &Bus,
    source: Arc<S>,
    sealing: SealingKey,
    cancel: CancellationToken,
) -> Result<(), CallError> {
    let mut offers = bus.serve_streams(bus.subjects().read_wildcard()).await?;
    let mut reads = FuturesUnordered::new();
    loop {
        tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            offer = offers.next(), if reads.len() < READS => match offer {
                Some(offer) => reads.push(serve(offer, source.clone(), sealing.clone())),
                None => return Ok(()),
            },
            Some(()) = reads.next() => {}
        }
    }
}

async fn serve<S: EventSource>(offer: Offer, source: Arc<S>, sealing: SealingKey) {
    let question = match codec::decode::<Question>(&offer.hello) {
        Ok(question) => question,
        Err(error) => return offer.refuse(Status::bad_request(error.to_string())),
    };
    if let Question::Range { from, .. } = question
        && from < source.oldest()
    {
        let oldest = source.oldest();
        return offer.refuse(Status::expired(format!("revision {from} is no longer kept, the oldest is {oldest}")));
    }
    let Ok(mut stream) = offer.accept().await else { return };
    // The log may block on the disk, so it is read on a thread for that, two chunks ahead.
    let (sender, mut chunks) = mpsc::channel::<Bytes>(2);
    let reader: JoinHandle<Result<(), SourceError>> = tokio::task::spawn_blocking(move || match question {
        Question::Snapshot => read_snapshot(&*source, &sealing, &sender),
        Question::Range { from, to } => read_range(&*source, &sealing, &sender, from, to),
    });
    while let Some(chunk) = chunks.recv().await {
        if stream.send(chunk).await.is_err() {
            // The reader has gone, or will ask again.
            return;
        }
    }
    match reader.await {
        Ok(Ok(())) => {
            let _ = stream.finish().await;
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "reading the log");
            stream.fail(internal(error)).await;
        }
        Err(error) => stream.fail(internal(error)).await,
    }
}

type Sender = mpsc::Sender<Bytes>;

/// Hands a chunk on; false if nobody takes it any more.
fn hand<T: Serialize>(sender: &Sender, chunk: &T) -> Result<bool, SourceError> {
    Ok(sender.blocking_send(codec::encode(chunk)?.into()).is_ok())
}

fn read_snapshot<S: EventSource>(source: &S, sealing: &SealingKey, sender: &Sender) -> Result<(), SourceError> {
    let (position, objects) = source.snapshot()?;
    hand(sender, &Head { position })?;
    let (mut chunk, mut bytes) = (Vec::new(), 0);
    for object in objects {
        let (key, object) = object?;
        let object = WireObject::of(&key, &object, position, sealing)?;
        if bytes + object.object.len() > CHUNK && !chunk.is_empty() {
            if !hand(sender, &chunk)? {
                return Ok(());
            }
            (chunk, bytes) = (Vec::new(), 0);
        }
        bytes += object.object.len() + 64;
        chunk.push(object);
    }
    if !chunk.is_empty() {
        hand(sender, &chunk)?;
    }
    Ok(())
}

fn read_range<S: EventSource>(
    source: &S,
    sealing: &SealingKey,
    sender: &Sender,
    from: Revision,
    to: Revision,
) -> Result<(), SourceError> {
    let head = *source.head().borrow();
    hand(sender, &Head { position: Position { epoch: source.epoch(), revision: head } })?;
    let (mut next, last) = (from, to.min(head));
    while next <= last {
        let events = source.read(next, CHUNK)?;
        let mut chunk = Vec::with_capacity(events.len());
        let mut bytes = 0;
        for event in events.iter().take_while(|e| e.revision() <= last) {
            if event.revision() != next {
                return Err(format!("revision {next} is missing").into());
            }
            next += 1;
            let event = WireEvent::of(event, sealing)?;
            let length = event.object.object.len() + 512;
            if bytes + length > 2 * CHUNK && !chunk.is_empty() && !hand(sender, &std::mem::take(&mut chunk))? {
                return Ok(());
            }
            bytes = if chunk.is_empty() { length } else { bytes + length };
            chunk.push(event);
        }
        if chunk.is_empty() {
            return Err(format!("revision {next} is missing").into());
        }
        if !hand(sender, &chunk)? {
            return Ok(());
        }
    }
    Ok(())
}
