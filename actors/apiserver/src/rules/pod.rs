//! Pods: what each write may set, and whether the result is valid.

pub(crate) mod affinity;
mod containers;
pub(crate) mod defaults;
mod dns;
mod env;
mod ephemeral;
mod mounts;
mod os;
mod probes;
pub(crate) mod qos;
mod resize;
mod security;
pub(crate) mod spec;
pub(crate) mod spread;
mod status;
mod update;
pub(crate) mod volumes;
pub(crate) mod warnings;

use cox_objects::{FieldError, Path};
use serde_json::{Value, json};

use super::check::Errors;
use super::meta;
use super::read::{Fill, Read, same};

const MIRROR: &str = "kubernetes.io/config.mirror";

/// Makes a new pod: a fresh status, one generation, selectors with the values of the pod's own labels.
pub(crate) fn prepare_create(object: &mut Value, now: &str) {
    meta::first_generation(object);
    let class = qos::class(object.at("spec"));
    object.set("status", json!({"phase": "Pending", "qosClass": class}));
    if object.at("spec").filled("schedulingGates") {
        let waiting = json!([{
            "type": "PodScheduled",
            "status": "False",
            "lastProbeTime": null,
            "lastTransitionTime": now,
            "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
        }]);
        object.object("status").set("conditions", waiting);
    }
    let labels = object.at("metadata").at("labels").clone();
    let spec = object.object("spec");
    at_least_one_second(spec);
    merge_label_keys(spec, &labels);
}

/// A negative grace period means the shortest one.
fn at_least_one_second(spec: &mut Value) {
    if spec.int("terminationGracePeriodSeconds").is_some_and(|s| s < 0) {
        spec.set("terminationGracePeriodSeconds", 1);
    }
}

/// Writes `matchLabelKeys` out as requirements on the values of the pod's own labels, so that the scheduler needs to look at
/// selectors only. Source: KEP-3633, KEP-3243.
fn merge_label_keys(spec: &mut Value, labels: &Value) {
    if let Some(affinity) = spec.inner("affinity") {
        for field in ["podAffinity", "podAntiAffinity"] {
            let Some(pods) = affinity.inner(field) else { continue };
            for term in pods.items("requiredDuringSchedulingIgnoredDuringExecution") {
                add_requirements(term, labels);
            }
            for preferred in pods.items("preferredDuringSchedulingIgnoredDuringExecution") {
                if let Some(term) = preferred.inner("podAffinityTerm") {
                    add_requirements(term, labels);
                }
            }
        }
    }
    for constraint in spec.items("topologySpreadConstraints") {
        add_requirements(constraint, labels);
    }
}

fn add_requirements(term: &mut Value, labels: &Value) {
    if !term.has("labelSelector") {
        return;
    }
    let mut rules = Vec::new();
    for (list, operator) in [("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")] {
        for key in term.texts(list) {
            if let Some(value) = labels.get(key) {
                rules.push(json!({"key": key, "operator": operator, "values": [value]}));
            }
        }
    }
    if rules.is_empty() {
        return;
    }
    let selector = term.object("labelSelector");
    selector.fill_unset("matchExpressions", Value::Array(Vec::new()));
    if let Some(list) = selector.get_mut("matchExpressions").and_then(Value::as_array_mut) {
        list.extend(rules);
    }
}

/// Keeps what this subresource may not change.
pub(crate) fn prepare_update(subresource: &str, object: &mut Value, old: &Value) {
    match subresource {
        "status" => status::prepare(object, old),
        "ephemeralcontainers" => ephemeral::prepare(object, old),
        "resize" => resize::prepare(object, old),
        _ => object.set("status", old.at("status").clone()),
    }
    if !same(object.at("spec"), old.at("spec")) {
        meta::next_generation(object, old);
    }
}

/// A new pod, after its metadata.
pub(crate) fn validate(errors: &mut Errors, object: &Value) {
    own(errors, object);
    let spec = object.at("spec");
    let path = Path::new("spec");
    if spec.filled("ephemeralContainers") {
        errors.push(FieldError::forbidden(&path.child("ephemeralContainers"), "cannot be set on create"));
    }
    if spec.filled("nodeName") && spec.filled("schedulingGates") {
        let detail = "cannot be set until all schedulingGates have been cleared";
        errors.push(FieldError::forbidden(&path.child("nodeName"), detail));
    }
}

/// What every pod must fulfil, new or updated.
fn own(errors: &mut Errors, object: &Value) {
    annotations(errors, object);
    let spec = object.at("spec");
    let path = Path::new("spec");
    spec::validate(errors, spec, &path);
    if !spec.filled("serviceAccountName") {
        tokens_without_account(errors, spec, &path);
    }
    containers::only_for_pods(errors, spec, &path);
}

/// A mirror pod says so by an annotation, which only a pod that is bound to a node may carry.
fn annotations(errors: &mut Errors, object: &Value) {
    let annotations = object.at("metadata").at("annotations");
    let path = Path::new("metadata").child("annotations");
    if annotations.has(MIRROR) && !object.at("spec").filled("nodeName") {
        let at = path.key(MIRROR);
        let detail = "must set spec.nodeName if mirror pod annotation is set";
        errors.push(FieldError::invalid(&at, annotations.text(MIRROR), detail));
    }
}

fn tokens_without_account(errors: &mut Errors, spec: &Value, path: &Path) {
    for (i, volume) in spec.list("volumes").iter().enumerate() {
        for (j, source) in volume.at("projected").list("sources").iter().enumerate() {
            if source.has("serviceAccountToken") {
                let at = path.child("volumes").index(i).child("projected").child("sources").index(j);
                let detail = "must not be specified when serviceAccountName is not set";
                errors.push(FieldError::forbidden(&at.child("serviceAccountToken"), detail));
            }
        }
    }
}

/// An updated pod, after its metadata.
pub(crate) fn validate_update(errors: &mut Errors, subresource: &str, object: &Value, old: &Value) {
    match subresource {
        "status" => status::validate(errors, object, old),
        "ephemeralcontainers" => {
            own(errors, object);
            ephemeral::validate(errors, object, old);
        }
        "resize" => {
            own(errors, object);
            resize::validate(errors, object, old);
        }
        _ => {
            own(errors, object);
            update::validate(errors, object, old);
        }
    }
}

/// Whether the pod stands for one that a kubelet runs from a file.
fn is_mirror(object: &Value) -> bool {
    object.at("metadata").at("annotations").has(MIRROR)
}
