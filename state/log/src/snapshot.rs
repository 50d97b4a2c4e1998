//! All objects at one revision.

use cox_objects::{Key, Object, Revision};

use crate::{Log, LogError};

/// An iterator over all objects at one revision, in the order of resources and keys. It holds keys only and reads the objects as it goes,
/// so it may live as long as the dense window (15 minutes) and holds nothing up.
pub struct Snapshot {
    log: Log,
    revision: Revision,
    keys: std::vec::IntoIter<(Key, Revision)>,
}

impl Snapshot {
    pub(crate) fn new(log: Log, revision: Revision, keys: Vec<(Key, Revision)>) -> Self {
        Snapshot { log, revision, keys: keys.into_iter() }
    }

    /// The revision at which the objects are as they are.
    pub fn revision(&self) -> Revision {
        self.revision
    }
}

impl Iterator for Snapshot {
    type Item = Result<(Key, Object), LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (key, revision) = self.keys.next()?;
        match self.log.object_of(revision) {
            Ok(Some(object)) => Some(Ok((key, object))),
            Ok(None) => Some(Err(LogError::Damaged(format!("{key} is made of a deletion at revision {revision}")))),
            Err(error) => Some(Err(error)),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.keys.size_hint()
    }
}
