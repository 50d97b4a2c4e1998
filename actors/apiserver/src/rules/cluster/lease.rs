//! Leases: who leads, and who is alive.

use cox_objects::{FieldError, Path};
use serde_json::Value;

use super::super::check::{self, Errors};
use super::super::read::Read;

/// The spec.
pub(crate) fn validate(errors: &mut Errors, object: &Value) {
    let spec = object.at("spec");
    let path = Path::new("spec");
    if let Some(seconds) = spec.int("leaseDurationSeconds") {
        check::positive(errors, &path.child("leaseDurationSeconds"), seconds);
    }
    check::non_negative(errors, &path.child("leaseTransitions"), spec.int("leaseTransitions"));
    let strategy = spec.text("strategy");
    if spec.has("strategy") {
        let at = path.child("strategy");
        match strategy.split_once('/') {
            None if strategy != "OldestEmulationVersion" => {
                let detail = "must be a fully qualified name, or OldestEmulationVersion";
                errors.push(FieldError::invalid(&at, strategy, detail));
            }
            None => {}
            Some(_) => check::qualified_name(errors, &at, strategy),
        }
    }
    if spec.filled("preferredHolder") && !spec.filled("strategy") {
        let detail = "may only be specified if `strategy` is defined";
        errors.push(FieldError::forbidden(&path.child("preferredHolder"), detail));
    }
}
