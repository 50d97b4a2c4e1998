//! Small help with JSON values.

use serde_json::Value;

/// Sets a member of an object; anything else stays as it is.
pub(crate) fn put(object: &mut Value, name: &str, value: Value) {
    if let Some(members) = object.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}
