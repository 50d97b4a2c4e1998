//! An update of a pod itself: images, deadline, tolerations and gates may change, nothing else.

use cox_objects::{FieldError, Path};
use serde_json::Value;

use super::super::check::{self, Errors};
use super::super::read::{Fill, Read, same};
use super::spread;

const FIXED: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,\
                     `spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),\
                     `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n";

/// What changed between two valid pods.
pub(super) fn validate(errors: &mut Errors, object: &Value, old: &Value) {
    let (spec, before) = (object.at("spec"), old.at("spec"));
    let path = Path::new("spec");
    for list in ["containers", "initContainers"] {
        let at = path.child(list);
        if spec.list(list).len() != before.list(list).len() {
            errors.push(FieldError::forbidden(&at, "pod updates may not add or remove containers"));
            return;
        }
        for (i, container) in spec.list(list).iter().enumerate() {
            if container.text("image").trim().is_empty() {
                errors.push(FieldError::required(&at.index(i).child("image"), ""));
            }
        }
    }
    if !deadline(errors, spec, before, &path.child("activeDeadlineSeconds")) {
        return;
    }
    tolerations(errors, spec, before, &path.child("tolerations"));
    gates(errors, spec, before, &path.child("schedulingGates"));
    let gated = before.filled("schedulingGates");
    if gated {
        node_selector(errors, spec, before, &path.child("nodeSelector"));
    }
    if !same(&munged(spec, before, gated), before) {
        errors.push(FieldError::forbidden(&path, FIXED));
    }
}

/// A deadline may be set, and brought forward. False if the other checks should not be made.
fn deadline(errors: &mut Errors, spec: &Value, before: &Value, path: &Path) -> bool {
    let (new, old) = (spec.int("activeDeadlineSeconds"), before.int("activeDeadlineSeconds"));
    match (new, old) {
        (Some(new), _) if !(0..=i64::from(i32::MAX)).contains(&new) => {
            check::in_range(errors, path, new, 0, i64::from(i32::MAX));
            false
        }
        (Some(new), Some(old)) if old < new => {
            errors.push(FieldError::invalid(path, new, "must be less than or equal to previous value"));
            false
        }
        (None, Some(_)) => {
            let detail = "must not update from a positive integer to nil value";
            errors.push(FieldError::invalid(path, Value::Null, detail));
            true
        }
        _ => true,
    }
}

fn tolerations(errors: &mut Errors, spec: &Value, before: &Value, path: &Path) {
    let kept = |old: &Value| {
        spec.list("tolerations")
            .iter()
            .any(|new| ["key", "operator", "value", "effect"].iter().all(|f| new.text(f) == old.text(f)))
    };
    if !before.list("tolerations").iter().all(kept) {
        let detail = "existing toleration can not be modified except its tolerationSeconds";
        errors.push(FieldError::forbidden(path, detail));
        return;
    }
    spread::tolerations(errors, spec.list("tolerations"), path);
}

fn gates(errors: &mut Errors, spec: &Value, before: &Value, path: &Path) {
    for (i, gate) in spec.list("schedulingGates").iter().enumerate() {
        let name = gate.text("name");
        if !before.list("schedulingGates").iter().any(|old| old.text("name") == name) {
            let detail = format!("only deletion is allowed, but found new scheduling gate '{name}'");
            errors.push(FieldError::forbidden(&path.index(i).child("name"), &detail));
        }
    }
}

/// While a pod is held back its node selector may get stricter.
fn node_selector(errors: &mut Errors, spec: &Value, before: &Value, path: &Path) {
    let now = spec.at("nodeSelector");
    if before.entries("nodeSelector").any(|(key, value)| now.at(key) != value) {
        let detail = "only additions are allowed while the pod is gated";
        errors.push(FieldError::invalid(path, now.clone(), detail));
    }
}

/// The new spec with the old values of what may change: equal to the old spec if nothing else did.
fn munged(spec: &Value, before: &Value, gated: bool) -> Value {
    let mut spec = spec.clone();
    for list in ["containers", "initContainers"] {
        for (container, old) in spec.items(list).iter_mut().zip(before.list(list)) {
            container.set("image", old.at("image").clone());
        }
    }
    for field in ["activeDeadlineSeconds", "tolerations", "schedulingGates"] {
        spec.set(field, before.at(field).clone());
    }
    if gated {
        spec.set("nodeSelector", before.at("nodeSelector").clone());
        spec.set("affinity", before.at("affinity").clone());
    }
    let grace = before.int("terminationGracePeriodSeconds");
    if grace.is_some_and(|s| s < 0) && spec.int("terminationGracePeriodSeconds") == Some(1) {
        spec.set("terminationGracePeriodSeconds", grace);
    }
    spec
}
