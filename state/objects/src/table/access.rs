//! Short ways into objects for the printers: absent means empty.

use serde_json::{Map, Value};

pub(super) use crate::meta::{get, int, text};

/// The list at a path.
pub(super) fn list<'a>(object: &'a Value, path: &str) -> &'a [Value] {
    get(object, path).as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The map at a path.
pub(super) fn map<'a>(object: &'a Value, path: &str) -> Option<&'a Map<String, Value>> {
    get(object, path).as_object().filter(|map| !map.is_empty())
}

/// How many entries the map or list at a path has.
pub(super) fn count(object: &Value, path: &str) -> usize {
    match get(object, path) {
        Value::Array(items) => items.len(),
        Value::Object(fields) => fields.len(),
        _ => 0,
    }
}

/// Whether the boolean at a path is true.
pub(super) fn flag(object: &Value, path: &str) -> bool {
    get(object, path).as_bool().unwrap_or(false)
}

/// The scalar at a path as text (an IntOrString, a number); nothing if it is absent.
pub(super) fn scalar(object: &Value, path: &str) -> Option<String> {
    match get(object, path) {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// The text at a path, or another one if it is empty.
pub(super) fn text_or<'a>(object: &'a Value, path: &str, other: &'a str) -> &'a str {
    match text(object, path) {
        "" => other,
        text => text,
    }
}
