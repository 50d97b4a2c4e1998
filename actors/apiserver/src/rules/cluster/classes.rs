//! PriorityClasses and RuntimeClasses.

use cox_objects::{FieldError, Path};
use serde_json::Value;

use super::super::check::{self, Errors};
use super::super::pod::spread;
use super::super::read::{Fill, Read};
use super::super::resources;

/// The highest priority that users may give.
const USER_LIMIT: i64 = 1_000_000_000;
const SYSTEM: [(&str, i64); 2] = [("system-node-critical", 2_000_001_000), ("system-cluster-critical", 2_000_000_000)];

/// Defaults of a PriorityClass.
pub(crate) fn priority_defaults(object: &mut Value) {
    object.fill_unset("preemptionPolicy", "PreemptLowerPriority");
}

/// A PriorityClass: high values and names that begin with `system-` are Kubernetes' own.
pub(crate) fn validate_priority(errors: &mut Errors, object: &Value) {
    let own = object.at("metadata").text("name");
    let value = object.int("value").unwrap_or(0);
    if own.starts_with("system-") {
        let known = SYSTEM.iter().find(|(name, _)| *name == own);
        let fault = match known {
            None => Some(format!("{own} is not a known system priority class")),
            Some((_, wanted)) if *wanted != value => Some(format!("value of {own} PriorityClass must be {wanted}")),
            Some(_) if object.flag("globalDefault") => Some(format!("globalDefault of {own} must be false")),
            Some(_) => None,
        };
        if let Some(fault) = fault {
            let detail =
                format!("priority class names with 'system-' prefix are reserved for system use only. error: {fault}");
            errors.push(FieldError::forbidden(&Path::new("metadata").child("name"), &detail));
        }
    } else if value > USER_LIMIT {
        let detail = format!("maximum allowed value of a user defined priority is {USER_LIMIT}");
        errors.push(FieldError::forbidden(&Path::new("value"), &detail));
    }
    if object.has("preemptionPolicy") {
        let supported = ["PreemptLowerPriority", "Never"];
        check::one_of(errors, &Path::new("preemptionPolicy"), object.text("preemptionPolicy"), &supported);
    }
}

/// A PriorityClass keeps what pods were admitted with.
pub(crate) fn validate_priority_update(errors: &mut Errors, object: &Value, old: &Value) {
    if object.int("value") != old.int("value") {
        errors.push(FieldError::forbidden(&Path::new("value"), "may not be changed in an update."));
    }
    let path = Path::new("preemptionPolicy");
    check::immutable(errors, &path, object.at("preemptionPolicy"), old.at("preemptionPolicy"));
}

/// Defaults of a RuntimeClass: amounts as Kubernetes prints them.
pub(crate) fn runtime_defaults(object: &mut Value) {
    if let Some(overhead) = object.inner("overhead") {
        resources::canonical(overhead, "podFixed");
    }
}

/// A RuntimeClass.
pub(crate) fn validate_runtime(errors: &mut Errors, object: &Value) {
    match object.text("handler") {
        "" => errors.push(FieldError::required(&Path::new("handler"), "")),
        handler => check::dns_label(errors, &Path::new("handler"), handler),
    }
    resources::overhead(errors, object.at("overhead").at("podFixed"), &Path::new("overhead"));
    let scheduling = object.at("scheduling");
    let path = Path::new("scheduling");
    check::labels(errors, &path.child("nodeSelector"), scheduling.at("nodeSelector"));
    spread::tolerations(errors, scheduling.list("tolerations"), &path.child("tolerations"));
}

/// A RuntimeClass keeps its handler.
pub(crate) fn validate_runtime_update(errors: &mut Errors, object: &Value, old: &Value) {
    check::immutable(errors, &Path::new("handler"), object.at("handler"), old.at("handler"));
    validate_runtime(errors, object);
}
