//! Checks that many kinds share: numbers, enumerations, names, addresses, immutability.

use std::net::IpAddr;

use cox_objects::{FieldError, Path, name};
use serde_json::Value;

use super::read::{Read, same};

/// What was found so far, in the order in which Kubernetes reports it.
pub(crate) type Errors = Vec<FieldError>;

/// Kubernetes' text for a field that may never change.
pub(crate) const IMMUTABLE: &str = "field is immutable";

/// Each of a validator's texts as an error about `value`.
pub(crate) fn texts(errors: &mut Errors, path: &Path, value: &str, found: Vec<String>) {
    errors.extend(found.iter().map(|text| FieldError::invalid(path, value, text)));
}

/// A number that must not be negative.
pub(crate) fn non_negative(errors: &mut Errors, path: &Path, value: Option<i64>) {
    if let Some(value) = value.filter(|v| *v < 0) {
        errors.push(FieldError::invalid(path, value, "must be greater than or equal to 0"));
    }
}

/// A number that must be above zero.
pub(crate) fn positive(errors: &mut Errors, path: &Path, value: i64) {
    if value <= 0 {
        errors.push(FieldError::invalid(path, value, "must be greater than 0"));
    }
}

/// A number between two bounds, both included.
pub(crate) fn in_range(errors: &mut Errors, path: &Path, value: i64, low: i64, high: i64) {
    if value < low || value > high {
        errors.push(FieldError::invalid(path, value, &format!("must be between {low} and {high}, inclusive")));
    }
}

/// A port number.
pub(crate) fn port(errors: &mut Errors, path: &Path, value: i64) {
    in_range(errors, path, value, 1, 65535);
}

/// A text out of a set; the supported ones are printed as given.
pub(crate) fn one_of(errors: &mut Errors, path: &Path, value: &str, supported: &[&str]) {
    if !supported.contains(&value) {
        errors.push(FieldError::not_supported(path, value, supported));
    }
}

/// A text that must be there, and out of a set.
pub(crate) fn required_one_of(errors: &mut Errors, path: &Path, value: &str, supported: &[&str]) {
    if value.is_empty() {
        errors.push(FieldError::required(path, ""));
    } else {
        one_of(errors, path, value, supported);
    }
}

/// A text that must be there.
pub(crate) fn required(errors: &mut Errors, path: &Path, value: &str) {
    if value.is_empty() {
        errors.push(FieldError::required(path, ""));
    }
}

/// A DNS label.
pub(crate) fn dns_label(errors: &mut Errors, path: &Path, value: &str) {
    texts(errors, path, value, name::is_dns1123_label(value));
}

/// A DNS subdomain.
pub(crate) fn dns_subdomain(errors: &mut Errors, path: &Path, value: &str) {
    texts(errors, path, value, name::is_dns1123_subdomain(value));
}

/// A qualified name: a label key, a condition type.
pub(crate) fn qualified_name(errors: &mut Errors, path: &Path, value: &str) {
    texts(errors, path, value, name::is_label_key(value));
}

/// A map of labels, as in `metadata.labels` or a selector.
pub(crate) fn labels(errors: &mut Errors, path: &Path, labels: &Value) {
    let Some(map) = labels.as_object() else { return };
    for (key, value) in map {
        qualified_name(errors, path, key);
        let value = value.as_str().unwrap_or_default();
        texts(errors, path, value, name::is_label_value(value));
    }
}

/// An address, and the text that Kubernetes has when it is none.
pub(crate) fn ip(errors: &mut Errors, path: &Path, value: &str) -> Option<IpAddr> {
    let parsed = parse_ip(value);
    if parsed.is_none() {
        errors.push(FieldError::invalid(path, value, NOT_AN_IP));
    }
    parsed
}

/// Kubernetes' text for what is no address.
pub(crate) const NOT_AN_IP: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";

/// An address as Kubernetes reads it for fields that predate its strict parser: leading zeros in IPv4 are tolerated.
pub(crate) fn parse_ip(text: &str) -> Option<IpAddr> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        // An IPv4-mapped address counts as the IPv4 address.
        return Some(ip.to_canonical());
    }
    let parts: Vec<&str> = text.split('.').collect();
    let digits =
        parts.len() == 4 && parts.iter().all(|p| (1..=3).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_digit()));
    if !digits {
        return None;
    }
    let trimmed: Vec<String> = parts.iter().filter_map(|p| p.parse::<u8>().ok()).map(|n| n.to_string()).collect();
    trimmed.join(".").parse().ok()
}

/// An error if a field changed. Absent and empty are the same.
pub(crate) fn immutable(errors: &mut Errors, path: &Path, new: &Value, old: &Value) {
    if !same(new, old) {
        errors.push(FieldError::invalid_raw(path, &new.to_string(), IMMUTABLE));
    }
}

/// A number or percentage that is not negative, as `maxSurge` has it.
pub(crate) fn int_or_percent(errors: &mut Errors, path: &Path, value: &Value) {
    match value {
        Value::String(text) => {
            if percent(text).is_none() {
                errors.push(FieldError::invalid(path, text.as_str(), PERCENT));
            }
        }
        other => non_negative(errors, path, other.as_i64()),
    }
}

/// A percentage must not be above 100.
pub(crate) fn not_above_100_percent(errors: &mut Errors, path: &Path, value: &Value) {
    if value.as_str().and_then(percent).is_some_and(|p| p > 100) {
        errors.push(FieldError::invalid(path, value.clone(), "must not be greater than 100%"));
    }
}

/// The number of `12%`.
pub(crate) fn percent(text: &str) -> Option<i64> {
    let digits = text.strip_suffix('%')?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

const PERCENT: &str = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', \
                       regex used for validation is '[0-9]+%')";

/// An integer port or a port name.
pub(crate) fn port_or_name(errors: &mut Errors, path: &Path, value: &Value) {
    match value {
        Value::String(text) => texts(errors, path, text, name::is_port_name(text)),
        other => port(errors, path, other.as_i64().unwrap_or(0)),
    }
}

/// A condition's type must be a qualified name; the field is printed with a capital, as Kubernetes does.
pub(crate) fn conditions(errors: &mut Errors, path: &Path, object: &Value) {
    for (i, condition) in object.list("conditions").iter().enumerate() {
        qualified_name(errors, &path.child("conditions").index(i).child("Type"), condition.text("type"));
    }
}
