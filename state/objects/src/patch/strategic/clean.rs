//! What is taken out of a patch where there is nothing to merge it with.

use serde_json::Value;

/// Without the keys that are null: there is nothing that they could delete.
pub(super) fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k, without_nulls(v))).collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        other => other,
    }
}

/// Without directives: a map with `$patch` is left out as a whole, other directives as keys.
pub(super) fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(fields) if fields.contains_key(super::PATCH) => None,
        Value::Object(fields) => {
            let kept = fields.into_iter().filter(|(k, _)| !is_directive(k));
            Some(Value::Object(kept.filter_map(|(k, v)| Some((k, without_directives(v)?))).collect()))
        }
        Value::Array(items) => Some(Value::Array(items.into_iter().filter_map(without_directives).collect())),
        other => Some(other),
    }
}

fn is_directive(key: &str) -> bool {
    key == super::RETAIN_KEYS || key.starts_with(super::DELETE_FROM) || key.starts_with(super::SET_ORDER)
}
