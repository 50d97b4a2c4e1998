//! Deployments.

use cox_objects::{FieldError, Path};
use serde_json::{Value, json};

use super::super::check::{self, Errors};
use super::super::read::{Fill, Read};
use super::super::{meta, pod, print};
use super::{counts, replica_set, template};

/// Defaults of the strategy, the history and the template.
pub(crate) fn defaults(object: &mut Value) {
    let spec = object.object("spec");
    spec.fill_unset("replicas", 1);
    let strategy = spec.object("strategy");
    strategy.fill("type", "RollingUpdate");
    if strategy.text("type") == "RollingUpdate" {
        let rolling = strategy.object("rollingUpdate");
        rolling.fill_unset("maxUnavailable", "25%");
        rolling.fill_unset("maxSurge", "25%");
    }
    spec.fill_unset("revisionHistoryLimit", 10);
    spec.fill_unset("progressDeadlineSeconds", 600);
    pod::defaults::template(spec.object("template"));
}

/// A new Deployment has no status of its own.
pub(crate) fn prepare_create(object: &mut Value) {
    meta::first_generation(object);
    object.set("status", json!({}));
}

/// The spec.
pub(crate) fn validate(errors: &mut Errors, object: &Value) {
    let spec = object.at("spec");
    let path = Path::new("spec");
    check::non_negative(errors, &path.child("replicas"), spec.int("replicas"));
    template::own_selector(errors, spec, &path.child("selector"), "deployment");
    replica_set::pods(errors, spec, &path);
    strategy(errors, spec.at("strategy"), &path.child("strategy"));
    let ready = spec.int("minReadySeconds");
    check::non_negative(errors, &path.child("minReadySeconds"), ready);
    check::non_negative(errors, &path.child("revisionHistoryLimit"), spec.int("revisionHistoryLimit"));
    if let Some(deadline) = spec.int("progressDeadlineSeconds") {
        let at = path.child("progressDeadlineSeconds");
        check::non_negative(errors, &at, Some(deadline));
        if deadline <= ready.unwrap_or(0) {
            errors.push(FieldError::invalid(&at, deadline, "must be greater than minReadySeconds"));
        }
    }
}

fn strategy(errors: &mut Errors, strategy: &Value, path: &Path) {
    let at = path.child("rollingUpdate");
    match strategy.text("type") {
        "Recreate" => {
            if strategy.has("rollingUpdate") {
                let detail = "may not be specified when strategy `type` is 'Recreate'";
                errors.push(FieldError::forbidden(&at, detail));
            }
        }
        "RollingUpdate" => {
            if !strategy.has("rollingUpdate") {
                let detail = "this should be defaulted and never be nil";
                errors.push(FieldError::required(&at, detail));
            } else {
                rolling(errors, strategy.at("rollingUpdate"), &at);
            }
        }
        _ => unknown_strategy(errors, strategy, path, &["Recreate", "RollingUpdate"]),
    }
}

/// A strategy that is none of these; the message shows it whole.
pub(super) fn unknown_strategy(errors: &mut Errors, strategy: &Value, path: &Path, known: &[&str]) {
    let shown = print::internal(strategy, &[("Type", "type", "\"\""), ("RollingUpdate", "rollingUpdate", "null")]);
    let mut error = FieldError::not_supported(path, "", known);
    error.body = error.body.replacen("\"\"", &shown, 1);
    errors.push(error);
}

/// How far a rolling update may go at once: not nowhere.
pub(super) fn rolling(errors: &mut Errors, rolling: &Value, path: &Path) {
    let (unavailable, surge) = (rolling.at("maxUnavailable"), rolling.at("maxSurge"));
    let unavailable_at = path.child("maxUnavailable");
    check::int_or_percent(errors, &unavailable_at, unavailable);
    check::int_or_percent(errors, &path.child("maxSurge"), surge);
    if is_zero(unavailable) && is_zero(surge) {
        let detail = "may not be 0 when `maxSurge` is 0";
        errors.push(FieldError::invalid(&unavailable_at, unavailable.clone(), detail));
    }
    check::not_above_100_percent(errors, &unavailable_at, unavailable);
}

/// Whether a number or percentage comes to nothing.
pub(super) fn is_zero(value: &Value) -> bool {
    match value {
        Value::String(text) => check::percent(text) == Some(0),
        other => other.as_i64().unwrap_or(0) == 0,
    }
}

/// An update: the selector stays; a status has counts that fit together.
pub(crate) fn validate_update(errors: &mut Errors, subresource: &str, object: &Value, old: &Value) {
    if subresource == "status" {
        status(errors, object.at("status"), old.at("status"));
        return;
    }
    validate(errors, object);
    template::same_selector(errors, object, old);
}

fn status(errors: &mut Errors, status: &Value, old: &Value) {
    let path = Path::new("status");
    for field in [
        "observedGeneration",
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
        "unavailableReplicas",
    ] {
        check::non_negative(errors, &path.child(field), status.int(field));
    }
    counts::fit(errors, status, &["updatedReplicas", "readyReplicas", "availableReplicas"], &path);
    counts::collisions(errors, status, old, &path);
}
