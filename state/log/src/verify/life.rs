//! What must hold of one object's events in their order, and how they leave it.

use cox_objects::{Change, Key, Revision};

use super::{Fault, Wrong};

/// An object's events up to one.
pub(super) struct Life {
    key: Key,
    /// Below it the oldest events may be missing; 0 if none is.
    floor: Revision,
    newest: Option<(Revision, Change)>,
}

impl Life {
    /// None yet.
    pub(super) fn new(key: Key, floor: Revision) -> Self {
        Life { key, floor, newest: None }
    }

    /// The object.
    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    /// Takes its next event that is kept.
    pub(super) fn next(&mut self, revision: Revision, change: Change) -> Result<(), Fault> {
        let was_there = match self.newest {
            Some((_, before)) => before != Change::Deleted,
            // Its creation may have been compacted away.
            None => self.floor > 0 && change != Change::Added,
        };
        if was_there == (change == Change::Added) {
            let said = match change {
                Change::Added => "added",
                Change::Modified => "modified",
                Change::Deleted => "deleted",
            };
            return Err(Fault { revision, what: Wrong::Order(self.key.clone(), said) });
        }
        self.newest = Some((revision, change));
        Ok(())
    }

    /// The revision of its newest event; 0 if it has none.
    pub(super) fn newest(&self) -> Revision {
        self.newest.map_or(0, |(revision, _)| revision)
    }

    /// The revision that makes the object; none if it is gone.
    pub(super) fn stands(&self) -> Option<Revision> {
        self.newest.filter(|(_, change)| *change != Change::Deleted).map(|(revision, _)| revision)
    }
}
