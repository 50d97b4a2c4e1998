//! An object in the mirror: its bytes, and what is read out of them, once.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::OnceLock;

use cox_objects::selector::{Fields, Selector};
use cox_objects::{Key, Object, Revision};
use serde::Deserialize;

/// An object of the mirror, shared by all who read or watch it.
#[derive(Debug)]
pub struct Item {
    key: Key,
    object: Object,
    labels: OnceLock<BTreeMap<String, String>>,
    fields: OnceLock<Fields>,
    owners: OnceLock<Vec<String>>,
}

#[derive(Deserialize)]
struct Labels {
    labels: Option<BTreeMap<String, String>>,
}

impl Item {
    /// An item of an object at a key.
    pub fn new(key: Key, object: Object) -> Self {
        Item { key, object, labels: OnceLock::new(), fields: OnceLock::new(), owners: OnceLock::new() }
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
            self.object.parse_metadata::<Labels>().ok().and_then(|parsed| parsed.labels).unwrap_or_default()
        })
    }

    /// Whether a selector selects it. Fields are taken out once for all selectors.
    pub fn is_selected(&self, selector: &Selector) -> bool {
        let by_label = selector.label.is_everything() || selector.label.matches(self.labels());
        by_label && (selector.field.is_everything() || selector.field.matches(|field| self.field(field)))
    }

    /// The value of a field that its resource can be selected by; those of its place need no parsing.
    pub fn field(&self, field: &str) -> Cow<'_, str> {
        match field {
            "metadata.name" => self.key.name().into(),
            "metadata.namespace" => self.key.namespace().into(),
            field => {
                let fields = self.fields.get_or_init(|| Fields::of(&self.key.resource, &self.object));
                fields.get(field).into()
            }
        }
    }

    /// The uids in its `ownerReferences`, sorted, each once.
    pub(crate) fn owners(&self) -> &[String] {
        self.owners.get_or_init(|| owners_in(&self.object))
    }

    /// What it takes in memory, about.
    pub(crate) fn weight(&self) -> usize {
        self.object.bytes().len() + 256
    }
}

fn owners_in(object: &Object) -> Vec<String> {
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
    let parsed = object.parse_metadata::<References>().map(|parsed| parsed.owner_references).unwrap_or_default();
    let mut uids: Vec<String> = parsed.into_iter().map(|owner| owner.uid).collect();
    uids.sort();
    uids.dedup();
    uids
}

#[cfg(test)]
mod tests;
