//! HorizontalPodAutoscalers.

use cox_objects::{FieldError, Path, name};
use serde_json::{Value, json};

use super::check::{self, Errors};
use super::read::{Fill, Read};

const SOURCES: [&str; 5] = ["object", "pods", "resource", "containerResource", "external"];

/// Defaults of an autoscaler: at least one replica, at 80 % of the cpu; `v1` says so in fields of its own.
pub(crate) fn defaults(object: &mut Value, version: &str) {
    let spec = object.object("spec");
    spec.fill_unset("minReplicas", 1);
    if version == "v1" {
        spec.fill_unset("targetCPUUtilizationPercentage", 80);
        return;
    }
    if !spec.filled("metrics") {
        let target = json!({"type": "Utilization", "averageUtilization": 80});
        spec.set("metrics", json!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}]));
    }
    let Some(behavior) = spec.inner("behavior") else { return };
    let percent = |value: i64| json!({"type": "Percent", "value": value, "periodSeconds": 15});
    let pods = json!({"type": "Pods", "value": 4, "periodSeconds": 15});
    let up = behavior.object("scaleUp");
    up.fill_unset("stabilizationWindowSeconds", 0);
    scaling_rules(up, json!([pods, percent(100)]));
    scaling_rules(behavior.object("scaleDown"), json!([percent(100)]));
}

fn scaling_rules(rules: &mut Value, policies: Value) {
    rules.fill_unset("selectPolicy", "Max");
    rules.fill_unset("policies", policies);
}

/// The spec.
pub(crate) fn validate(errors: &mut Errors, object: &Value) {
    let spec = object.at("spec");
    let path = Path::new("spec");
    let (least, most) = (spec.int("minReplicas"), spec.int("maxReplicas").unwrap_or(0));
    if let Some(least) = least.filter(|n| *n < 1) {
        errors.push(FieldError::invalid(&path.child("minReplicas"), least, "must be greater than or equal to 1"));
    }
    check::positive(errors, &path.child("maxReplicas"), most);
    if least.is_some_and(|least| most < least) {
        let detail = "must be greater than or equal to `minReplicas`";
        errors.push(FieldError::invalid(&path.child("maxReplicas"), most, detail));
    }
    reference(errors, spec.at("scaleTargetRef"), &path.child("scaleTargetRef"));
    for (i, metric) in spec.list("metrics").iter().enumerate() {
        self::metric(errors, metric, &path.child("metrics").index(i));
    }
    for direction in ["scaleUp", "scaleDown"] {
        if spec.at("behavior").has(direction) {
            rules(errors, spec.at("behavior").at(direction), &path.child("behavior").child(direction));
        }
    }
}

fn reference(errors: &mut Errors, reference: &Value, path: &Path) {
    for field in ["kind", "name"] {
        let own = reference.text(field);
        if own.is_empty() {
            errors.push(FieldError::required(&path.child(field), ""));
        } else {
            check::texts(errors, &path.child(field), own, name::is_path_segment_name(own));
        }
    }
}

fn metric(errors: &mut Errors, metric: &Value, path: &Path) {
    const KINDS: [&str; 5] = ["ContainerResource", "External", "Object", "Pods", "Resource"];
    let kind = metric.text("type");
    if kind.is_empty() {
        errors.push(FieldError::required(&path.child("type"), "must specify a metric source type"));
        return;
    }
    if !KINDS.contains(&kind) {
        errors.push(FieldError::not_supported(&path.child("type"), kind, &KINDS));
        return;
    }
    let own = SOURCES.into_iter().find(|source| source.eq_ignore_ascii_case(kind)).unwrap_or_default();
    if !metric.has(own) {
        let detail = "must populate information for the given metric source";
        errors.push(FieldError::required(&path.child(own), detail));
    }
    for other in SOURCES.into_iter().filter(|source| *source != own && metric.has(source)) {
        let detail = "must populate the given metric source only";
        errors.push(FieldError::forbidden(&path.child(other), detail));
    }
    if let Some(share) = metric.at(own).at("target").int("averageUtilization").filter(|share| *share < 1) {
        let at = path.child(own).child("target").child("averageUtilization");
        errors.push(FieldError::invalid(&at, share, "must be greater than 0"));
    }
}

fn rules(errors: &mut Errors, rules: &Value, path: &Path) {
    const HOUR: i64 = 3600;
    const HALF_HOUR: i64 = 1800;
    let window = rules.int("stabilizationWindowSeconds");
    let at = path.child("stabilizationWindowSeconds");
    check::non_negative(errors, &at, window);
    if let Some(seconds) = window.filter(|s| *s > HOUR) {
        errors.push(FieldError::invalid(&at, seconds, &format!("must be less than or equal to {HOUR}")));
    }
    if rules.has("selectPolicy") {
        let supported = ["Disabled", "Max", "Min"];
        check::one_of(errors, &path.child("selectPolicy"), rules.text("selectPolicy"), &supported);
    }
    let policies = path.child("policies");
    if !rules.filled("policies") {
        errors.push(FieldError::required(&policies, "must specify at least one Policy"));
    }
    for (i, policy) in rules.list("policies").iter().enumerate() {
        let at = policies.index(i);
        check::one_of(errors, &at.child("type"), policy.text("type"), &["Percent", "Pods"]);
        check::positive(errors, &at.child("value"), policy.int("value").unwrap_or(0));
        let period = policy.int("periodSeconds").unwrap_or(0);
        check::positive(errors, &at.child("periodSeconds"), period);
        if period > HALF_HOUR {
            let detail = format!("must be less than or equal to {HALF_HOUR}");
            errors.push(FieldError::invalid(&at.child("periodSeconds"), period, &detail));
        }
    }
}
