//! The objects of a resource as they were, read in parts.

use cox_objects::{Key, Object, Resource, Revision};

use crate::{Log, LogError};

/// How many objects are read at a time: few enough that large ones do not fill the memory.
const AT_A_TIME: usize = 50;

/// An iterator over the objects of a resource at a revision, in key order. What is older than the head does not change, so that the parts
/// fit together; if the revision is compacted meanwhile, it ends with [`LogError::Expired`].
pub struct Past {
    log: Log,
    resource: Resource,
    namespace: String,
    after: Option<String>,
    revision: Revision,
    read: std::vec::IntoIter<(Key, Object)>,
    more: bool,
}

impl Past {
    pub(crate) fn new(
        log: Log,
        resource: Resource,
        namespace: String,
        after: Option<String>,
        revision: Revision,
    ) -> Self {
        Past { log, resource, namespace, after, revision, read: Vec::new().into_iter(), more: true }
    }
}

impl Iterator for Past {
    type Item = Result<(Key, Object), LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.read.len() == 0 && std::mem::take(&mut self.more) {
            let after = self.after.as_deref();
            match self.log.list_at(&self.resource, &self.namespace, after, AT_A_TIME, self.revision) {
                Err(error) => return Some(Err(error)),
                Ok(listed) => {
                    self.after = listed.items.last().map(|(key, _)| key.path().to_owned());
                    (self.read, self.more) = (listed.items.into_iter(), listed.more);
                }
            }
        }
        self.read.next().map(Ok)
    }
}
