//! ControllerRevisions: states that workloads can go back to.

use cox_objects::{FieldError, Path};
use serde_json::Value;

use super::super::check::{self, Errors};
use super::super::read::Read;

/// The data must be there.
pub(crate) fn validate(errors: &mut Errors, object: &Value) {
    if !object.has("data") {
        errors.push(FieldError::required(&Path::new("data"), "data is mandatory"));
    }
    check::non_negative(errors, &Path::new("revision"), object.int("revision"));
}

/// The data stays.
pub(crate) fn validate_update(errors: &mut Errors, object: &Value, old: &Value) {
    check::immutable(errors, &Path::new("data"), object.at("data"), old.at("data"));
    check::non_negative(errors, &Path::new("revision"), object.int("revision"));
}
