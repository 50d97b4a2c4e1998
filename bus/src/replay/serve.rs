//! The apiserver's side of snapshots, ranges, histories, and of what was.

use std::sync::Arc;

use bytes::Bytes;
use cox_objects::at::time_text;
use cox_objects::{Change, Key, Object, Position, Resource, Revision, Status};
use futures::stream::{FuturesUnordered, StreamExt};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::past::Part;
use super::{Head, PastQuery, Question, WireEvent, WireObject, internal, moment};
use crate::seal::SealingKey;
use crate::source::{EventSource, SourceError};
use crate::{Bus, CallError, Offer, Skipped, codec};

/// About how many bytes go in one message.
const CHUNK: usize = 256 << 10;
/// How many reads are served at a time; others wait for their turn.
const READS: usize = 8;

/// Serves snapshots, ranges and past lists of a log until it is cancelled. Secrets go out sealed.
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

/// Whether the log still has what is asked for.
fn kept<S: EventSource>(source: &S, question: &Question) -> Result<(), Status> {
    let (wanted, oldest) = match question {
        Question::Snapshot | Question::History { .. } | Question::Moment(_) => return Ok(()),
        Question::Range { holes: true, .. } => return Ok(()),
        Question::Range { from, resource: None, .. } => (*from, source.oldest()),
        // What came after a revision is all there where what was at it can be read.
        Question::Range { from, resource: Some(resource), .. } => {
            let after = from.saturating_sub(1);
            (after, source.past_from(resource, after).map_err(internal)?)
        }
        Question::Past(PastQuery { at, resource, .. }) | Question::Object { at, key: Key { resource, .. } } => {
            if at.epoch != source.epoch() {
                return Err(Status::expired(format!("{at} is of another epoch, this one is {}", source.epoch())));
            }
            (at.revision, source.past_from(resource, at.revision).map_err(internal)?)
        }
    };
    match wanted < oldest {
        true => Err(Status::expired(format!("revision {wanted} is no longer kept, the oldest is {oldest}"))),
        false => Ok(()),
    }
}

