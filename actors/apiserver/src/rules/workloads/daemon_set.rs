//! DaemonSets.

use cox_objects::{FieldError, Path};
use serde_json::Value;

use super::super::check::{self, Errors};
use super::super::read::{Fill, Read, same};
use super::super::{pod, print};
use super::{counts, deployment, template};

/// The annotation in which `apps/v1` keeps the generation of the template.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// Defaults of the strategy, the history and the template.
pub(crate) fn defaults(object: &mut Value) {
    let spec = object.object("spec");
    let strategy = spec.object("updateStrategy");
    strategy.fill("type", "RollingUpdate");
    if strategy.text("type") == "RollingUpdate" {
        let rolling = strategy.object("rollingUpdate");
        rolling.fill_unset("maxUnavailable", 1);
        rolling.fill_unset("maxSurge", 0);
    }
    spec.fill_unset("revisionHistoryLimit", 10);
    pod::defaults::template(spec.object("template"));
}

/// A new template is the first one.
pub(crate) fn prepare_create(object: &mut Value) {
    object.object("metadata").object("annotations").set(TEMPLATE_GENERATION, "1");
}

/// Counts the changes of the template.
pub(crate) fn prepare_update(object: &mut Value, old: &Value) {
    let before = old.at("metadata").at("annotations").text(TEMPLATE_GENERATION).parse::<i64>().unwrap_or(0);
    let changed = !same(object.at("spec").at("template"), old.at("spec").at("template"));
    let now = before + i64::from(changed);
    object.object("metadata").object("annotations").set(TEMPLATE_GENERATION, now.to_string());
}

/// The spec.
pub(crate) fn validate(errors: &mut Errors, object: &Value) {
    let spec = object.at("spec");
    let path = Path::new("spec");
    let own = spec.at("selector");
    super::super::selector::labels(errors, own, &path.child("selector"));
    let readable = super::super::selector::is_parsable(own);
    let at = path.child("template");
    if readable {
        if !own.is_null() && super::super::selector::is_empty(own) {
            let shown = print::label_selector(own);
            let detail = "empty selector is invalid for daemonset";
            errors.push(FieldError::invalid_raw(&path.child("selector"), &shown, detail));
        }
        template::labels_match(errors, spec, &at);
    }
    template::validate(errors, spec.at("template"), &at);
    template::always_restarts(errors, spec, &at, "DaemonSet");
    check::non_negative(errors, &path.child("minReadySeconds"), spec.int("minReadySeconds"));
    strategy(errors, spec.at("updateStrategy"), &path.child("updateStrategy"));
    check::non_negative(errors, &path.child("revisionHistoryLimit"), spec.int("revisionHistoryLimit"));
}

fn strategy(errors: &mut Errors, strategy: &Value, path: &Path) {
    let at = path.child("rollingUpdate");
    match strategy.text("type") {
        "OnDelete" => {}
        "RollingUpdate" if !strategy.has("rollingUpdate") => errors.push(FieldError::required(&at, "")),
        "RollingUpdate" => rolling(errors, strategy.at("rollingUpdate"), &at),
        _ => deployment::unknown_strategy(errors, strategy, path, &["RollingUpdate", "OnDelete"]),
    }
}

/// One of the two numbers must be zero, the other must not.
fn rolling(errors: &mut Errors, rolling: &Value, path: &Path) {
    let (unavailable, surge) = (rolling.at("maxUnavailable"), rolling.at("maxSurge"));
    let (unavailable_at, surge_at) = (path.child("maxUnavailable"), path.child("maxSurge"));
    check::int_or_percent(errors, &unavailable_at, unavailable);
    check::int_or_percent(errors, &surge_at, surge);
    match (deployment::is_zero(unavailable), deployment::is_zero(surge)) {
        (true, true) => errors.push(FieldError::required(&unavailable_at, "cannot be 0 when maxSurge is 0")),
        (false, false) => {
            let detail = "may not be set when maxUnavailable is non-zero";
            errors.push(FieldError::invalid(&surge_at, surge.clone(), detail));
        }
        _ => {}
    }
    check::not_above_100_percent(errors, &unavailable_at, unavailable);
    check::not_above_100_percent(errors, &surge_at, surge);
}

/// An update: the selector stays.
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
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
        "observedGeneration",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberUnavailable",
    ] {
        check::non_negative(errors, &path.child(field), status.int(field));
    }
    counts::collisions(errors, status, old, &path);
}
