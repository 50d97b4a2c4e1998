//! ReplicaSets, and what Deployments share with them.

use cox_objects::{FieldError, Path};
use serde_json::{Value, json};

use super::super::check::{self, Errors};
use super::super::read::{Fill, Read};
use super::super::{meta, pod, selector};
use super::{counts, template};

/// Defaults: one replica, the template's.
pub(crate) fn defaults(object: &mut Value) {
    let spec = object.object("spec");
    spec.fill_unset("replicas", 1);
    pod::defaults::template(spec.object("template"));
}

/// A new ReplicaSet or ReplicationController has no status of its own.
pub(crate) fn prepare_create(object: &mut Value) {
    meta::first_generation(object);
    object.set("status", json!({"replicas": 0}));
}

/// The spec, whose errors Kubernetes words as a Deployment's.
pub(crate) fn validate(errors: &mut Errors, object: &Value) {
    let spec = object.at("spec");
    let path = Path::new("spec");
    check::non_negative(errors, &path.child("replicas"), spec.int("replicas"));
    check::non_negative(errors, &path.child("minReadySeconds"), spec.int("minReadySeconds"));
    template::own_selector(errors, spec, &path.child("selector"), "deployment");
    pods(errors, spec, &path);
}

/// The template of a Deployment or ReplicaSet, if its selector can be read.
pub(super) fn pods(errors: &mut Errors, spec: &Value, path: &Path) {
    let own = spec.at("selector");
    if !selector::is_parsable(own) {
        let shown = super::super::print::label_selector(own);
        errors.push(FieldError::invalid_raw(&path.child("selector"), &shown, "invalid label selector"));
        return;
    }
    let at = path.child("template");
    template::labels_match(errors, spec, &at);
    template::validate(errors, spec.at("template"), &at);
    template::always_restarts(errors, spec, &at, "ReplicaSet");
}

/// An update: the selector stays; a status has counts that fit together.
pub(crate) fn validate_update(errors: &mut Errors, subresource: &str, object: &Value, old: &Value) {
    if subresource == "status" {
        status(errors, object.at("status"));
        return;
    }
    validate(errors, object);
    template::same_selector(errors, object, old);
}

/// The counts of a ReplicaSet's or ReplicationController's status.
pub(super) fn status(errors: &mut Errors, status: &Value) {
    let path = Path::new("status");
    let counts = ["replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas"];
    for field in counts.iter().chain(["observedGeneration", "terminatingReplicas"].iter()) {
        check::non_negative(errors, &path.child(field), status.int(field));
    }
    counts::fit(errors, status, &["fullyLabeledReplicas", "readyReplicas", "availableReplicas"], &path);
}
