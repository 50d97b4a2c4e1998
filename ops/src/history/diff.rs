//! What differs between two versions of an object, field by field.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Value};

/// What the elements of a list may be known by, the best first: then one that moved is not taken for others that changed.
const NAMES: [&str; 6] = ["uid", "name", "type", "ip", "key", "manager"];

/// One step from a value to one in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A member of an object.
    Member(String),
    /// An element of a list.
    Index(usize),
    /// The element of a list whose member has this value.
    Named(&'static str, String),
}

/// Where a field is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(pub Vec<Step>);

/// A field that differs: a value without parts on at least one side.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    /// Where.
    pub path: Path,
    /// What was there; none if nothing was.
    pub before: Option<Value>,
    /// What is there; none if nothing is.
    pub after: Option<Value>,
}

/// All fields that differ, in the order of their paths; what was or is nothing at all is compared as if it had no fields.
pub fn diff(before: Option<&Value>, after: Option<&Value>) -> Vec<Edit> {
    let mut edits = Vec::new();
    compare(&mut Path::default(), before, after, &mut edits);
    edits
}

fn compare(path: &mut Path, before: Option<&Value>, after: Option<&Value>, edits: &mut Vec<Edit>) {
    if before == after {
        return;
    }
    let none = Map::new();
    match (before, after) {
        (Some(Value::Object(then)), Some(Value::Object(now))) => members(path, then, now, edits),
        (Some(Value::Object(then)), None) if !then.is_empty() => members(path, then, &none, edits),
        (None, Some(Value::Object(now))) if !now.is_empty() => members(path, &none, now, edits),
        (Some(Value::Array(then)), Some(Value::Array(now))) => elements(path, then, now, edits),
        (Some(Value::Array(then)), None) if !then.is_empty() => elements(path, then, &[], edits),
        (None, Some(Value::Array(now))) if !now.is_empty() => elements(path, &[], now, edits),
        _ => edits.push(Edit { path: path.clone(), before: before.cloned(), after: after.cloned() }),
    }
}

fn members(path: &mut Path, before: &Map<String, Value>, after: &Map<String, Value>, edits: &mut Vec<Edit>) {
    for name in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
        within(path, Step::Member(name.clone()), before.get(name), after.get(name), edits);
    }
}

fn within(path: &mut Path, step: Step, before: Option<&Value>, after: Option<&Value>, edits: &mut Vec<Edit>) {
    path.0.push(step);
    compare(path, before, after, edits);
    path.0.pop();
}

fn elements(path: &mut Path, before: &[Value], after: &[Value], edits: &mut Vec<Edit>) {
    let Some((by, then, now)) = NAMES.iter().find_map(|by| Some((*by, named(before, by)?, named(after, by)?))) else {
        for index in 0..before.len().max(after.len()) {
            within(path, Step::Index(index), before.get(index), after.get(index), edits);
        }
        return;
    };
    let stayed = |names: &[&str], others: &[&str]| -> Vec<String> {
        names.iter().filter(|name| others.contains(name)).map(|name| (*name).to_owned()).collect()
    };
    if stayed(&then, &now) != stayed(&now, &then) {
        // They moved among each other, which is a change of the places.
        for index in 0..before.len().max(after.len()) {
            within(path, Step::Index(index), before.get(index), after.get(index), edits);
        }
        return;
    }
    let of = |values: &[Value], names: &[&str], name: &str| -> Option<Value> {
        names.iter().position(|other| *other == name).and_then(|index| values.get(index)).cloned()
    };
    let gone_or_kept = then.iter().chain(now.iter().filter(|name| !then.contains(name)));
    for name in gone_or_kept {
        let (was, is) = (of(before, &then, name), of(after, &now, name));
        within(path, Step::Named(by, (*name).to_owned()), was.as_ref(), is.as_ref(), edits);
    }
}

/// The names of a list's elements, if each has one of its own.
fn named<'a>(list: &'a [Value], by: &str) -> Option<Vec<&'a str>> {
    let names: Vec<&str> = list.iter().map(|value| value.get(by)?.as_str()).collect::<Option<_>>()?;
    let unique: BTreeSet<&&str> = names.iter().collect();
    (unique.len() == names.len()).then_some(names)
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            match step {
                Step::Member(name) if plain(name) => {
                    f.write_str(if index == 0 { "" } else { "." })?;
                    f.write_str(name)?;
                }
                Step::Member(name) => write!(f, "[{}]", Value::from(name.as_str()))?,
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Named(by, name) if plain(name) => write!(f, "[{by}={name}]")?,
                Step::Named(by, name) => write!(f, "[{by}={}]", Value::from(name.as_str()))?,
            }
        }
        Ok(())
    }
}

/// Whether a name cannot be misread in a path.
fn plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_$".contains(&byte))
}

#[cfg(test)]
mod tests;
