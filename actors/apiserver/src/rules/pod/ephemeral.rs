//! The `ephemeralcontainers` subresource: containers are added, never taken away or changed.

use cox_objects::{FieldError, Path};
use serde_json::Value;

use super::super::check::Errors;
use super::super::read::{Fill, Read, same};
use super::is_mirror;

/// Takes nothing from the update but the ephemeral containers.
pub(super) fn prepare(object: &mut Value, old: &Value) {
    let mut kept = old.clone();
    keep_write(&mut kept, object);
    match object.at("spec").at("ephemeralContainers") {
        Value::Null => kept.object("spec").drop_field("ephemeralContainers"),
        containers => kept.object("spec").set("ephemeralContainers", containers.clone()),
    }
    *object = kept;
}

/// What identifies the write itself, which an update of a part keeps.
pub(super) fn keep_write(kept: &mut Value, object: &Value) {
    let metadata = object.at("metadata");
    for field in ["name", "namespace", "uid", "resourceVersion", "managedFields"] {
        if metadata.has(field) {
            kept.object("metadata").set(field, metadata.at(field).clone());
        }
    }
}

/// The change of ephemeral containers.
pub(super) fn validate(errors: &mut Errors, object: &Value, old: &Value) {
    if is_mirror(object) {
        errors.push(FieldError::forbidden(&Path::root(), "static pods do not support ephemeral containers"));
    }
    let path = Path::new("spec").child("ephemeralContainers");
    let now = object.at("spec").list("ephemeralContainers");
    for before in old.at("spec").list("ephemeralContainers") {
        let name = before.text("name");
        let change = match now.iter().find(|c| c.text("name") == name) {
            None => "removed",
            Some(after) if !same(after, before) => "changed",
            Some(_) => continue,
        };
        let detail = format!("existing ephemeral containers {name:?} may not be {change}\n");
        errors.push(FieldError::forbidden(&path, &detail));
    }
}
