//! ReplicationControllers.

use cox_objects::{FieldError, Path};
use serde_json::Value;

use super::super::check::{self, Errors};
use super::super::pod;
use super::super::read::{Fill, Read};
use super::{replica_set, template};

/// Defaults: labels and selector are the template's labels.
pub(crate) fn defaults(object: &mut Value) {
    let labels = object.at("spec").at("template").at("metadata").at("labels").clone();
    if labels.as_object().is_some_and(|l| !l.is_empty()) {
        if !object.at("spec").filled("selector") {
            object.object("spec").set("selector", labels.clone());
        }
        if !object.at("metadata").filled("labels") {
            object.object("metadata").set("labels", labels);
        }
    }
    let spec = object.object("spec");
    spec.fill_unset("replicas", 1);
    if let Some(own) = spec.inner("template") {
        pod::defaults::template(own);
    }
}

/// The spec.
pub(crate) fn validate(errors: &mut Errors, object: &Value) {
    let spec = object.at("spec");
    let path = Path::new("spec");
    check::non_negative(errors, &path.child("minReadySeconds"), spec.int("minReadySeconds"));
    if !spec.filled("selector") {
        errors.push(FieldError::required(&path.child("selector"), ""));
    }
    check::non_negative(errors, &path.child("replicas"), spec.int("replicas"));
    let at = path.child("template");
    if !spec.has("template") {
        errors.push(FieldError::required(&at, ""));
        return;
    }
    let labels = spec.at("template").at("metadata").at("labels");
    if spec.filled("selector") && spec.entries("selector").any(|(key, value)| labels.at(key) != value) {
        let shown = labels.to_string();
        let detail = "`selector` does not match template `labels`";
        errors.push(FieldError::invalid_raw(&at.child("metadata").child("labels"), &shown, detail));
    }
    template::validate(errors, spec.at("template"), &at);
    template::always_restarts(errors, spec, &at, "ReplicationController");
}

/// An update of the controller or its status.
pub(crate) fn validate_update(errors: &mut Errors, subresource: &str, object: &Value) {
    if subresource == "status" {
        replica_set::status(errors, object.at("status"));
    } else {
        validate(errors, object);
    }
}
