//! Lists and objects as they were at a revision, from the log, and which revision a time had.

use cox_objects::{Key, Object, Position, Resource};
use serde::{Deserialize, Serialize};

use super::{Head, Question, ReadError, WireObject, open};
use crate::{Bus, Duplex, codec};

/// Which objects, and as of when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastQuery {
    /// The position; one of another epoch is refused.
    pub at: Position,
    /// The resource.
    pub resource: Resource,
    /// The namespace; all, or cluster-scoped objects, if empty.
    pub namespace: String,
    /// Only those after this path (`namespace/name`).
    pub after: Option<String>,
    /// At most so many; 0 is no limit.
    pub limit: u64,
}

/// A part of the answer.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Part {
    Objects(Vec<WireObject>),
    /// How many more there are past the limit; comes last.
    Remaining(u64),
}

/// A list as it was, in chunks.
pub struct Past {
    stream: Duplex,
    bus: Bus,
    position: Position,
    remaining: u64,
}

/// Asks the apiserver for a list as it was.
///
/// # Errors
/// If it does not answer, or refuses: `Refused` with 410 if that position is no longer kept.
pub async fn past(bus: &Bus, query: PastQuery) -> Result<Past, ReadError> {
    let (stream, Head { position, .. }) = open(bus, "past", &Question::Past(query)).await?;
    Ok(Past { stream, bus: bus.clone(), position, remaining: 0 })
}

/// Asks the apiserver for an object as it was; none if it was not there.
///
/// # Errors
/// As [`past`].
pub async fn past_object(bus: &Bus, at: Position, key: &Key) -> Result<Option<Object>, ReadError> {
    let (stream, Head { position, .. }) = open(bus, "past", &Question::Object { at, key: key.clone() }).await?;
    let mut found = Past { stream, bus: bus.clone(), position, remaining: 0 };
    let mut object = None;
    while let Some(objects) = found.next().await? {
        object = objects.into_iter().map(|(_, object)| object).next();
    }
    Ok(object)
}

/// Asks the apiserver which position the log had at a time, in milliseconds since the Unix epoch: that of the last event until then. If the
/// clock was ever set back, it is one of those whose successor is later.
///
/// # Errors
/// If it does not answer, or refuses: `Refused` with 410 if no event from before that time is kept.
pub async fn position_at(bus: &Bus, time: u64) -> Result<Position, ReadError> {
    Ok(open(bus, "past", &Question::Moment(time)).await?.1.position)
}

impl Past {
    /// The next objects, in key order; none at the end: it is whole then, and only then.
    ///
    /// # Errors
    /// If it broke: start anew.
    pub async fn next(&mut self) -> Result<Option<Vec<(Key, Object)>>, ReadError> {
        while let Some(part) = self.stream.recv().await? {
            match codec::decode(&part)? {
                Part::Remaining(remaining) => self.remaining = remaining,
                Part::Objects(objects) => {
                    let key = self.bus.sealing_key();
                    return objects.into_iter().map(|o| o.open(self.position, key)).collect::<Result<_, _>>().map(Some);
                }
            }
        }
        Ok(None)
    }

    /// At the end: how many objects there are past the limit.
    pub fn remaining(&self) -> u64 {
        self.remaining
    }
}
