//! Cells that many tables have: names, ages, labels, containers.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::access::{get, list, map, text};
use crate::selector::LabelSelector;
use crate::time;

pub(super) const NONE: &str = "<none>";
pub(super) const UNSET: &str = "<unset>";
pub(super) const UNKNOWN: &str = "<unknown>";

pub(super) fn name(object: &Value) -> &str {
    text(object, "metadata.name")
}

/// The time since the one at a path; `<unknown>` if there is none.
pub(super) fn since(object: &Value, path: &str, now: Timestamp) -> String {
    match time::parse(text(object, path)) {
        Ok(then) => time::human_age(then, now),
        Err(_) => UNKNOWN.to_owned(),
    }
}

pub(super) fn age(object: &Value, now: Timestamp) -> String {
    since(object, "metadata.creationTimestamp", now)
}

/// Name and age: all that some kinds have to show.
pub(super) fn name_and_age(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![json!(name(object)), json!(age(object, now))]
}

/// The cells of kinds without a printer: the name, and when it was created.
pub(super) fn default(object: &Value) -> Vec<Value> {
    vec![json!(name(object)), get(object, "metadata.creationTimestamp").clone()]
}

/// `a=1,b=2` of the map at a path.
pub(super) fn labels(object: &Value, path: &str) -> String {
    match map(object, path) {
        Some(labels) => {
            let pairs: Vec<String> =
                labels.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
            pairs.join(",")
        }
        None => NONE.to_owned(),
    }
}

/// The string form of the label selector at a path.
pub(super) fn selector(object: &Value, path: &str) -> String {
    match LabelSelector::from_value(get(object, path)) {
        Ok(selector) if selector.requirements().is_empty() => NONE.to_owned(),
        Ok(selector) => selector.to_string(),
        Err(_) => "<error>".to_owned(),
    }
}

/// The names and the images of the containers of a pod's spec at a path.
pub(super) fn containers(object: &Value, path: &str) -> [Value; 2] {
    let containers = list(object, &format!("{path}.containers"));
    let joined = |field: &str| {
        let texts: Vec<&str> = containers.iter().map(|c| text(c, field)).collect();
        json!(texts.join(","))
    };
    [joined("name"), joined("image")]
}

/// `True`, `False`, or `<unset>`: a pointer to a boolean, as Kubernetes prints it.
pub(super) fn optional_flag(value: &Value) -> &'static str {
    match value.as_bool() {
        Some(true) => "True",
        Some(false) => "False",
        None => UNSET,
    }
}
