//! All objects at one revision.

use cox_objects::{Key, Object, Revision};

use crate::{Log, LogError};

/// How many objects are read at a time: few enough that large ones do not fill the memory.
const AT_A_TIME: usize = 64;

/// An iterator over all objects at one revision, in the order in which they were last written. It holds their revisions only and reads the
/// objects as it goes, so it may live as long as the dense window (15 minutes) and holds nothing up.
pub struct Snapshot {
    log: Log,
    revision: Revision,
    /// What is still to be read, the last first.
    rest: Vec<Revision>,
    read: std::vec::IntoIter<(Key, Object)>,
}

impl Snapshot {
    /// Of objects that are made by these revisions, which ascend.
    pub(crate) fn new(log: Log, revision: Revision, mut made: Vec<Revision>) -> Self {
        made.reverse();
        Snapshot { log, revision, rest: made, read: Vec::new().into_iter() }
    }

    /// The revision at which the objects are as they are.
    pub fn revision(&self) -> Revision {
        self.revision
    }
}

impl Iterator for Snapshot {
    type Item = Result<(Key, Object), LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.read.len() == 0 && !self.rest.is_empty() {
            let mut next = self.rest.split_off(self.rest.len().saturating_sub(AT_A_TIME));
            next.reverse();
            match self.log.left_by(&next) {
                Ok(objects) => self.read = objects.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
        self.read.next().map(Ok)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.read.len() + self.rest.len();
        (left, Some(left))
    }
}
