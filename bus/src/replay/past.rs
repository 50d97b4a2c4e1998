//! Lists as they were at a revision, from the log: what is older than a mirror remembers.

use cox_objects::{Key, Object, Position, Resource};
use serde::{Deserialize, Serialize};

use super::{Question, ReadError, WireObject, open};
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
    let (stream, position) = open(bus, "past", &Question::Past(query)).await?;
    Ok(Past { stream, bus: bus.clone(), position, remaining: 0 })
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
