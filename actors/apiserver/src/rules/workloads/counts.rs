//! The counts in a workload's status: which may not be above which.

use cox_objects::{FieldError, Path};
use serde_json::Value;

use super::super::check::{self, Errors};
use super::super::read::Read;

/// No more of these than there are replicas, and no more available ones than ready ones.
pub(super) fn fit(errors: &mut Errors, status: &Value, fields: &[&str], path: &Path) {
    let count = |field: &str| status.int(field).unwrap_or(0);
    for field in fields {
        if count(field) > count("replicas") {
            let detail = "cannot be greater than status.replicas";
            errors.push(FieldError::invalid(&path.child(field), count(field), detail));
        }
    }
    if count("availableReplicas") > count("readyReplicas") {
        let detail = "cannot be greater than readyReplicas";
        errors.push(FieldError::invalid(&path.child("availableReplicas"), count("availableReplicas"), detail));
    }
}

/// The count of hash collisions only goes up.
pub(super) fn collisions(errors: &mut Errors, status: &Value, old: &Value, path: &Path) {
    let at = path.child("collisionCount");
    let new = status.int("collisionCount");
    check::non_negative(errors, &at, new);
    if old.int("collisionCount").is_some_and(|before| new.is_none_or(|n| n < before)) {
        errors.push(FieldError::invalid(&at, new.unwrap_or(0), "cannot be decremented"));
    }
}
