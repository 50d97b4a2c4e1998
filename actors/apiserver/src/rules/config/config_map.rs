//! ConfigMaps.

use cox_objects::{FieldError, Path, name};
use serde_json::Value;

use super::super::check::{self, Errors};
use super::super::read::Read;
use super::{LIMIT, unchanged};

/// Keys, and the size of everything.
pub(crate) fn validate(errors: &mut Errors, object: &Value) {
    let mut size = 0;
    for (key, value) in object.entries("data") {
        let at = Path::new("data").key(key);
        check::texts(errors, &at, key, name::is_config_key(key));
        if object.at("binaryData").has(key) {
            errors.push(FieldError::invalid(&at, key, "duplicate of key present in binaryData"));
        }
        size += value.as_str().unwrap_or_default().len();
    }
    for (key, value) in object.entries("binaryData") {
        check::texts(errors, &Path::new("binaryData").key(key), key, name::is_config_key(key));
        size += decoded_len(value);
    }
    if size > LIMIT {
        // Kubernetes reports the object as a whole with a path whose name is empty, which prints so.
        errors.push(FieldError::too_long(&Path::new("[]"), LIMIT));
    }
}

/// The bytes that a base64 text stands for.
pub(super) fn decoded_len(value: &Value) -> usize {
    let text = value.as_str().unwrap_or_default();
    let padding = text.bytes().rev().take_while(|b| *b == b'=').count();
    (text.len() / 4 * 3).saturating_sub(padding)
}

/// An update.
pub(crate) fn validate_update(errors: &mut Errors, object: &Value, old: &Value) {
    unchanged(errors, object, old, &["data", "binaryData"]);
    validate(errors, object);
}
