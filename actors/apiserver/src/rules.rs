//! What Kubernetes knows about the contents of objects: defaults, what a write may set, validation, warnings.
//!
//! Pure functions on the JSON of objects whose types were already checked against the schema; nothing here reads a clock or a
//! store. What needs the store (addresses, ports, quotas, service accounts) is admission's.
//!
//! Flow of a write: `default_object`, admission, `prepare_*`, `validate_*`, `warnings`.

use cox_objects::{FieldError, Kind};
use serde_json::Value;

/// Fills in defaults in place, as Kubernetes does when it decodes an object; `old` is the stored object on update.
pub fn default_object(_kind: &Kind, _object: &mut Value, _old: Option<&Value>) {}

/// Takes out of a new object what a creation may not set (status, server-owned fields) and sets its generation.
pub fn prepare_create(_kind: &Kind, _object: &mut Value, _now: &str) {}

/// Takes out of an updated object what this subresource (empty: the object itself) may not change, and counts the generation.
pub fn prepare_update(_kind: &Kind, _subresource: &str, _object: &mut Value, _old: &Value) {}

/// What is wrong with a new object; empty if it is valid.
pub fn validate_create(_kind: &Kind, _object: &Value) -> Vec<FieldError> {
    Vec::new()
}

/// What is wrong with an update; empty if it is valid.
pub fn validate_update(_kind: &Kind, _subresource: &str, _object: &Value, _old: &Value) -> Vec<FieldError> {
    Vec::new()
}

/// The texts of the `Warning` headers for legal but doubtful objects.
pub fn warnings(_kind: &Kind, _object: &Value, _old: Option<&Value>) -> Vec<String> {
    Vec::new()
}
