//! Values as Kubernetes prints them in errors: Go structs as JSON, with the fields in the struct's order.

use std::net::IpAddr;

use cox_objects::Path;
use serde_json::Value;

use super::check;

/// A struct printed as its JSON form would be: `fields` in this order, absent ones left out, unknown ones last.
pub(crate) fn ordered(value: &Value, fields: &[&str]) -> String {
    let Some(object) = value.as_object() else { return value.to_string() };
    let known = fields.iter().filter_map(|f| object.get_key_value(*f));
    let others = object.iter().filter(|(k, _)| !fields.contains(&k.as_str()));
    let members: Vec<String> = known.chain(others).map(|(k, v)| format!("{}:{v}", Value::from(k.as_str()))).collect();
    format!("{{{}}}", members.join(","))
}

/// A struct without JSON names, as Kubernetes' internal types are: each field with its Go name; absent ones as `zero`.
pub(crate) fn internal(value: &Value, fields: &[(&str, &str, &str)]) -> String {
    let members: Vec<String> = fields
        .iter()
        .map(|(go, json, zero)| match value.get(*json).filter(|v| !v.is_null()) {
            Some(set) => format!("{go:?}:{set}"),
            None => format!("{go:?}:{zero}"),
        })
        .collect();
    format!("{{{}}}", members.join(","))
}

/// A list of printed values.
pub(crate) fn list(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join(","))
}

/// A list of texts as Go's `%#v` prints it: `[]string{"a", "b"}`.
pub(crate) fn go_strings(items: &[&str]) -> String {
    let quoted: Vec<String> = items.iter().map(|s| format!("{s:?}")).collect();
    format!("[]string{{{}}}", quoted.join(", "))
}

/// The warning about an address that is not in the form in which everyone else would write it.
pub(crate) fn doubtful_address(path: &Path, text: &str) -> Option<String> {
    let read = check::parse_ip(text)?;
    let (own, plain) = (read.to_string(), text.parse::<IpAddr>());
    match plain {
        Ok(IpAddr::V6(six)) if six.to_ipv4_mapped().is_none() => {
            let canonical = six.to_string();
            (canonical != text).then(|| {
                format!("{path}: IPv6 address {text:?} should be in RFC 5952 canonical format ({canonical:?})")
            })
        }
        Ok(IpAddr::V4(_)) => None,
        _ => Some(format!(
            "{path}: non-standard IP address {text:?} will be considered invalid in a future Kubernetes release: use {own:?}"
        )),
    }
}

/// A label selector in its struct's order.
pub(crate) fn label_selector(selector: &Value) -> String {
    let mut members = Vec::new();
    if let Some(labels) = selector.get("matchLabels").filter(|v| v.as_object().is_some_and(|m| !m.is_empty())) {
        members.push(format!("\"matchLabels\":{labels}"));
    }
    if let Some(rules) = selector.get("matchExpressions").and_then(Value::as_array).filter(|r| !r.is_empty()) {
        let rules = list(rules.iter().map(|r| ordered(r, &["key", "operator", "values"])));
        members.push(format!("\"matchExpressions\":{rules}"));
    }
    format!("{{{}}}", members.join(","))
}
