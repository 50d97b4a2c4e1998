//! An update of a pod itself: images, deadline, tolerations and gates may change, nothing else.

use cox_objects::{FieldError, Path};
use serde_json::Value;

use super::super::check::{self, Errors};
use super::super::read::{Fill, Read, same};
use super::spread;

const FIXED: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,\
                     `spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),\
                     `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n";

const ADDITIONS: &str = "only additions are allowed (no mutations or deletions)";
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// What changed between two valid pods.
pub(super) fn validate(errors: &mut Errors, object: &Value, old: &Value) {
    annotations(errors, object, old);
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
        node_affinity(errors, spec, before, &path.child("affinity").child("nodeAffinity"));
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
        errors.push(FieldError::invalid(path, now.clone(), ADDITIONS));
    }
}

/// The same for the nodes that its affinity requires: each term may ask for more, and terms stay where there are any.
fn node_affinity(errors: &mut Errors, spec: &Value, before: &Value, path: &Path) {
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    let terms = |spec: &Value| spec.at("affinity").at("nodeAffinity").at(REQUIRED).list("nodeSelectorTerms").to_vec();
    let (now, was) = (terms(spec), terms(before));
    if was.is_empty() {
        return;
    }
    let at = path.child(REQUIRED).child("nodeSelectorTerms");
    if now.len() != was.len() {
        let detail = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        errors.push(FieldError::invalid(&at, now, detail));
        return;
    }
    for (i, (now, was)) in now.iter().zip(&was).enumerate() {
        let fields = ["matchExpressions", "matchFields"];
        let anything = fields.iter().any(|field| was.filled(field));
        let kept = |field: &&str| {
            let (now, was) = (now.list(field), was.list(field));
            now.len() >= was.len() && now.iter().zip(was).all(|(now, was)| same(now, was))
        };
        // A term without rules matches no node; with rules it could match some.
        let grown = anything || fields.iter().all(|field| !now.filled(field));
        if !grown || !fields.iter().all(kept) {
            errors.push(FieldError::invalid(&at.index(i), now.clone(), ADDITIONS));
        }
    }
}

/// What says that a pod is a kubelet's own, or confined, is said when it is made.
fn annotations(errors: &mut Errors, object: &Value, old: &Value) {
    let path = Path::new("metadata").child("annotations");
    let (now, before) = (object.at("metadata").at("annotations"), old.at("metadata").at("annotations"));
    let special = |key: &str| key == super::MIRROR || key.starts_with(APP_ARMOR);
    let noun = |key: &str| if key == super::MIRROR { "mirror pod annotation" } else { "AppArmor annotations" };
    let mut forbid = |key: &str, verb: &str| {
        errors.push(FieldError::forbidden(&path.key(key), &format!("may not {verb} {}", noun(key))));
    };
    for (key, value) in old.at("metadata").entries("annotations").filter(|(key, _)| special(key)) {
        if now.get(key) != Some(value) {
            forbid(key, "remove or update");
        }
    }
    for (key, _) in object.at("metadata").entries("annotations").filter(|(key, _)| special(key)) {
        if before.get(key).is_none() {
            forbid(key, "add");
        }
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
        only_pod_affinity(&mut spec, before.at("affinity"));
    }
    let grace = before.int("terminationGracePeriodSeconds");
    if grace.is_some_and(|s| s < 0) && spec.int("terminationGracePeriodSeconds") == Some(1) {
        spec.set("terminationGracePeriodSeconds", grace);
    }
    spec
}

/// The affinity to nodes as it was before; what it says of other pods stays as it is, to be compared.
fn only_pod_affinity(spec: &mut Value, before: &Value) {
    let nodes = before.at("nodeAffinity").clone();
    let alone = !spec.at("affinity").filled("podAffinity") && !spec.at("affinity").filled("podAntiAffinity");
    if alone && before.is_null() {
        spec.drop_field("affinity");
    } else if !nodes.is_null() {
        spec.object("affinity").set("nodeAffinity", nodes);
    } else if let Some(affinity) = spec.inner("affinity") {
        affinity.drop_field("nodeAffinity");
    }
}

#[cfg(test)]
mod tests;
