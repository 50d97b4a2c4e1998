//! What writers did and were told, and what followers saw: the material of the checker.

use cox_objects::{Change, Event};
use serde_json::Value;

/// The namespace of everything that the load writes.
pub const NAMESPACE: &str = "default";

/// What was asked for. Values are unique: no two writes of a run have the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Read it, linearizably.
    Get,
    /// Make it, with this value.
    Create(String),
    /// Give it this value, if it is there.
    Put(String),
    /// Give it a value, if it has the version that was read with the first value.
    Swap(String, String),
    /// Remove it.
    Delete,
}

impl Act {
    /// The value that it writes.
    pub fn value(&self) -> Option<&str> {
        match self {
            Act::Create(value) | Act::Put(value) | Act::Swap(_, value) => Some(value),
            Act::Get | Act::Delete => None,
        }
    }
}

/// What the writer was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done. A write that the answer shows has its revision, a read what it found.
    Done {
        /// The revision of what was written or read; none of a delete, and of a read that found nothing.
        revision: Option<u64>,
        /// What was read; none if there was nothing.
        value: Option<String>,
    },
    /// It does not fit what is there: there already, not there, or another version.
    Refused,
    /// It was surely not done.
    Never,
    /// Nobody said whether it was done.
    Perhaps,
    /// An answer that there is no reason for.
    Wrong(String),
}

/// One request of one writer.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Which writer.
    pub writer: usize,
    /// The object, as [`key`] names it.
    pub key: String,
    /// What was asked for.
    pub act: Act,
    /// When it was sent, in nanoseconds since the run began.
    pub invoked: u64,
    /// When the answer was there.
    pub returned: u64,
    /// The answer.
    pub outcome: Outcome,
}

/// How an object of the load is named.
pub fn key(resource: &str, name: &str) -> String {
    format!("{resource}/{NAMESPACE}/{name}")
}

/// A change as the log, or a follower, has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its revision.
    pub revision: u64,
    /// What happened.
    pub change: Change,
    /// The object, as [`key`] names it.
    pub key: String,
    /// The value that the load gave it, if it is of the load.
    pub value: Option<String>,
}

impl Seen {
    /// A change of an object.
    pub fn new(revision: u64, change: Change, key: String, object: &Value) -> Self {
        Seen { revision, change, key, value: value(object) }
    }
}

impl From<&Event> for Seen {
    fn from(event: &Event) -> Self {
        let key = format!("{}/{}/{}", event.key.resource.plural(), event.key.namespace(), event.key.name());
        Seen::new(event.revision(), event.change, key, &event.object.value())
    }
}

/// The value that the load gave an object, which is never empty: ConfigMaps have it in their data, all others in an annotation.
pub fn value(object: &Value) -> Option<String> {
    let places = ["/data/value", "/metadata/annotations/value"];
    places
        .into_iter()
        .find_map(|place| object.pointer(place))
        .and_then(Value::as_str)
        .filter(|v| !v.is_empty())
        .map(str::to_owned)
}
