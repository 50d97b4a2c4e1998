//! Selectors: which objects a list or a watch is about, by their labels and by a few of their fields.
//!
//! A selector is parsed once and matched against many objects; a match allocates nothing.

pub mod field;
pub mod label;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use crate::{Kind, Status};
pub use field::{FieldSelector, Fields};
pub use label::{LabelSelector, Operator, Requirement};

/// Labels to match against, however they are kept.
pub trait Labels {
    /// The value of a label.
    fn label(&self, key: &str) -> Option<&str>;
}

impl<K: std::borrow::Borrow<str> + Ord, V: AsRef<str>> Labels for BTreeMap<K, V> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).map(AsRef::as_ref)
    }
}

impl<K: std::borrow::Borrow<str> + Eq + std::hash::Hash, V: AsRef<str>> Labels for HashMap<K, V> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).map(AsRef::as_ref)
    }
}

impl Labels for serde_json::Map<String, Value> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Value::as_str)
    }
}

/// The map of labels itself, or null: no labels.
impl Labels for Value {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Value::as_str)
    }
}

/// What a list or watch asks for: objects that match both of its parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// By labels (`labelSelector=`).
    pub label: LabelSelector,
    /// By fields (`fieldSelector=`).
    pub field: FieldSelector,
}

impl Selector {
    /// Selects everything.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Reads the two query parameters of a list or watch of a kind; empty ones select everything.
    ///
    /// # Errors
    /// 400 with Kubernetes' text for a selector that cannot be read, or for a field that the kind does not offer.
    pub fn parse(kind: &Kind, labels: &str, fields: &str) -> Result<Self, Status> {
        let label = LabelSelector::parse(labels).map_err(|e| Status::bad_request(e.to_string()))?;
        let field = FieldSelector::parse(kind, fields).map_err(|e| Status::bad_request(e.to_string()))?;
        Ok(Selector { label, field })
    }

    /// Whether it selects everything.
    pub fn is_everything(&self) -> bool {
        self.label.is_everything() && self.field.is_everything()
    }

    /// Whether an object with these labels and these values of selectable fields is selected.
    pub fn matches<'a>(&self, labels: &impl Labels, fields: impl Fn(&str) -> Cow<'a, str>) -> bool {
        self.label.matches(labels) && self.field.matches(fields)
    }

    /// Whether an object of a resource is selected.
    pub fn matches_object(&self, resource: &crate::Resource, object: &Value) -> bool {
        let labels = object.pointer("/metadata/labels").unwrap_or(&Value::Null);
        self.matches(labels, |name| field::value_of(resource, object, name))
    }
}

#[cfg(test)]
mod tests;
