//! What is committed: writes that take effect together, and the conditions under which they do.

use cox_objects::{Cause, Draft, Key, Object, RequestId, Revision};

use crate::Guard;

/// Changes that are committed together or not at all, each taking one revision, consecutively.
#[derive(Clone, Debug, Default)]
pub struct Transaction {
    /// The api request that this carries out; a repeated one is answered with the first outcome. None for the server's own writes.
    pub request: Option<RequestId>,
    /// When: milliseconds since the Unix epoch. Kept with the events; the log reads no clock for them.
    pub time: u64,
    /// Who writes, and why.
    pub cause: Cause,
    /// The changes, in the order of their revisions.
    pub changes: Vec<Write>,
    /// What must hold of single objects; losing one is the caller's conflict.
    pub preconditions: Vec<Precondition>,
    /// What must hold of the whole state; the [`crate::Arbiter`] decides them.
    pub guards: Vec<Guard>,
    /// The HTTP status that the request is answered with if this commits (200, 201), kept with its outcome.
    pub outcome_code: u16,
}

/// One change.
#[derive(Clone, Debug)]
pub enum Write {
    /// The object is from now on this.
    Put {
        /// Where.
        key: Key,
        /// What, without its resourceVersion.
        draft: Draft,
        /// Whether it may, or must, exist before.
        must: Existence,
    },
    /// The object is gone. It must exist.
    Delete {
        /// Which.
        key: Key,
        /// The last object that the event shows; the stored one if none.
        last: Option<Draft>,
    },
}

impl Write {
    /// The object that it changes.
    pub fn key(&self) -> &Key {
        match self {
            Write::Put { key, .. } | Write::Delete { key, .. } => key,
        }
    }
}

/// What a put expects to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Existence {
    /// Nothing: a create.
    Absent,
    /// An object: an update.
    Present,
    /// Either.
    #[default]
    Any,
}

/// What must hold of one object when the transaction is decided. A missing object fails it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Precondition {
    /// Which object.
    pub key: Key,
    /// Its `metadata.uid`.
    pub uid: Option<String>,
    /// Its revision.
    pub revision: Option<Revision>,
}

/// What a transaction did, durably.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The revision of its first event; of an unchanged one, the same as `last`.
    pub first: Revision,
    /// The revision of its last event; of an unchanged one, the revision at which nothing had to be changed. A mirror that
    /// has it shows the transaction.
    pub last: Revision,
    /// The object of each change, in their order: as it is now, or as it last was (with the revision of the deletion).
    pub objects: Vec<Object>,
    /// Whether no change changed anything: then there is no event.
    pub unchanged: bool,
}
