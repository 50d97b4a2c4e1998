//! ResourceQuotas.

use cox_objects::{FieldError, Path};
use serde_json::Value;

use super::super::check::{self, Errors};
use super::super::read::{Fill, Read};
use super::super::resources;

const SCOPES: [&str; 7] = [
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
    "VolumeAttributesClass",
];

/// Defaults: amounts as Kubernetes prints them.
pub(crate) fn defaults(object: &mut Value) {
    if let Some(spec) = object.inner("spec") {
        resources::canonical(spec, "hard");
    }
    if let Some(status) = object.inner("status") {
        resources::canonical(status, "hard");
        resources::canonical(status, "used");
    }
}

/// The spec.
pub(crate) fn validate(errors: &mut Errors, object: &Value) {
    let spec = object.at("spec");
    let path = Path::new("spec");
    for (resource, quantity) in spec.entries("hard") {
        let at = path.child("hard").key(resource);
        resources::resource_name(errors, resource, &at);
        if !resource.contains('/') && !is_standard(resource) {
            errors.push(FieldError::invalid(&at, resource, "must be a standard resource for quota"));
        }
        resources::value(errors, resource, quantity, &at);
    }
    scopes(errors, spec, &path.child("scopes"));
    selector(errors, spec, &path.child("scopeSelector"));
}

fn is_standard(resource: &str) -> bool {
    resources::COMPUTE.contains(&resource)
        || resources::OBJECTS.contains(&resource)
        || resource.starts_with("requests.hugepages-")
}

fn applies(scope: &str, resource: &str) -> bool {
    match scope {
        "BestEffort" => resource == "pods",
        "VolumeAttributesClass" => matches!(resource, "persistentvolumeclaims" | "requests.storage"),
        _ => resources::COMPUTE.contains(&resource),
    }
}

/// What is wrong with a set of scopes, each text once for every cause.
fn faults(spec: &Value, scopes: &[&str]) -> Vec<&'static str> {
    let mut found = Vec::new();
    for scope in scopes {
        if !SCOPES.contains(scope) {
            found.push("unsupported scope");
        }
        for (resource, _) in spec.entries("hard") {
            if is_standard(resource) && SCOPES.contains(scope) && !applies(scope, resource) {
                found.push("unsupported scope applied to resource");
            }
        }
    }
    for pair in [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]] {
        if pair.iter().all(|scope| scopes.contains(scope)) {
            found.push("conflicting scopes");
        }
    }
    found
}

fn scopes(errors: &mut Errors, spec: &Value, path: &Path) {
    for fault in faults(spec, &spec.texts("scopes")) {
        errors.push(FieldError::invalid(path, spec.at("scopes").clone(), fault));
    }
}

fn selector(errors: &mut Errors, spec: &Value, path: &Path) {
    const EXISTS: &str = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, \
                          ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
    let own = spec.at("scopeSelector");
    let at = path.child("matchExpressions");
    let mut named = Vec::new();
    for rule in own.list("matchExpressions") {
        let (scope, operator) = (rule.text("scopeName"), rule.text("operator"));
        let values = rule.list("values").len();
        named.push(scope);
        let plain = !["PriorityClass", "VolumeAttributesClass"].contains(&scope);
        if plain && SCOPES.contains(&scope) && operator != "Exists" {
            errors.push(FieldError::invalid(&at.child("operator"), operator, EXISTS));
        }
        match operator {
            "In" | "NotIn" if values == 0 => {
                let detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
                errors.push(FieldError::required(&at.child("values"), detail));
            }
            "Exists" | "DoesNotExist" if values != 0 => {
                let detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
                errors.push(FieldError::invalid(&at.child("values"), rule.at("values").clone(), detail));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => errors.push(FieldError::invalid(&at.child("operator"), other, "not a valid selector operator")),
        }
    }
    for fault in faults(spec, &named) {
        errors.push(FieldError::invalid(&at.child("scopeName"), own.at("matchExpressions").clone(), fault));
    }
}

/// An update: the scopes stay.
pub(crate) fn validate_update(errors: &mut Errors, subresource: &str, object: &Value, old: &Value) {
    if subresource == "status" {
        for list in ["hard", "used"] {
            for (resource, quantity) in object.at("status").entries(list) {
                let at = Path::new("status").child(list).key(resource);
                resources::resource_name(errors, resource, &at);
                resources::value(errors, resource, quantity, &at);
            }
        }
        return;
    }
    validate(errors, object);
    let sorted = |object: &Value| {
        let mut scopes: Vec<String> = object.at("spec").texts("scopes").into_iter().map(str::to_owned).collect();
        scopes.sort();
        scopes
    };
    if sorted(object) != sorted(old) {
        let at = Path::new("spec").child("scopes");
        errors.push(FieldError::invalid(&at, object.at("spec").at("scopes").clone(), check::IMMUTABLE));
    }
}

/// Requests above limits cannot be used.
pub(crate) fn warnings(object: &Value) -> Vec<String> {
    let hard = object.at("spec").at("hard");
    let mut found = Vec::new();
    for (request, limit) in [
        ("cpu", "limits.cpu"),
        ("memory", "limits.memory"),
        ("requests.cpu", "limits.cpu"),
        ("requests.memory", "limits.memory"),
    ] {
        if hard.has(request) && hard.has(limit) && resources::compare(hard.at(request), hard.at(limit)).is_gt() {
            let (a, b) = (hard.text(request), hard.text(limit));
            found.push(format!("ResourceQuota {request} ({a}) should be less than {limit} ({b})"));
        }
    }
    found
}
