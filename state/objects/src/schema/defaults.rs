//! The defaults that the declarations of fields give.

use serde_json::Value;

use super::{Field, Shape, Type, zero};

/// Fills in the defaults that are declared with the fields of a type, in every struct that is there.
///
/// These are the least part of Kubernetes' defaults: a protocol, a few of volumes and of device tolerations. What depends on
/// other fields is written by hand, kind by kind, and comes first.
pub fn defaults(value: &mut Value, owner: &Type) {
    let Some(fields) = value.as_object_mut() else { return };
    for field in &owner.fields {
        if let Some(default) = &field.default
            && unset(field, fields.get(field.name))
            && (field.pointer || *default != zero(&field.shape))
        {
            fields.insert(field.name.to_owned(), default.clone());
        }
        if let Some(value) = fields.get_mut(field.name) {
            inside(value, &field.shape);
        }
    }
}

fn unset(field: &Field, value: Option<&Value>) -> bool {
    value.is_none_or(|v| v.is_null() || !field.pointer && *v == zero(&field.shape))
}

fn inside(value: &mut Value, shape: &Shape) {
    match (shape, value) {
        (Shape::Struct(_), value) => shape.as_struct().into_iter().for_each(|owner| defaults(value, owner)),
        (Shape::List(inner), Value::Array(items)) => items.iter_mut().for_each(|item| inside(item, inner)),
        (Shape::Map(inner), Value::Object(entries)) => entries.values_mut().for_each(|item| inside(item, inner)),
        _ => {}
    }
}
