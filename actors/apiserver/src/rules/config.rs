//! ConfigMaps, Secrets and ServiceAccounts.

pub(crate) mod config_map;
pub(crate) mod secret;

use cox_objects::{FieldError, Path};
use serde_json::{Value, json};

use super::check::Errors;
use super::read::{Fill, Read, same};

/// The most bytes that the values of a ConfigMap or Secret may have together.
const LIMIT: usize = 1024 * 1024;

/// What an object that was declared immutable may not change.
fn unchanged(errors: &mut Errors, object: &Value, old: &Value, fields: &[&str]) {
    const SET: &str = "field is immutable when `immutable` is set";
    if !old.flag("immutable") {
        return;
    }
    if !object.flag("immutable") {
        errors.push(FieldError::forbidden(&Path::new("immutable"), SET));
    }
    for field in fields {
        if !same(object.at(field), old.at(field)) {
            errors.push(FieldError::forbidden(&Path::new(field), SET));
        }
    }
}

/// A ServiceAccount refers to its Secrets by name only.
pub(crate) fn prepare_account(object: &mut Value) {
    for secret in object.items("secrets") {
        let name = secret.at("name").clone();
        *secret = if name.is_null() { json!({}) } else { json!({"name": name}) };
    }
}
