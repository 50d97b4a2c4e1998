//! The ways to change an object: JSON Patch, JSON Merge Patch, strategic merge patch.

pub mod json;
pub mod merge;
pub mod strategic;

use serde_json::Value;

use crate::Status;

/// What a patch made of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Patched {
    /// The object after it.
    pub object: Value,
    /// What is doubtful in the patch itself (`duplicate field "data.a"`): warnings, or errors, as `fieldValidation` says.
    pub faults: Vec<String>,
}

fn undecodable(why: &dyn std::fmt::Display) -> Status {
    Status::bad_request(format!("error decoding patch: {why}"))
}

/// The name that Go's decoder has for a kind of JSON value.
fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
