//! JSON text with the fields of structs in the order of their declaration, as Go writes it.

use serde_json::Value;

use super::{Shape, Type};

/// The text of an object of a type. It matters where a text is kept or shown as such: annotations, errors that quote objects.
pub fn text(value: &Value, owner: &Type) -> String {
    let mut out = String::new();
    object(&mut out, value, owner);
    out
}

/// The text of what a JSON or merge patch made, as Kubernetes quotes it when it does not decode: what the patch touched has
/// its keys sorted, the rest is as it was written before.
pub fn patched_text(before: &Value, after: &Value, owner: &Type) -> String {
    let mut out = String::new();
    touched(&mut out, Some(before), after, Some(owner), None);
    out
}

fn touched(out: &mut String, before: Option<&Value>, after: &Value, owner: Option<&Type>, shape: Option<&Shape>) {
    let owner = owner.or_else(|| shape.and_then(Shape::as_struct));
    // Only the root has no shape; a patch always touches it.
    match after.as_object().filter(|_| shape.is_none() || before != Some(after)) {
        Some(fields) => {
            let mut names: Vec<&String> = fields.keys().collect();
            names.sort();
            out.push('{');
            let mut first = true;
            for name in names {
                let inner = match owner {
                    Some(owner) => owner.field(name).map(|f| &f.shape),
                    None => shape.and_then(Shape::inner),
                };
                key(out, name, &mut first);
                let (old, new) = (before.and_then(|b| b.get(name)), fields.get(name).unwrap_or(&Value::Null));
                touched(out, old, new, None, inner.or(Some(&Shape::Any)));
            }
            out.push('}');
        }
        None => write(out, after, shape.unwrap_or(&Shape::Any)),
    }
}

fn object(out: &mut String, value: &Value, owner: &Type) {
    let Some(fields) = value.as_object() else { return out.push_str(&value.to_string()) };
    out.push('{');
    let mut first = true;
    for field in &owner.fields {
        if let Some(value) = fields.get(field.name) {
            key(out, field.name, &mut first);
            write(out, value, &field.shape);
        }
    }
    for (name, value) in fields.iter().filter(|(name, _)| owner.field(name).is_none()) {
        key(out, name, &mut first);
        out.push_str(&value.to_string());
    }
    out.push('}');
}

fn write(out: &mut String, value: &Value, shape: &Shape) {
    match (shape, value) {
        (Shape::Struct(_), _) => match shape.as_struct() {
            Some(owner) => object(out, value, owner),
            None => out.push_str(&value.to_string()),
        },
        (Shape::List(inner), Value::Array(items)) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                write(out, item, inner);
            }
            out.push(']');
        }
        (Shape::Map(inner), Value::Object(entries)) => {
            out.push('{');
            let mut first = true;
            for (name, value) in entries {
                key(out, name, &mut first);
                write(out, value, inner);
            }
            out.push('}');
        }
        _ => out.push_str(&value.to_string()),
    }
}

fn key(out: &mut String, name: &str, first: &mut bool) {
    if !std::mem::take(first) {
        out.push(',');
    }
    out.push_str(&Value::from(name).to_string());
    out.push(':');
}
