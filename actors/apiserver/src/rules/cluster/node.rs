//! Nodes.

use std::collections::BTreeSet;

use cox_objects::{FieldError, Path, name};
use serde_json::{Value, json};

use super::super::check::{self, Errors};
use super::super::pod::spread;
use super::super::print;
use super::super::read::{Fill, Read, same};
use super::super::resources;

/// Defaults: everything that a node has is there for pods. `podCIDR` is the first of `podCIDRs`.
pub(crate) fn defaults(object: &mut Value) {
    if let Some(status) = object.inner("status") {
        resources::canonical(status, "capacity");
        resources::canonical(status, "allocatable");
        if !status.has("allocatable") && status.has("capacity") {
            let capacity = status.at("capacity").clone();
            status.set("allocatable", capacity);
        }
    }
    let Some(spec) = object.inner("spec") else { return };
    let first = spec.texts("podCIDRs").first().map(|c| (*c).to_owned()).unwrap_or_default();
    let own = spec.text("podCIDR").to_owned();
    if own.is_empty() && !first.is_empty() {
        spec.set("podCIDR", first);
    } else if !own.is_empty() && own != first {
        spec.set("podCIDRs", json!([own]));
    }
}

/// Spec and status are written apart.
pub(crate) fn prepare_update(subresource: &str, object: &mut Value, old: &Value) {
    let kept = if subresource == "status" { "spec" } else { "status" };
    object.set(kept, old.at(kept).clone());
}

/// Taints, amounts and pod addresses. Kubernetes reports taints under `metadata`.
pub(crate) fn validate(errors: &mut Errors, object: &Value) {
    taints(errors, object.at("spec").list("taints"), &Path::new("metadata").child("taints"));
    amounts(errors, object);
    let ranges = object.at("spec").texts("podCIDRs");
    let path = Path::new("spec").child("podCIDRs");
    for (i, range) in ranges.iter().enumerate() {
        check::texts(errors, &path.index(i), range, name::is_cidr(range));
    }
    let six = ranges.iter().filter(|r| r.contains(':')).count();
    if six > 1 || ranges.len() - six > 1 {
        let detail = "may specify no more than one CIDR for each IP family";
        errors.push(FieldError::invalid(&path, object.at("spec").at("podCIDRs").clone(), detail));
    }
}

fn amounts(errors: &mut Errors, object: &Value) {
    for field in ["capacity", "allocatable"] {
        for (resource, quantity) in object.at("status").entries(field) {
            let at = Path::new("status").child(field).key(resource);
            resources::value(errors, resource, quantity, &at);
        }
    }
}

fn taints(errors: &mut Errors, taints: &[Value], path: &Path) {
    let mut seen = BTreeSet::new();
    for (i, taint) in taints.iter().enumerate() {
        let at = path.index(i);
        let (key, value, effect) = (taint.text("key"), taint.text("value"), taint.text("effect"));
        check::qualified_name(errors, &at.child("key"), key);
        let found = name::is_label_value(value);
        if !found.is_empty() {
            errors.push(FieldError::invalid(&at.child("value"), value, &found.join(";")));
        }
        if effect.is_empty() {
            errors.push(FieldError::required(&at.child("effect"), ""));
        } else {
            spread::taint_effect(errors, effect, &at.child("effect"));
        }
        if !seen.insert((key, effect)) {
            let shown = print::internal(
                taint,
                &[
                    ("Key", "key", "\"\""),
                    ("Value", "value", "\"\""),
                    ("Effect", "effect", "\"\""),
                    ("TimeAdded", "timeAdded", "null"),
                ],
            );
            let mut error = FieldError::duplicate(&at, "");
            error.body = format!("Duplicate value: {shown}: taints must be unique by key and effect pair");
            errors.push(error);
        }
    }
}

/// An update: what was assigned to a node stays assigned.
pub(crate) fn validate_update(errors: &mut Errors, object: &Value, old: &Value) {
    amounts(errors, object);
    let addresses = object.at("status").list("addresses");
    for (i, address) in addresses.iter().enumerate() {
        if addresses.iter().take(i).any(|earlier| earlier == address) {
            errors.push(FieldError::duplicate(&Path::new("status").child("addresses").index(i), address.clone()));
        }
    }
    let (spec, before) = (object.at("spec"), old.at("spec"));
    for (field, noun) in [("podCIDRs", "podCIDR"), ("providerID", "providerID")] {
        if before.filled(field) && !same(spec.at(field), before.at(field)) {
            let detail = format!("node updates may not change {noun} except from \"\" to valid");
            errors.push(FieldError::forbidden(&Path::new("spec").child(field), &detail));
        }
    }
    taints(errors, spec.list("taints"), &Path::new("metadata").child("taints"));
    let rest = |spec: &Value| {
        let mut rest = spec.clone();
        for field in ["podCIDR", "podCIDRs", "providerID", "taints", "unschedulable", "configSource"] {
            rest.drop_field(field);
        }
        rest
    };
    if !same(&rest(spec), &rest(before)) {
        let detail = "node updates may only change labels, taints, or capacity \
                      (or configSource, if the DynamicKubeletConfig feature gate is enabled)";
        errors.push(FieldError::forbidden(&Path::root(), detail));
    }
}
