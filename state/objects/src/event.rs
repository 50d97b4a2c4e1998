//! An event of the log: one change of one object, with its place in the log and its cause.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Cause, Key, Object};

/// A position in the log: dense, global, strictly increasing from 1; it serves as `resourceVersion`. 0 is "before everything".
pub type Revision = u64;

/// The random identity of one life of the log; a restore opens another one. Printed as 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl std::str::FromStr for Epoch {
    type Err = std::num::ParseIntError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Epoch)
    }
}

/// Where an event stands: a revision means something only within its epoch. Printed as `epoch-revision`, the CloudEvents id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Position {
    /// The life of the log.
    pub epoch: Epoch,
    /// The revision in it.
    pub revision: Revision,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.revision)
    }
}

/// What happened to the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It did not exist before.
    Added,
    /// It existed, and is now different.
    Modified,
    /// It is gone; the event holds the last object, with the revision of the deletion.
    Deleted,
}

/// One change of one object, as the log keeps it and the bus carries it.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its place in the log.
    pub position: Position,
    /// First and last revision of its transaction; followers apply and show these together.
    pub transaction: (Revision, Revision),
    /// When the transaction was committed: milliseconds since the Unix epoch.
    pub time: u64,
    /// What it is about.
    pub key: Key,
    /// What happened.
    pub change: Change,
    /// The object after the change (of a deletion: the last one), `resourceVersion` being this event's revision.
    pub object: Object,
    /// Who wrote it, and why.
    pub cause: Cause,
}

impl Event {
    /// The event's revision.
    pub fn revision(&self) -> Revision {
        self.position.revision
    }

    /// Whether this is the last event of its transaction.
    pub fn ends_transaction(&self) -> bool {
        self.position.revision == self.transaction.1
    }
}
