//! Objects of kinds of which there are few and that the creation of each pod looks through: in memory, as they are durable.

use std::collections::BTreeMap;

use cox_objects::{Key, Object, Resource};
use parking_lot::RwLock;

/// The kinds.
const KINDS: [Resource; 2] = [Resource::from_static("limitranges"), Resource::PRIORITYCLASSES];

/// Whether objects of a resource are kept.
pub(super) fn covers(resource: &Resource) -> bool {
    KINDS.contains(resource)
}

/// What readers see.
#[derive(Default)]
pub(super) struct Few(RwLock<BTreeMap<Key, Object>>);

impl Few {
    /// Those of a resource in a namespace (in all, if empty), in key order; none if such objects are not kept.
    pub(super) fn list(&self, resource: &Resource, namespace: &str) -> Option<Vec<(Key, Object)>> {
        if !covers(resource) {
            return None;
        }
        let prefix = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
        let all = self.0.read();
        let from = all.range(Key::at(resource.clone(), &prefix)..);
        let within = from.take_while(|(key, _)| key.resource == *resource && key.path().starts_with(&prefix));
        Some(within.map(|(key, object)| (key.clone(), object.clone())).collect())
    }

    /// Takes in what has become durable.
    pub(super) fn take_in(&self, changes: impl IntoIterator<Item = (Key, Option<Object>)>) {
        let mut all = self.0.write();
        for (key, object) in changes {
            match object {
                Some(object) => all.insert(key, object),
                None => all.remove(&key),
            };
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        self.0.write().clear();
    }
}
