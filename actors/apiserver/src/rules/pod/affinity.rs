//! Node and pod affinity.

use cox_objects::{FieldError, Path, name};
use serde_json::Value;

use super::super::check::{self, Errors};
use super::super::read::Read;
use super::super::selector;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// `spec.affinity`
pub(super) fn validate(errors: &mut Errors, affinity: &Value, path: &Path) {
    let node = affinity.at("nodeAffinity");
    let at = path.child("nodeAffinity");
    if node.has(REQUIRED) {
        node_selector(errors, node.at(REQUIRED), &at.child(REQUIRED));
    }
    for (i, preferred) in node.list(PREFERRED).iter().enumerate() {
        let at = at.child(PREFERRED).index(i);
        weight(errors, preferred, &at);
        term(errors, preferred.at("preference"), &at.child("preference"));
    }
    for field in ["podAffinity", "podAntiAffinity"] {
        let pods = affinity.at(field);
        let at = path.child(field);
        for (i, required) in pods.list(REQUIRED).iter().enumerate() {
            pod_term(errors, required, &at.child(REQUIRED).index(i));
        }
        for (i, preferred) in pods.list(PREFERRED).iter().enumerate() {
            let at = at.child(PREFERRED).index(i);
            weight(errors, preferred, &at);
            pod_term(errors, preferred.at("podAffinityTerm"), &at.child("podAffinityTerm"));
        }
    }
}

fn weight(errors: &mut Errors, preferred: &Value, path: &Path) {
    let weight = preferred.int("weight").unwrap_or(0);
    if !(1..=100).contains(&weight) {
        errors.push(FieldError::invalid(&path.child("weight"), weight, "must be in the range 1-100"));
    }
}

/// A node selector, as pods, volumes and devices have it.
pub(crate) fn node_selector(errors: &mut Errors, selector: &Value, path: &Path) {
    let terms = selector.list("nodeSelectorTerms");
    let at = path.child("nodeSelectorTerms");
    if terms.is_empty() {
        errors.push(FieldError::required(&at, "must have at least one node selector term"));
    }
    for (i, own) in terms.iter().enumerate() {
        term(errors, own, &at.index(i));
    }
}

fn term(errors: &mut Errors, term: &Value, path: &Path) {
    for (i, rule) in term.list("matchExpressions").iter().enumerate() {
        expression(errors, rule, &path.child("matchExpressions").index(i));
    }
    for (i, rule) in term.list("matchFields").iter().enumerate() {
        field(errors, rule, &path.child("matchFields").index(i));
    }
}

fn expression(errors: &mut Errors, rule: &Value, path: &Path) {
    let values = rule.list("values").len();
    let at = path.child("values");
    match rule.text("operator") {
        "In" | "NotIn" if values == 0 => {
            errors.push(FieldError::required(&at, "must be specified when `operator` is 'In' or 'NotIn'"));
        }
        "Exists" | "DoesNotExist" if values > 0 => {
            let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            errors.push(FieldError::forbidden(&at, detail));
        }
        "Gt" | "Lt" if values != 1 => {
            let detail = "must be specified single value when `operator` is 'Lt' or 'Gt'";
            errors.push(FieldError::required(&at, detail));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        other => errors.push(FieldError::invalid(&path.child("operator"), other, "not a valid selector operator")),
    }
    check::qualified_name(errors, &path.child("key"), rule.text("key"));
}

fn field(errors: &mut Errors, rule: &Value, path: &Path) {
    match rule.text("operator") {
        "In" | "NotIn" => {
            if rule.list("values").len() != 1 {
                let detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
                errors.push(FieldError::required(&path.child("values"), detail));
            }
        }
        other => errors.push(FieldError::invalid(&path.child("operator"), other, "not a valid selector operator")),
    }
    if rule.text("key") == "metadata.name" {
        for (i, value) in rule.texts("values").into_iter().enumerate() {
            check::dns_subdomain(errors, &path.child("values").index(i), value);
        }
    } else {
        let detail = "not a valid field selector key";
        errors.push(FieldError::invalid(&path.child("key"), rule.text("key"), detail));
    }
}

fn pod_term(errors: &mut Errors, term: &Value, path: &Path) {
    selector::labels(errors, term.at("labelSelector"), &path.child("labelSelector"));
    selector::labels(errors, term.at("namespaceSelector"), &path.child("namespaceSelector"));
    for namespace in term.texts("namespaces") {
        check::texts(errors, &path.child("namespace"), namespace, name::is_dns1123_label(namespace));
    }
    match_label_keys(errors, term, path);
    let key = term.text("topologyKey");
    if key.is_empty() {
        errors.push(FieldError::required(&path.child("topologyKey"), "can not be empty"));
    }
    check::qualified_name(errors, &path.child("topologyKey"), key);
}

fn match_label_keys(errors: &mut Errors, term: &Value, path: &Path) {
    const LISTS: [&str; 2] = ["matchLabelKeys", "mismatchLabelKeys"];
    for list in LISTS {
        if term.filled(list) && !term.has("labelSelector") {
            let detail = "must not be specified when labelSelector is not set";
            errors.push(FieldError::forbidden(&path.child(list), detail));
            continue;
        }
        for (i, key) in term.texts(list).into_iter().enumerate() {
            check::qualified_name(errors, &path.child(list).index(i), key);
        }
    }
    let mismatch = term.texts("mismatchLabelKeys");
    for (i, key) in term.texts("matchLabelKeys").into_iter().enumerate() {
        if mismatch.contains(&key) {
            let detail = "exists in both matchLabelKeys and mismatchLabelKeys";
            errors.push(FieldError::invalid(&path.child("matchLabelKeys").index(i), key, detail));
        }
    }
}
