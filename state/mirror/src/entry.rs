//! A change as the window keeps it: old and new object, cause, and the frames that were encoded of it.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use cox_objects::{Cause, Change, Draft, Key, Object, Position, Revision};

use crate::Item;

/// One change of one object.
#[derive(Debug)]
pub struct Entry {
    /// Its place in the log.
    pub position: Position,
    /// First and last revision of its transaction.
    pub transaction: (Revision, Revision),
    /// When it was committed: milliseconds since the Unix epoch.
    pub time: u64,
    /// What happened.
    pub change: Change,
    /// The object before; none if there was none.
    pub old: Option<Arc<Item>>,
    /// The object after; of a deletion, the last one with the revision of the deletion.
    pub new: Arc<Item>,
    /// Who wrote it, and why.
    pub cause: Arc<Cause>,
    left: OnceLock<Object>,
    frames: Frames,
}

impl Entry {
    pub(crate) fn new(
        (position, transaction, time): (Position, (Revision, Revision), u64),
        change: Change,
        old: Option<Arc<Item>>,
        new: Arc<Item>,
        cause: Arc<Cause>,
    ) -> Self {
        Entry { position, transaction, time, change, old, new, cause, left: OnceLock::new(), frames: Frames::default() }
    }

    /// What it is about.
    pub fn key(&self) -> &Key {
        self.new.key()
    }

    /// Its revision.
    pub fn revision(&self) -> Revision {
        self.position.revision
    }

    /// What a watcher is shown whose selector the object has left: the old object with the new revision.
    pub fn left(&self) -> &Object {
        self.left.get_or_init(|| {
            let shown = self.old.as_ref().unwrap_or(&self.new);
            Draft::of(shown.object()).seal(self.position.revision)
        })
    }

    /// The encodings of this change, by content type and kind of event as the gateway numbers them.
    pub fn frames(&self) -> &Frames {
        &self.frames
    }

    /// What it takes in memory, about. The old object is counted by the change that made it.
    pub(crate) fn weight(&self) -> usize {
        self.new.weight() + 384
    }
}

/// Encodings that are made once and shared by all watchers. Empty ones cost a word.
#[derive(Debug, Default)]
pub struct Frames(OnceLock<Box<[OnceLock<Bytes>; Frames::SLOTS]>>);

impl Frames {
    /// How many encodings fit.
    pub const SLOTS: usize = 16;

    /// The encoding in a slot (below [`Frames::SLOTS`]; above it nothing is kept), made if it is not there.
    pub fn get_or_make(&self, slot: usize, make: impl FnOnce() -> Bytes) -> Bytes {
        let slots = self.0.get_or_init(Box::default);
        match slots.get(slot) {
            Some(slot) => slot.get_or_init(make).clone(),
            None => make(),
        }
    }
}
