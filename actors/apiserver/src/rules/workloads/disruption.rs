//! PodDisruptionBudgets.

use cox_objects::{FieldError, Path};
use serde_json::Value;

use super::super::check::{self, Errors};
use super::super::read::Read;
use super::super::{print, selector};

/// The spec: one of two numbers, and which pods they count.
pub(crate) fn validate(errors: &mut Errors, object: &Value) {
    let spec = object.at("spec");
    let path = Path::new("spec");
    if spec.has("minAvailable") && spec.has("maxUnavailable") {
        let fields = [
            ("MinAvailable", "minAvailable", "null"),
            ("Selector", "selector", "null"),
            ("MaxUnavailable", "maxUnavailable", "null"),
            ("UnhealthyPodEvictionPolicy", "unhealthyPodEvictionPolicy", "null"),
        ];
        let detail = "minAvailable and maxUnavailable cannot be both set";
        errors.push(FieldError::invalid_raw(&path, &print::internal(spec, &fields), detail));
    }
    for field in ["minAvailable", "maxUnavailable"] {
        if spec.has(field) {
            let at = path.child(field);
            check::int_or_percent(errors, &at, spec.at(field));
            check::not_above_100_percent(errors, &at, spec.at(field));
        }
    }
    selector::labels(errors, spec.at("selector"), &path.child("selector"));
    if spec.has("unhealthyPodEvictionPolicy") {
        let supported = ["AlwaysAllow", "IfHealthyBudget"];
        let policy = spec.text("unhealthyPodEvictionPolicy");
        check::one_of(errors, &path.child("unhealthyPodEvictionPolicy"), policy, &supported);
    }
}
