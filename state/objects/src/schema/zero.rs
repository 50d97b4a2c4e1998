//! What is written for fields that are empty: Go's rules of `omitempty`, `omitzero`, and of structs that are always there.

use serde_json::{Map, Value};

use super::{Field, Shape, Type};

/// Brings a decoded struct into the form in which the API answers it: what is empty and may be left out is left out,
/// what is always written is there. An empty list or map is the same as none, as it is once stored.
pub(crate) fn finish(owner: &Type, fields: &mut Map<String, Value>) {
    for field in &owner.fields {
        let given = fields.get(field.name).filter(|v| !v.is_null());
        let keep = given.is_some_and(|v| field.pointer || !left_out(field, v));
        if keep {
            continue;
        }
        match absent(field) {
            Some(value) => drop(fields.insert(field.name.to_owned(), value)),
            None => drop(fields.remove(field.name)),
        }
    }
}

/// What is written for a field that is not set.
fn absent(field: &Field) -> Option<Value> {
    let always = match field.shape {
        _ if field.pointer || field.omit_zero => !field.omit_empty && !field.omit_zero,
        // Structs are never empty to `omitempty`.
        Shape::Struct(_) | Shape::Quantity | Shape::IntOrString | Shape::Time | Shape::MicroTime | Shape::Any => true,
        _ => !field.omit_empty,
    };
    match always {
        true if field.pointer => Some(Value::Null),
        true => Some(zero(&field.shape)),
        false => None,
    }
}

fn left_out(field: &Field, value: &Value) -> bool {
    let empty = match (&field.shape, value) {
        (Shape::List(_), Value::Array(items)) => items.is_empty(),
        (Shape::Map(_), Value::Object(entries)) => entries.is_empty(),
        (Shape::String(_) | Shape::Bytes, Value::String(text)) => field.omit_empty && text.is_empty(),
        (Shape::Int32 | Shape::Int64, Value::Number(n)) => field.omit_empty && n.as_i64() == Some(0),
        (Shape::Bool, Value::Bool(set)) => field.omit_empty && !set,
        _ => false,
    };
    empty || field.omit_zero && *value == zero(&field.shape)
}

/// Go's zero value of a shape, as JSON.
pub(crate) fn zero(shape: &Shape) -> Value {
    match shape {
        Shape::String(_) | Shape::Bytes => Value::from(""),
        Shape::Int32 | Shape::Int64 | Shape::IntOrString => Value::from(0),
        Shape::Bool => Value::Bool(false),
        Shape::Quantity => Value::from("0"),
        Shape::Struct(_) => {
            let mut fields = Map::new();
            if let Some(owner) = shape.as_struct() {
                finish(owner, &mut fields);
            }
            Value::Object(fields)
        }
        Shape::Time | Shape::MicroTime | Shape::Any | Shape::Fields | Shape::List(_) | Shape::Map(_) => Value::Null,
    }
}