async fn serve<S: EventSource>(offer: Offer, source: Arc<S>, sealing: SealingKey) {
    let question = match codec::decode::<Question>(&offer.hello) {
        Ok(question) => question,
        Err(error) => return offer.refuse(Status::bad_request(error.to_string())),
    };
    if let Question::Moment(time) = question {
        return serve_moment(offer, source, time).await;
    }
    if let Err(status) = kept(&*source, &question) {
        return offer.refuse(status);
    }
    let Ok(mut stream) = offer.accept().await else { return };
    // The log may block on the disk, so it is read on a thread for that, two chunks ahead.
    let (sender, mut chunks) = mpsc::channel::<Bytes>(2);
    let reader: JoinHandle<Result<(), SourceError>> = tokio::task::spawn_blocking(move || match question {
        Question::Snapshot => read_snapshot(&*source, &sealing, &sender),
        Question::Range { from, to, resource, holes } => {
            let skipped = if holes { missing(&*source, resource.as_ref(), (from, to)) } else { Vec::new() };
            read_range(&*source, &sealing, &sender, (from, to), resource.as_ref(), skipped)
        }
        Question::Past(query) => read_past(&*source, &sealing, &sender, &query),
        Question::Object { at, key } => read_object(&*source, &sealing, &sender, at, &key),
        Question::History { key, from, to } => read_history(&*source, &sealing, &sender, &key, (from, to)),
        // Answered already.
        Question::Moment(_) => Ok(()),
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

/// Answers with the position that the log had at a time.
async fn serve_moment<S: EventSource>(offer: Offer, source: Arc<S>, time: u64) {
    let epoch = source.epoch();
    let found = tokio::task::spawn_blocking(move || moment::find(&*source, time)).await;
    match found {
        Ok(Ok(Some(revision))) => serve_position(offer, Position { epoch, revision }).await,
        Ok(Ok(None)) => {
            let text = format!("the log no longer keeps what was at {}: its oldest event is later", time_text(time));
            offer.refuse(Status::expired(text));
        }
        Ok(Err(error)) => offer.refuse(internal(error)),
        Err(error) => offer.refuse(internal(error)),
    }
}

async fn serve_position(offer: Offer, position: Position) {
    let head = match codec::encode(&Head::at(position)) {
        Ok(head) => head,
        Err(error) => return offer.refuse(internal(error)),
    };
    let Ok(mut stream) = offer.accept().await else { return };
    if stream.send(head.into()).await.is_ok() {
        // An asker that is gone needs no end.
        let _ = stream.finish().await;
    }
}

type Sender = mpsc::Sender<Bytes>;

/// Hands a chunk on; false if nobody takes it any more.
fn hand<T: Serialize>(sender: &Sender, chunk: &T) -> Result<bool, SourceError> {
    Ok(sender.blocking_send(codec::encode(chunk)?.into()).is_ok())
}

fn read_snapshot<S: EventSource>(source: &S, sealing: &SealingKey, sender: &Sender) -> Result<(), SourceError> {
    let (position, mut objects) = source.snapshot()?;
    hand(sender, &Head::at(position))?;
    send_objects(&mut objects, position, sealing, sender, |chunk| chunk).map(drop)
}

fn read_past<S: EventSource>(
    source: &S,
    sealing: &SealingKey,
    sender: &Sender,
    query: &PastQuery,
) -> Result<(), SourceError> {
    let PastQuery { at, resource, namespace, after, limit } = query;
    let mut objects = source.past(at.revision, resource, namespace, after.as_deref())?;
    hand(sender, &Head::at(*at))?;
    if *limit == 0 {
        return send_objects(&mut objects, *at, sealing, sender, Part::Objects).map(drop);
    }
    let limit = usize::try_from(*limit).unwrap_or(usize::MAX);
    if send_objects(&mut objects.by_ref().take(limit), *at, sealing, sender, Part::Objects)? {
        let remaining = objects.try_fold(0, |count, object| object.map(|_| count + 1))?;
        hand(sender, &Part::Remaining(remaining))?;
    }
    Ok(())
}

/// Sends objects in chunks, each made a message by `part`; false if nobody takes them any more.
fn send_objects<M: Serialize>(
    objects: &mut dyn Iterator<Item = Result<(Key, Object), SourceError>>,
    position: Position,
    sealing: &SealingKey,
    sender: &Sender,
    part: impl Fn(Vec<WireObject>) -> M,
) -> Result<bool, SourceError> {
    let (mut chunk, mut bytes) = (Vec::new(), 0);
    for object in objects {
        let (key, object) = object?;
        let object = WireObject::of(&key, &object, position, sealing)?;
        if bytes + object.object.len() > CHUNK && !chunk.is_empty() {
            if !hand(sender, &part(std::mem::take(&mut chunk)))? {
                return Ok(false);
            }
            bytes = 0;
        }
        bytes += object.object.len() + 64;
        chunk.push(object);
    }
    if chunk.is_empty() { Ok(true) } else { hand(sender, &part(chunk)) }
}

/// Where events of a range are missing; of one resource only, if one is given.
fn missing<S: EventSource>(source: &S, resource: Option<&Resource>, (from, to): (Revision, Revision)) -> Vec<Skipped> {
    let skipped = source.skipped();
    let named = resource.is_some() && skipped.iter().any(|skipped| skipped.resource.as_ref() == resource);
    let asked_for = |skipped: &Skipped| match (resource, &skipped.resource) {
        (None, _) => true,
        (Some(resource), Some(of)) => of == resource,
        (Some(_), None) => !named,
    };
    skipped.into_iter().filter(asked_for).filter_map(|skipped| skipped.within(from, to)).collect()
}

/// Sends the events of a range, and checks that none is missing where none may be; of one resource only, if one is given.
fn read_range<S: EventSource>(
    source: &S,
    sealing: &SealingKey,
    sender: &Sender,
    (from, to): (Revision, Revision),
    resource: Option<&Resource>,
    skipped: Vec<Skipped>,
) -> Result<(), SourceError> {
    let head = *source.head().borrow();
    // Asked before anything is read, since it moves on: whoever was let in below it knows of holes.
    let oldest = source.oldest();
    hand(sender, &Head { position: Position { epoch: source.epoch(), revision: head }, skipped: skipped.clone() })?;
    let (mut next, last) = (from, to.min(head));
    while next <= last {
        let events = source.read(next, CHUNK)?;
        let untold = |now: &Skipped| !skipped.iter().any(|told| told.resource == now.resource && told.to >= now.to);
        if missing(source, resource, (next, last)).iter().any(untold) {
            return Err(format!("revision {next} was let go of while it was read").into());
        }
        let mut chunk = Vec::with_capacity(events.len());
        let (begun, mut bytes) = (next, 0);
        for event in events.iter().take_while(|e| e.revision() <= last) {
            if event.revision() != next && event.revision() > oldest {
                return Err(format!("revision {next} is missing").into());
            }
            next = event.revision() + 1;
            if resource.is_some_and(|resource| event.key.resource != *resource) {
                continue;
            }
            let event = WireEvent::of(event, sealing)?;
            let length = event.object.object.len() + 512;
            if bytes + length > 2 * CHUNK && !chunk.is_empty() && !hand(sender, &std::mem::take(&mut chunk))? {
                return Ok(());
            }
            bytes = if chunk.is_empty() { length } else { bytes + length };
            chunk.push(event);
        }
        if next == begun {
            // The others up to the last were dropped, or never used.
            return if last < oldest { Ok(()) } else { Err(format!("revision {next} is missing").into()) };
        }
        if !chunk.is_empty() && !hand(sender, &chunk)? {
            return Ok(());
        }
    }
    Ok(())
}

/// Sends an object as it was, if it was there: what its newest event until then made.
fn read_object<S: EventSource>(
    source: &S,
    sealing: &SealingKey,
    sender: &Sender,
    at: Position,
    key: &Key,
) -> Result<(), SourceError> {
    let head = *source.head().borrow();
    if at.revision > head {
        return Err(format!("revision {} is not there yet, the newest is {head}", at.revision).into());
    }
    hand(sender, &Head::at(at))?;
    let newest = source.history(key)?.into_iter().rfind(|revision| *revision <= at.revision);
    let Some(revision) = newest else { return Ok(()) };
    let event = source.read(revision, 1)?.into_iter().next();
    if source.past_from(&key.resource, at.revision)? > at.revision {
        return Err(format!("revision {} was let go of while it was read", at.revision).into());
    }
    // Another one if it was a deletion that was dropped meanwhile.
    let Some(event) = event.filter(|event| event.revision() == revision) else { return Ok(()) };
    if event.change != Change::Deleted {
        hand(sender, &Part::Objects(vec![WireObject::of(key, &event.object, at, sealing)?]))?;
    }
    Ok(())
}

/// Sends the events of one object.
fn read_history<S: EventSource>(
    source: &S,
    sealing: &SealingKey,
    sender: &Sender,
    key: &Key,
    (from, to): (Revision, Revision),
) -> Result<(), SourceError> {
    let head = *source.head().borrow();
    hand(sender, &Head::at(Position { epoch: source.epoch(), revision: head }))?;
    let (mut chunk, mut bytes) = (Vec::new(), 0);
    for revision in source.history(key)?.into_iter().filter(|revision| (from..=to.min(head)).contains(revision)) {
        // One that was compacted meanwhile is left out.
        let Some(event) = source.read(revision, 1)?.into_iter().next().filter(|e| e.revision() == revision) else {
            continue;
        };
        let event = WireEvent::of(&event, sealing)?;
        let length = event.object.object.len() + 512;
        if bytes + length > CHUNK && !chunk.is_empty() {
            if !hand(sender, &std::mem::take(&mut chunk))? {
                return Ok(());
            }
            bytes = 0;
        }
        bytes += length;
        chunk.push(event);
    }
    if chunk.is_empty() { Ok(()) } else { hand(sender, &chunk).map(drop) }
}
