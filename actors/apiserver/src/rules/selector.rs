//! Label selectors inside objects.

use cox_objects::{FieldError, Path, name};
use serde_json::Value;

use super::check::{self, Errors};
use super::read::Read;

/// A LabelSelector.
pub(crate) fn labels(errors: &mut Errors, selector: &Value, path: &Path) {
    check::labels(errors, &path.child("matchLabels"), selector.at("matchLabels"));
    for (i, rule) in selector.list("matchExpressions").iter().enumerate() {
        requirement(errors, rule, &path.child("matchExpressions").index(i));
    }
}

fn requirement(errors: &mut Errors, rule: &Value, path: &Path) {
    let at = path.child("values");
    match rule.text("operator") {
        "In" | "NotIn" => {
            if rule.list("values").is_empty() {
                errors.push(FieldError::required(&at, "must be specified when `operator` is 'In' or 'NotIn'"));
            }
        }
        "Exists" | "DoesNotExist" => {
            if !rule.list("values").is_empty() {
                let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                errors.push(FieldError::forbidden(&at, detail));
            }
        }
        other => errors.push(FieldError::invalid(&path.child("operator"), other, "not a valid selector operator")),
    }
    check::qualified_name(errors, &path.child("key"), rule.text("key"));
    for (i, value) in rule.texts("values").into_iter().enumerate() {
        check::texts(errors, &at.index(i), value, name::is_label_value(value));
    }
}

/// Whether a selector has no rule.
pub(crate) fn is_empty(selector: &Value) -> bool {
    !selector.filled("matchLabels") && !selector.filled("matchExpressions")
}

/// Whether Go's parser of selectors takes it: operators it knows, values where they belong.
pub(crate) fn is_parsable(selector: &Value) -> bool {
    let mut errors = Vec::new();
    labels(&mut errors, selector, &Path::new("selector"));
    errors.is_empty()
}

/// Whether labels satisfy the selector; an empty one is satisfied by all.
pub(crate) fn matches(selector: &Value, labels: &Value) -> bool {
    let equal = selector.entries("matchLabels").all(|(key, value)| labels.get(key) == Some(value));
    equal
        && selector.list("matchExpressions").iter().all(|rule| {
            let own = labels.get(rule.text("key")).and_then(Value::as_str);
            let among = own.is_some_and(|own| rule.texts("values").contains(&own));
            match rule.text("operator") {
                "In" => among,
                "NotIn" => !among,
                "Exists" => own.is_some(),
                "DoesNotExist" => own.is_none(),
                _ => false,
            }
        })
}
