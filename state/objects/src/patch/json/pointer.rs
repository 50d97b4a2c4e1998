//! A place in a document: a list or map, and the index or key in it.

use serde_json::{Map, Value};

/// The place that a JSON pointer names; the last part of it need not be there.
pub(super) enum Place<'a> {
    Key(&'a mut Map<String, Value>, String),
    Index(&'a mut Vec<Value>, String),
}

/// What a map without the key counts as.
static MISSING: Value = Value::Null;

fn unescape(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}

/// The index that a text means in a list of so many places; a negative one counts from the end.
fn index(text: &str, places: usize) -> Option<usize> {
    let n: i64 = text.parse().ok()?;
    let places = i64::try_from(places).ok()?;
    let n = if n < 0 { n + places } else { n };
    (0..places).contains(&n).then(|| usize::try_from(n).ok()).flatten()
}

impl<'a> Place<'a> {
    pub(super) fn find(document: &'a mut Value, pointer: &str) -> Option<Self> {
        let (_, path) = pointer.split_once('/')?;
        let (parents, last) = path.rsplit_once('/').map_or(("", path), |(parents, last)| (parents, last));
        let mut container = document;
        if path.contains('/') {
            for part in parents.split('/') {
                container = match container {
                    Value::Object(fields) => fields.get_mut(&unescape(part))?,
                    Value::Array(items) => {
                        let i = index(part, items.len())?;
                        items.get_mut(i)?
                    }
                    _ => return None,
                };
            }
        }
        match container {
            Value::Object(fields) => Some(Place::Key(fields, unescape(last))),
            Value::Array(items) => Some(Place::Index(items, last.to_owned())),
            _ => None,
        }
    }

    pub(super) fn get(&self) -> Option<&Value> {
        match self {
            Place::Key(fields, key) => Some(fields.get(key).unwrap_or(&MISSING)),
            Place::Index(items, at) => items.get(index(at, items.len())?),
        }
    }

    pub(super) fn add(self, value: Value) -> Option<()> {
        match self {
            Place::Key(fields, key) => drop(fields.insert(key, value)),
            Place::Index(items, at) if at == "-" => items.push(value),
            Place::Index(items, at) => items.insert(index(&at, items.len() + 1)?, value),
        }
        Some(())
    }

    pub(super) fn replace(self, value: Value) -> Option<()> {
        match self {
            Place::Key(fields, key) => drop(fields.insert(key, value)),
            Place::Index(items, at) => {
                let i = index(&at, items.len())?;
                *items.get_mut(i)? = value;
            }
        }
        Some(())
    }

    pub(super) fn remove(self) -> Option<Value> {
        match self {
            Place::Key(fields, key) => fields.remove(&key),
            Place::Index(items, at) => index(&at, items.len()).map(|i| items.remove(i)),
        }
    }
}
