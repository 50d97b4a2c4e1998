//! Reaching into a JSON value by a dotted path of fields (`spec.nodeName`; not for keys that have dots in them).

use serde_json::{Map, Value};

/// The value at a path; null if it is not there.
pub fn get<'a>(object: &'a Value, path: &str) -> &'a Value {
    path.split('.').try_fold(object, |value, field| value.get(field)).unwrap_or(&Value::Null)
}

/// The string at a path; empty if there is none.
pub fn text<'a>(object: &'a Value, path: &str) -> &'a str {
    get(object, path).as_str().unwrap_or_default()
}

/// The whole number at a path; 0 if there is none.
pub fn int(object: &Value, path: &str) -> i64 {
    get(object, path).as_i64().unwrap_or_default()
}

/// Puts a value at a path, making the objects on the way (in place of whatever is not an object).
pub fn set(object: &mut Value, path: &str, value: impl Into<Value>) {
    let mut place = object;
    for field in path.split('.') {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        let Value::Object(fields) = place else { return };
        place = fields.entry(field).or_insert(Value::Null);
    }
    *place = value.into();
}

/// Takes the value at a path out of an object.
pub fn remove(object: &mut Value, path: &str) -> Option<Value> {
    let (parent, field) = match path.rsplit_once('.') {
        Some((parent, field)) => (parent.split('.').try_fold(object, |value, field| value.get_mut(field))?, field),
        None => (object, path),
    };
    parent.as_object_mut()?.remove(field)
}
