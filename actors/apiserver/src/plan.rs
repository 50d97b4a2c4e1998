//! What a decision comes to: the changes to commit, and how to answer once they are.

use cox_log::{Existence, Guard, Precondition};
use cox_objects::Key;
use serde_json::Value;

use crate::pipeline::collection::Progress;

/// The decision about one request.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The changes, in order; none of a dry run or a review.
    pub(crate) changes: Vec<Change>,
    pub(crate) preconditions: Vec<Precondition>,
    pub(crate) guards: Vec<Guard>,
    pub(crate) answer: Answer,
    pub(crate) code: u16,
    pub(crate) warnings: Vec<String>,
    /// Whether losing a race with another writer is for us to try again (the caller named no version).
    pub(crate) retry: bool,
    /// Where a request goes on that takes more than one transaction; none if this is all of it.
    pub(crate) next: Option<Progress>,
}

/// One change, still as a value: a dry run answers from it.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Put { key: Key, object: Value, must: Existence },
    Delete { key: Key, last: Option<Value> },
}

impl Change {
    pub(crate) fn key(&self) -> &Key {
        match self {
            Change::Put { key, .. } | Change::Delete { key, .. } => key,
        }
    }
}

/// What the caller is told.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The object that the first change left.
    Object,
    /// The Scale view of the object that the first change left.
    Scale,
    /// This, as it is.
    Value(Value),
}

impl Plan {
    /// An answer without a change.
    pub(crate) fn answer(code: u16, value: Value) -> Self {
        Plan {
            changes: Vec::new(),
            preconditions: Vec::new(),
            guards: Vec::new(),
            answer: Answer::Value(value),
            code,
            warnings: Vec::new(),
            retry: false,
            next: None,
        }
    }

    /// Changes, answered with the object of the first.
    pub(crate) fn write(code: u16, changes: Vec<Change>) -> Self {
        Plan {
            changes,
            preconditions: Vec::new(),
            guards: Vec::new(),
            answer: Answer::Object,
            code,
            warnings: Vec::new(),
            retry: true,
            next: None,
        }
    }
}
