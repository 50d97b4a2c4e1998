//! Topology spread constraints and tolerations.

use cox_objects::{FieldError, Path, name};
use serde_json::Value;

use super::super::check::{self, Errors};
use super::super::print;
use super::super::read::Read;
use super::super::selector;

const ABOVE_ZERO: &str = "must be greater than zero";

/// `spec.topologySpreadConstraints`
pub(super) fn constraints(errors: &mut Errors, spec: &Value, path: &Path) {
    let constraints = spec.list("topologySpreadConstraints");
    for (i, constraint) in constraints.iter().enumerate() {
        let at = path.index(i);
        let skew = constraint.int("maxSkew").unwrap_or(0);
        if skew <= 0 {
            errors.push(FieldError::invalid(&at.child("maxSkew"), skew, ABOVE_ZERO));
        }
        let key = constraint.text("topologyKey");
        if key.is_empty() {
            errors.push(FieldError::required(&at.child("topologyKey"), "can not be empty"));
        } else {
            check::qualified_name(errors, &at.child("topologyKey"), key);
        }
        let unsatisfiable = constraint.text("whenUnsatisfiable");
        check::one_of(errors, &at.child("whenUnsatisfiable"), unsatisfiable, &["DoNotSchedule", "ScheduleAnyway"]);
        let mut later = constraints.iter().skip(i + 1);
        let repeated = |c: &Value| c.text("topologyKey") == key && c.text("whenUnsatisfiable") == unsatisfiable;
        if later.any(repeated) {
            let pair = format!("{{{key}, {unsatisfiable}}}");
            errors.push(FieldError::duplicate(&at.child("{topologyKey, whenUnsatisfiable}"), pair));
        }
        if let Some(domains) = constraint.int("minDomains") {
            let at = at.child("minDomains");
            if domains <= 0 {
                errors.push(FieldError::invalid(&at, domains, ABOVE_ZERO));
            }
            if unsatisfiable != "DoNotSchedule" {
                let detail = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {unsatisfiable}");
                errors.push(FieldError::invalid(&at, domains, &detail));
            }
        }
        for field in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            if constraint.has(field) {
                check::one_of(errors, &at.child(field), constraint.text(field), &["Honor", "Ignore"]);
            }
        }
        match_label_keys(errors, constraint, &at);
        selector::labels(errors, constraint.at("labelSelector"), &at.child("labelSelector"));
    }
}

fn match_label_keys(errors: &mut Errors, constraint: &Value, path: &Path) {
    let keys = constraint.texts("matchLabelKeys");
    let at = path.child("matchLabelKeys");
    if !keys.is_empty() && !constraint.has("labelSelector") {
        errors.push(FieldError::forbidden(&at, "must not be specified when labelSelector is not set"));
    }
    for (i, key) in keys.into_iter().enumerate() {
        check::qualified_name(errors, &at.index(i), key);
    }
}

/// `spec.tolerations`, also those of a RuntimeClass.
pub(crate) fn tolerations(errors: &mut Errors, tolerations: &[Value], path: &Path) {
    for (i, toleration) in tolerations.iter().enumerate() {
        let at = path.index(i);
        let (key, operator) = (toleration.text("key"), toleration.text("operator"));
        let (value, effect) = (toleration.text("value"), toleration.text("effect"));
        if !key.is_empty() {
            check::qualified_name(errors, &at.child("key"), key);
        } else if operator != "Exists" {
            let detail = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            errors.push(FieldError::invalid(&at.child("operator"), operator, detail));
        }
        if toleration.has("tolerationSeconds") && effect != "NoExecute" {
            let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            errors.push(FieldError::invalid(&at.child("effect"), effect, detail));
        }
        match operator {
            "Equal" | "" => {
                let found = name::is_label_value(value);
                if !found.is_empty() {
                    errors.push(FieldError::invalid(&at.child("operator"), value, &found.join(";")));
                }
            }
            "Exists" => {
                if !value.is_empty() {
                    let detail = "value must be empty when `operator` is 'Exists'";
                    errors.push(FieldError::invalid_raw(&at.child("operator"), &printed(toleration), detail));
                }
            }
            other => errors.push(FieldError::not_supported(&at.child("operator"), other, &["Equal", "Exists"])),
        }
        if !effect.is_empty() {
            taint_effect(errors, effect, &at.child("effect"));
        }
    }
}

/// The effect of a taint or toleration.
pub(crate) fn taint_effect(errors: &mut Errors, effect: &str, path: &Path) {
    check::one_of(errors, path, effect, &["NoSchedule", "PreferNoSchedule", "NoExecute"]);
}

fn printed(toleration: &Value) -> String {
    print::internal(
        toleration,
        &[
            ("Key", "key", "\"\""),
            ("Operator", "operator", "\"\""),
            ("Value", "value", "\"\""),
            ("Effect", "effect", "\"\""),
            ("TolerationSeconds", "tolerationSeconds", "null"),
        ],
    )
}
