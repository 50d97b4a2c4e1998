//! JSON Merge Patch (RFC 7386): maps are merged, everything else is replaced, null removes.

use serde_json::{Map, Value};

use super::Patched;
use crate::{Status, schema};

/// Applies the body of a merge patch request.
///
/// # Errors
/// 400 if the body is not a JSON object.
pub fn apply(current: &Value, patch: &[u8]) -> Result<Patched, Status> {
    let duplicates = schema::duplicates(patch).map_err(|e| super::undecodable(&e))?;
    let patch: Value = serde_json::from_slice(patch).map_err(|e| super::undecodable(&e))?;
    let what = super::go_kind(&patch);
    match patch {
        Value::Object(_) => {}
        Value::Null => return Err(Status::bad_request("Invalid JSON Patch")),
        _ => {
            return Err(super::undecodable(&format!(
                "json: cannot unmarshal {what} into Go value of type map[string]interface {{}}"
            )));
        }
    }
    let mut object = current.clone();
    merge(&mut object, &patch);
    Ok(Patched { object, faults: duplicates })
}

/// Merges a patch into a value.
pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(fields) = target else { return };
    for (name, change) in changes {
        match change {
            Value::Null => drop(fields.remove(name)),
            change => merge(fields.entry(name.as_str()).or_insert(Value::Null), change),
        }
    }
}

#[cfg(test)]
mod tests;
