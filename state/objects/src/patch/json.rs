//! JSON Patch (RFC 6902), with the leniencies of the library that Kubernetes uses.
//!
//! Where it departs from the RFC: `replace` makes a missing key of a map, `copy` from a missing key copies null, `test`
//! of a missing key against null passes, negative indexes count from the end, and what stands before the first slash
//! of a path is ignored.

mod pointer;

use serde_json::{Map, Value};

use super::Patched;
use crate::{Status, schema};
use pointer::Place;

/// The most operations that one patch may have.
pub const MAX_OPERATIONS: usize = 10_000;

/// The most bytes of JSON that the `copy` operations of one patch may make together.
pub const MAX_COPIED: usize = 3 * 1024 * 1024;

/// Applies the body of a JSON Patch request.
///
/// # Errors
/// 400 if the body is not a list of operations, 413 for too many of them, 422 if one cannot be done.
pub fn apply(current: &Value, patch: &[u8]) -> Result<Patched, Status> {
    let (operations, faults) = decode(patch)?;
    if operations.len() > MAX_OPERATIONS {
        let text = format!(
            "Request entity too large: The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}",
            operations.len()
        );
        return Err(Status::new(413, "RequestEntityTooLarge", text));
    }
    let mut object = current.clone();
    let mut copied = 0;
    for operation in &operations {
        run(&mut object, operation, &mut copied).ok_or_else(refused)?;
    }
    Ok(Patched { object, faults })
}

/// Kubernetes does not tell which operation failed.
fn refused() -> Status {
    Status::new(422, "Invalid", "the server rejected our request due to an error in our request")
        .with_details(Value::Object(Map::new()))
}

type Operation = Map<String, Value>;

fn decode(patch: &[u8]) -> Result<(Vec<Operation>, Vec<String>), Status> {
    let mut faults: Vec<String> = schema::duplicates(patch)
        .map_err(|e| super::undecodable(&e))?
        .into_iter()
        .map(|duplicate| format!("json patch {duplicate}"))
        .collect();
    let patch: Value = serde_json::from_slice(patch).map_err(|e| super::undecodable(&e))?;
    let mismatch = |value: &Value, into: &str| {
        super::undecodable(&format!("json: cannot unmarshal {} into Go {into}", super::go_kind(value)))
    };
    let items = match patch {
        Value::Null => Vec::new(),
        Value::Array(items) => items,
        other => return Err(mismatch(&other, "value of type []handlers.jsonPatchOp")),
    };
    let mut operations = Vec::with_capacity(items.len());
    for (i, item) in items.into_iter().enumerate() {
        let operation = match item {
            Value::Object(operation) => operation,
            Value::Null => Map::new(),
            other => return Err(mismatch(&other, "value of type handlers.jsonPatchOp")),
        };
        for (name, value) in &operation {
            match name.as_str() {
                "op" | "path" | "from" if !value.is_string() && !value.is_null() => {
                    return Err(mismatch(value, &format!("struct field jsonPatchOp.{name} of type string")));
                }
                "op" | "path" | "from" | "value" => {}
                unknown => faults.push(format!("json patch unknown field \"[{i}].{unknown}\"")),
            }
        }
        operations.push(operation);
    }
    Ok((operations, faults))
}

/// Does one operation; nothing if it cannot be done.
fn run(object: &mut Value, operation: &Operation, copied: &mut usize) -> Option<()> {
    let text = |name: &str| operation.get(name).and_then(Value::as_str);
    let value = || operation.get("value").cloned().unwrap_or_default();
    let path = text("path");
    match text("op")? {
        "add" => Place::find(object, path?)?.add(value()),
        "remove" => Place::find(object, path?)?.remove().map(drop),
        "replace" if path == Some("") => {
            let whole = value();
            (whole.is_object() || whole.is_array()).then(|| *object = whole)
        }
        "replace" => Place::find(object, path?)?.replace(value()),
        "move" => {
            let moved = Place::find(object, text("from")?)?.remove()?;
            Place::find(object, path?)?.add(moved)
        }
        "copy" => {
            let copy = Place::find(object, text("from")?)?.get()?.clone();
            *copied += copy.to_string().len();
            if *copied > MAX_COPIED {
                return None;
            }
            Place::find(object, path?)?.add(copy)
        }
        "test" if path == Some("") => (*object == value()).then_some(()),
        "test" => (*Place::find(object, path?)?.get()? == value()).then_some(()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
