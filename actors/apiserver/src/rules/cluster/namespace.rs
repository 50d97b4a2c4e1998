//! Namespaces.

use cox_objects::{FieldError, Path};
use serde_json::{Value, json};

use super::super::check::{self, Errors};
use super::super::meta;
use super::super::read::{Fill, Read};

const FINALIZER: &str = "kubernetes";

/// Every namespace carries a label with its name, so that selectors can name it.
pub(crate) fn defaults(object: &mut Value) {
    let name = object.at("metadata").text("name").to_owned();
    if !name.is_empty() {
        object.object("metadata").object("labels").set("kubernetes.io/metadata.name", name);
    }
}

/// A new namespace is active, and stays until its content is gone.
pub(crate) fn prepare_create(object: &mut Value) {
    object.set("status", json!({"phase": "Active"}));
    let mut finalizers: Vec<Value> = object.at("spec").list("finalizers").to_vec();
    if !finalizers.iter().any(|f| f == FINALIZER) {
        finalizers.push(FINALIZER.into());
    }
    object.object("spec").set("finalizers", finalizers);
}

/// Finalizers change by the `finalize` subresource only.
pub(crate) fn prepare_update(subresource: &str, object: &mut Value, old: &Value) {
    match subresource {
        "status" => object.set("spec", old.at("spec").clone()),
        "finalize" => object.set("status", old.at("status").clone()),
        _ => {
            object.set("spec", old.at("spec").clone());
            object.set("status", old.at("status").clone());
        }
    }
}

/// The finalizers of a new namespace. Kubernetes names the whole list here, and the entry when they are written later.
pub(crate) fn validate(errors: &mut Errors, object: &Value) {
    let path = Path::new("spec").child("finalizers");
    for finalizer in object.at("spec").texts("finalizers") {
        finalizer_name(errors, &path, finalizer);
    }
}

fn finalizer_name(errors: &mut Errors, path: &Path, finalizer: &str) {
    check::qualified_name(errors, path, finalizer);
    meta::standard_finalizer(errors, path, finalizer);
}

/// The phase says whether it is being deleted.
pub(crate) fn validate_update(errors: &mut Errors, subresource: &str, object: &Value) {
    if subresource == "finalize" {
        let path = Path::new("spec").child("finalizers");
        for (index, finalizer) in object.at("spec").texts("finalizers").into_iter().enumerate() {
            finalizer_name(errors, &path.index(index), finalizer);
        }
    }
    if subresource != "status" {
        return;
    }
    let phase = object.at("status").text("phase");
    let deleting = object.at("metadata").has("deletionTimestamp");
    let (wanted, state) = if deleting { ("Terminating", "is not empty") } else { ("Active", "is empty") };
    if phase != wanted {
        let detail = format!("may only be '{wanted}' if `deletionTimestamp` {state}");
        errors.push(FieldError::invalid(&Path::new("status").child("Phase"), phase, &detail));
    }
}
