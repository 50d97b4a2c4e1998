//! What a core sees: a readable state, with its objects as types, each parsed once a version.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use cox_objects::{Key, Object, Resource, Revision, Source};
use parking_lot::Mutex;

use crate::Typed;

/// A parsed object of any type.
type Parsed = Arc<dyn Any + Send + Sync>;

/// Parsed objects by key, each with the revision that it was parsed from. One per component.
#[derive(Default)]
pub struct ParseCache {
    parsed: Mutex<HashMap<Key, (Revision, Parsed)>>,
}

impl ParseCache {
    /// Drops what is kept of an object; called when it is deleted.
    pub fn forget(&self, key: &Key) {
        self.parsed.lock().remove(key);
    }

    fn get<T: Typed>(&self, key: &Key, object: &Object) -> Option<Arc<T>> {
        let revision = object.revision();
        if let Some((kept, value)) = self.parsed.lock().get(key)
            && *kept == revision
            && let Ok(value) = value.clone().downcast::<T>()
        {
            return Some(value);
        }
        match object.parse::<T>() {
            Ok(value) => {
                let value = Arc::new(value);
                self.parsed.lock().insert(key.clone(), (revision, value.clone()));
                Some(value)
            }
            Err(error) => {
                // Validation lets nothing in that its type cannot hold; an object from elsewhere is skipped, loudly.
                tracing::error!(%key, %error, "an object does not fit its type");
                None
            }
        }
    }
}

/// A state and a cache, as cores take them.
#[derive(Clone, Copy)]
pub struct View<'a> {
    source: &'a dyn Source,
    cache: &'a ParseCache,
}

impl<'a> View<'a> {
    /// A view of a state.
    pub fn new(source: &'a dyn Source, cache: &'a ParseCache) -> Self {
        View { source, cache }
    }

    /// The revision up to which the state is whole.
    pub fn revision(&self) -> Revision {
        self.source.revision()
    }

    /// One object; the namespace is empty for cluster-scoped ones.
    pub fn get<T: Typed>(&self, namespace: &str, name: &str) -> Option<Arc<T>> {
        self.at(&Key::new(T::RESOURCE, namespace, name))
    }

    /// The object at a key of its resource.
    pub fn at<T: Typed>(&self, key: &Key) -> Option<Arc<T>> {
        self.cache.get(key, &self.source.get(key)?)
    }

    /// All objects in a namespace (in all, if empty), in key order.
    pub fn list<T: Typed>(&self, namespace: &str) -> Vec<Arc<T>> {
        self.typed(self.source.list(&T::RESOURCE, namespace))
    }

    /// All objects with an owner reference to this uid, in key order.
    pub fn owned<T: Typed>(&self, owner_uid: &str) -> Vec<Arc<T>> {
        self.typed(self.source.owned(&T::RESOURCE, owner_uid))
    }

    /// The stored form of an object of any kind.
    pub fn raw(&self, key: &Key) -> Option<Object> {
        self.source.get(key)
    }

    /// The stored forms of all objects of a resource in a namespace (in all, if empty).
    pub fn raw_list(&self, resource: &Resource, namespace: &str) -> Vec<(Key, Object)> {
        self.source.list(resource, namespace)
    }

    /// The stored forms of all objects of a resource with an owner reference to this uid.
    pub fn raw_owned(&self, resource: &Resource, owner_uid: &str) -> Vec<(Key, Object)> {
        self.source.owned(resource, owner_uid)
    }

    fn typed<T: Typed>(&self, objects: Vec<(Key, Object)>) -> Vec<Arc<T>> {
        objects.iter().filter_map(|(key, object)| self.cache.get(key, object)).collect()
    }
}
