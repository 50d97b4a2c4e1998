//! Events, in their core form and in that of `events.k8s.io`, which is stricter.

use cox_objects::{FieldError, Path};
use serde_json::Value;

use super::check::{self, Errors};
use super::read::{Read, same};

const TEXT_LIMIT: usize = 128;
const MESSAGE_LIMIT: usize = 1024;

/// The field names of the two forms.
struct Form {
    about: &'static str,
    controller: &'static str,
    message: &'static str,
}

const CORE: Form = Form { about: "involvedObject", controller: "reportingComponent", message: "message" };
const NEW: Form = Form { about: "regarding", controller: "reportingController", message: "note" };

/// A new Event of the core group, or (`strict`) of `events.k8s.io`.
pub(crate) fn validate(errors: &mut Errors, object: &Value, strict: bool) {
    let form = if strict { &NEW } else { &CORE };
    common(errors, object, form);
    if !strict {
        return;
    }
    if !object.filled("eventTime") {
        errors.push(FieldError::required(&Path::new("eventTime"), ""));
    }
    let kind = object.text("type");
    if !["Normal", "Warning"].contains(&kind) {
        errors.push(FieldError::invalid(&Path::new("type"), "", &format!("has invalid value: {kind}")));
    }
    for (field, shown) in [
        ("deprecatedFirstTimestamp", "firstTimestamp"),
        ("deprecatedLastTimestamp", "lastTimestamp"),
        ("deprecatedCount", "count"),
        ("deprecatedSource", "source"),
    ] {
        let set = object.int(field).map_or_else(|| object.filled(field), |count| count != 0);
        if set {
            errors.push(FieldError::invalid(&Path::new(shown), "", "needs to be unset"));
        }
    }
}

fn common(errors: &mut Errors, object: &Value, form: &Form) {
    let namespace = object.at("metadata").text("namespace");
    let about = object.at(form.about).text("namespace");
    // Old clients send no eventTime, and are not held to more than the namespace.
    let old = !object.filled("eventTime");
    let fits = match (about.is_empty(), old) {
        (true, true) => ["", "default"].contains(&namespace),
        (true, false) => ["default", "kube-system"].contains(&namespace),
        (false, true) => namespace == about,
        (false, false) => true,
    };
    if !fits {
        let at = Path::new("involvedObject").child("namespace");
        errors.push(FieldError::invalid(&at, about, "does not match event.namespace"));
    }
    if old {
        return;
    }
    let controller = object.text(form.controller);
    let at = Path::new(form.controller);
    check::required(errors, &at, controller);
    check::qualified_name(errors, &at, controller);
    for field in ["reportingInstance", "action", "reason"] {
        check::required(errors, &Path::new(field), object.text(field));
        limit(errors, field, object.text(field), TEXT_LIMIT);
    }
    limit(errors, "message", object.text(form.message), MESSAGE_LIMIT);
}

fn limit(errors: &mut Errors, field: &str, text: &str, most: usize) {
    if text.len() > most {
        errors.push(FieldError::invalid(&Path::new(field), "", &format!("can have at most {most} characters")));
    }
}

/// An update: of an `events.k8s.io` Event only the series may change.
pub(crate) fn validate_update(errors: &mut Errors, object: &Value, old: &Value, strict: bool) {
    common(errors, object, if strict { &NEW } else { &CORE });
    if !strict {
        return;
    }
    for field in [
        "regarding",
        "reason",
        "note",
        "deprecatedSource",
        "deprecatedFirstTimestamp",
        "deprecatedLastTimestamp",
        "deprecatedCount",
        "action",
        "related",
        "reportingController",
        "reportingInstance",
        "type",
        "eventTime",
    ] {
        if !same(object.at(field), old.at(field)) {
            let shown = match field {
                "regarding" => "involvedObject",
                "note" => "message",
                other => other,
            };
            check::immutable(errors, &Path::new(shown), object.at(field), old.at(field));
        }
    }
}
