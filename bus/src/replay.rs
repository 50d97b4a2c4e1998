//! Snapshots, ranges and past lists of the log over streams: what a mirror starts from, fills its gaps with, and does not remember.

use bytes::Bytes;
use cox_objects::{Cause, Change, Event, Key, Object, Position, Resource, Revision, Status};
use serde::{Deserialize, Serialize};

use crate::codec::{self, Malformed};
use crate::event::place;
use crate::seal::{self, SealError, SealingKey};
use crate::{Bus, Duplex, Skipped, StreamError};

mod moment;
mod past;
mod serve;

pub use past::{Past, PastQuery, past, past_object, position_at};
pub use serve::serve_reads;

/// Why a read ended early.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The stream broke, or the apiserver refused: 410 for revisions that are no longer kept.
    #[error("reading from the log")]
    Stream(#[from] StreamError),
    /// The apiserver sent what we do not understand.
    #[error("reading from the log")]
    Malformed(#[from] Malformed),
    /// It sent what is no object.
    #[error("reading from the log")]
    Object(#[from] cox_objects::object::ObjectError),
    /// A sealed object does not open.
    #[error("reading from the log: {0}")]
    Seal(#[from] SealError),
    /// The stream ended before it began.
    #[error("reading from the log: nothing was sent")]
    Nothing,
}

/// What is asked for.
#[derive(Debug, Serialize, Deserialize)]
enum Question {
    Snapshot,
    Range {
        from: Revision,
        to: Revision,
        /// Only the events of this resource; of all, if none.
        #[serde(default)]
        resource: Option<Resource>,
        /// Whether events may be missing; the answer says which.
        #[serde(default)]
        holes: bool,
    },
    Past(PastQuery),
    /// An object as it was.
    Object {
        at: Position,
        key: Key,
    },
    /// The events of one object, both ends included, as far as they are kept.
    History {
        key: Key,
        from: Revision,
        to: Revision,
    },
    /// Which position the log had at a time, in milliseconds since the Unix epoch.
    Moment(u64),
}

/// The first message of an answer.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    position: Position,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    skipped: Vec<Skipped>,
}

impl Head {
    fn at(position: Position) -> Self {
        Head { position, skipped: Vec::new() }
    }
}

/// An object of a snapshot.
#[derive(Debug, Serialize, Deserialize)]
struct WireObject {
    #[serde(rename = "r")]
    resource: Resource,
    #[serde(rename = "p")]
    path: String,
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    sealed: Option<String>,
    #[serde(rename = "o")]
    object: Bytes,
}

/// An event of a range.
#[derive(Debug, Serialize, Deserialize)]
struct WireEvent {
    position: Position,
    transaction: (Revision, Revision),
    time: u64,
    change: Change,
    cause: Cause,
    #[serde(flatten)]
    object: WireObject,
}

impl WireObject {
    fn of(key: &Key, object: &Object, at: Position, sealing: &SealingKey) -> Result<Self, SealError> {
        let (sealed, object) = match seal::is_sealed(key) {
            true => (Some(sealing.id().to_owned()), sealing.seal(&place(key, at), object.bytes())?),
            false => (None, object.bytes().clone()),
        };
        Ok(WireObject { resource: key.resource.clone(), path: key.path().to_owned(), sealed, object })
    }

    /// The object, sealed at a position that the reader knows from elsewhere.
    fn open(self, at: Position, sealing: Option<&SealingKey>) -> Result<(Key, Object), ReadError> {
        let key = Key::at(self.resource, &self.path);
        let bytes = match (self.sealed, sealing) {
            (None, _) => self.object,
            (Some(id), None) => return Err(SealError::OtherKey(id).into()),
            (Some(id), Some(sealing)) => sealing.open(&id, &place(&key, at), &self.object)?,
        };
        Ok((key, Object::from_stored(bytes)?))
    }
}

impl WireEvent {
    fn of(event: &Event, sealing: &SealingKey) -> Result<Self, SealError> {
        Ok(WireEvent {
            position: event.position,
            transaction: event.transaction,
            time: event.time,
            change: event.change,
            cause: event.cause.clone(),
            object: WireObject::of(&event.key, &event.object, event.position, sealing)?,
        })
    }

    fn open(self, sealing: Option<&SealingKey>) -> Result<Event, ReadError> {
        let WireEvent { position, transaction, time, change, cause, object } = self;
        let (key, object) = object.open(position, sealing)?;
        Ok(Event { position, transaction, time, key, change, object, cause })
    }
}

/// All objects at one position, in chunks.
pub struct Snapshot {
    stream: Duplex,
    bus: Bus,
    position: Position,
}

/// Asks the apiserver for all objects.
///
/// # Errors
/// If it does not answer or refuses.
pub async fn snapshot(bus: &Bus) -> Result<Snapshot, ReadError> {
    let (stream, Head { position, .. }) = open(bus, "snapshot", &Question::Snapshot).await?;
    Ok(Snapshot { stream, bus: bus.clone(), position })
}

impl Snapshot {
    /// The position that it is taken at.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The next objects, in no particular order; none at the end: it is whole then, and only then.
    ///
    /// # Errors
    /// If it broke: start anew.
    pub async fn next(&mut self) -> Result<Option<Vec<(Key, Object)>>, ReadError> {
        let Some(chunk) = self.stream.recv().await? else { return Ok(None) };
        let objects: Vec<WireObject> = codec::decode(&chunk)?;
        let key = self.bus.sealing_key();
        objects.into_iter().map(|o| o.open(self.position, key)).collect::<Result<_, _>>().map(Some)
    }
}

/// Events of the log, in chunks.
pub struct Range {
    stream: Duplex,
    bus: Bus,
    skipped: Vec<Skipped>,
}

/// Asks the apiserver for the events from one revision to another, both included; those past the head are left out.
///
/// # Errors
/// If it does not answer, or refuses: `Refused` with 410 if `from` is no longer kept.
pub async fn range(bus: &Bus, from: Revision, to: Revision) -> Result<Range, ReadError> {
    events(bus, Question::Range { from, to, resource: None, holes: false }).await
}

/// The same of one resource only: its revisions have holes, but none of its events is missing.
///
/// # Errors
/// As [`range`].
pub async fn range_of(bus: &Bus, resource: &Resource, from: Revision, to: Revision) -> Result<Range, ReadError> {
    events(bus, Question::Range { from, to, resource: Some(resource.clone()), holes: false }).await
}

/// The same, of one resource or of all, as far as it is kept: [`Range::skipped`] says where events are missing.
///
/// # Errors
/// If the apiserver does not answer.
pub async fn what_is_kept(
    bus: &Bus,
    resource: Option<&Resource>,
    from: Revision,
    to: Revision,
) -> Result<Range, ReadError> {
    events(bus, Question::Range { from, to, resource: resource.cloned(), holes: true }).await
}

/// The events of one object from one revision to another, both included, over all its lives; those that are no longer kept are left out.
///
/// # Errors
/// If the apiserver does not answer.
pub async fn history(bus: &Bus, key: &Key, from: Revision, to: Revision) -> Result<Range, ReadError> {
    events(bus, Question::History { key: key.clone(), from, to }).await
}

async fn events(bus: &Bus, question: Question) -> Result<Range, ReadError> {
    let (stream, Head { skipped, .. }) = open(bus, "range", &question).await?;
    Ok(Range { stream, bus: bus.clone(), skipped })
}

impl Range {
    /// Where events are missing, because the past is not kept that long.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// The next events, in order; none at the end.
    ///
    /// # Errors
    /// If it broke: what was given before holds, so go on from there.
    pub async fn next(&mut self) -> Result<Option<Vec<Event>>, ReadError> {
        let Some(chunk) = self.stream.recv().await? else { return Ok(None) };
        let events: Vec<WireEvent> = codec::decode(&chunk)?;
        let key = self.bus.sealing_key();
        events.into_iter().map(|e| e.open(key)).collect::<Result<_, _>>().map(Some)
    }
}

async fn open(bus: &Bus, what: &str, question: &Question) -> Result<(Duplex, Head), ReadError> {
    let hello = codec::encode(question).map_err(|_| ReadError::Nothing)?;
    // The connection's own identity: what it may read does not depend on under whom it writes.
    let subject = bus.subjects().read(&bus.link.owner, what);
    let mut stream = bus.open(subject, hello.into()).await?;
    let head = stream.recv().await?.ok_or(ReadError::Nothing)?;
    let head = codec::decode(&head)?;
    Ok((stream, head))
}

fn internal(error: impl std::fmt::Display) -> Status {
    Status::internal(error)
}

#[cfg(test)]
mod tests;
