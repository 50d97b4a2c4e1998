//! An object in the mirror: its bytes, and what is read out of them, once.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use cox_objects::{Key, Object, Revision};
use serde::Deserialize;
use serde_json::Value;

/// An object of the mirror, shared by all who read or watch it.
#[derive(Debug)]
pub struct Item {
    key: Key,
    object: Object,
    labels: OnceLock<BTreeMap<String, String>>,
    value: OnceLock<Fields>,
}

/// What field selectors have asked for, by path.
type Fields = parking_lot::Mutex<BTreeMap<Box<str>, Arc<str>>>;

#[derive(Deserialize)]
struct Labelled {
    #[serde(default)]
    metadata: Labels,
}
#[derive(Deserialize, Default)]
struct Labels {
    labels: Option<BTreeMap<String, String>>,
}

impl Item {
    /// An item of an object at a key.
    pub fn new(key: Key, object: Object) -> Self {
        Item { key, object, labels: OnceLock::new(), value: OnceLock::new() }
    }

    /// Where it is.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Its stored form.
    pub fn object(&self) -> &Object {
        &self.object
    }

    /// The revision that made it.
    pub fn revision(&self) -> Revision {
        self.object.revision()
    }

    /// Its labels, parsed when they are first asked for.
    pub fn labels(&self) -> &BTreeMap<String, String> {
        self.labels.get_or_init(|| {
            self.object.parse::<Labelled>().ok().and_then(|parsed| parsed.metadata.labels).unwrap_or_default()
        })
    }

    /// What `extract` makes of the object, kept under `field`: field selectors read a pod's phase once, not once a watcher.
    pub fn field(&self, field: &str, extract: impl FnOnce(&Value) -> String) -> Arc<str> {
        let fields = self.value.get_or_init(Fields::default);
        if let Some(known) = fields.lock().get(field) {
            return known.clone();
        }
        let found: Arc<str> = extract(&self.object.value()).into();
        fields.lock().insert(field.into(), found.clone());
        found
    }

    /// The uids in its `ownerReferences`.
    pub(crate) fn owners(&self) -> Vec<String> {
        #[derive(Deserialize)]
        struct Owned {
            metadata: References,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct References {
            #[serde(default)]
            owner_references: Vec<Owner>,
        }
        #[derive(Deserialize)]
        struct Owner {
            uid: String,
        }
        if !contains(self.object.bytes(), b"\"ownerReferences\"") {
            return Vec::new();
        }
        let mut uids: Vec<String> = match self.object.parse::<Owned>() {
            Ok(parsed) => parsed.metadata.owner_references.into_iter().map(|owner| owner.uid).collect(),
            Err(_) => Vec::new(),
        };
        uids.sort();
        uids.dedup();
        uids
    }

    /// What it takes in memory, about.
    pub(crate) fn weight(&self) -> usize {
        self.object.bytes().len() + 256
    }
}

/// Cheaper than parsing for the many objects that have no owner.
fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[cfg(test)]
mod tests;
