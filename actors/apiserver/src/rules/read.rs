//! Reading and filling JSON the way Go code sees its structs: what is absent reads as the zero value.

use serde_json::{Map, Value};

static NULL: Value = Value::Null;

/// Field access on JSON whose types the schema has checked; an absent field reads as its zero value.
pub(crate) trait Read {
    /// The field, or null.
    fn at(&self, field: &str) -> &Value;
    /// The field as text, or `""`.
    fn text(&self, field: &str) -> &str {
        self.at(field).as_str().unwrap_or_default()
    }
    /// The field as an integer, if it is set.
    fn int(&self, field: &str) -> Option<i64> {
        self.at(field).as_i64()
    }
    /// The field as a truth value, or false.
    fn flag(&self, field: &str) -> bool {
        self.at(field).as_bool().unwrap_or(false)
    }
    /// The elements of the field, or none.
    fn list(&self, field: &str) -> &[Value] {
        self.at(field).as_array().map(Vec::as_slice).unwrap_or_default()
    }
    /// The texts in the field, or none.
    fn texts(&self, field: &str) -> Vec<&str> {
        self.list(field).iter().map(|v| v.as_str().unwrap_or_default()).collect()
    }
    /// The entries of the field, or none.
    fn entries(&self, field: &str) -> Box<dyn Iterator<Item = (&str, &Value)> + '_> {
        match self.at(field).as_object() {
            Some(map) => Box::new(map.iter().map(|(k, v)| (k.as_str(), v))),
            None => Box::new(std::iter::empty()),
        }
    }
    /// Whether the field is set (to something else than null).
    fn has(&self, field: &str) -> bool {
        !self.at(field).is_null()
    }
    /// Whether the field is a list, map or text with something in it, or another value that is set.
    fn filled(&self, field: &str) -> bool {
        match self.at(field) {
            Value::Null => false,
            Value::String(text) => !text.is_empty(),
            Value::Array(items) => !items.is_empty(),
            Value::Object(fields) => !fields.is_empty(),
            Value::Bool(_) | Value::Number(_) => true,
        }
    }
}

impl Read for Value {
    fn at(&self, field: &str) -> &Value {
        self.get(field).unwrap_or(&NULL)
    }
}

/// Changes to JSON objects. Anything else that a field is set on becomes an object first, as a null among structs does in Go.
pub(crate) trait Fill {
    /// Sets a field.
    fn set(&mut self, field: &str, value: impl Into<Value>);
    /// Removes a field.
    fn drop_field(&mut self, field: &str);
    /// Sets a field that is absent, null, `""` or 0: the zero values of what is no pointer in Go.
    fn fill(&mut self, field: &str, value: impl Into<Value>);
    /// Sets a field that is absent or null: what is a pointer, list or map in Go.
    fn fill_unset(&mut self, field: &str, value: impl Into<Value>);
    /// The field, made an empty object if it is absent or null.
    fn object(&mut self, field: &str) -> &mut Value;
    /// The field, if it is set.
    fn inner(&mut self, field: &str) -> Option<&mut Value>;
    /// The elements of a list field, or none.
    fn items(&mut self, field: &str) -> &mut [Value];
}

impl Fill for Value {
    fn set(&mut self, field: &str, value: impl Into<Value>) {
        if !self.is_object() {
            *self = Value::Object(Map::new());
        }
        if let Some(fields) = self.as_object_mut() {
            fields.insert(field.to_owned(), value.into());
        }
    }

    fn drop_field(&mut self, field: &str) {
        if let Some(fields) = self.as_object_mut() {
            fields.remove(field);
        }
    }

    fn fill(&mut self, field: &str, value: impl Into<Value>) {
        let zero = match self.at(field) {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Number(number) => number.as_i64() == Some(0),
            _ => false,
        };
        if zero {
            self.set(field, value);
        }
    }

    fn fill_unset(&mut self, field: &str, value: impl Into<Value>) {
        if !self.has(field) {
            self.set(field, value);
        }
    }

    fn object(&mut self, field: &str) -> &mut Value {
        if !self.is_object() {
            *self = Value::Object(Map::new());
        }
        self.fill_unset(field, Map::new());
        // An object's index creates what is missing, so this cannot fail after the lines above.
        &mut self[field]
    }

    fn inner(&mut self, field: &str) -> Option<&mut Value> {
        self.get_mut(field).filter(|v| !v.is_null())
    }

    fn items(&mut self, field: &str) -> &mut [Value] {
        self.get_mut(field).and_then(Value::as_array_mut).map(Vec::as_mut_slice).unwrap_or_default()
    }
}

/// Whether two fields are equal in Go's semantic comparison: absent, null and empty are the same.
pub(crate) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(left), Value::Object(right)) => {
            left.iter().all(|(k, v)| right.get(k).map_or_else(|| empty(v), |other| same(v, other)))
                && right.iter().all(|(k, v)| left.contains_key(k) || empty(v))
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(x, y)| same(x, y))
        }
        (x, y) => x == y || (empty(x) && empty(y)),
    }
}

/// Whether a value is null or an empty list, map or text.
fn empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}
