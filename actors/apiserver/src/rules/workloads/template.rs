//! Pod templates, alone and in controllers.

use cox_objects::{FieldError, Path};
use serde_json::Value;

use super::super::check::{self, Errors};
use super::super::read::{Fill, Read};
use super::super::{meta, pod, print, selector};

/// Defaults of a PodTemplate.
pub(crate) fn defaults(object: &mut Value) {
    pod::defaults::template(object.object("template"));
}

/// A pod template: labels, annotations and a spec.
pub(crate) fn validate(errors: &mut Errors, template: &Value, path: &Path) {
    let metadata = template.at("metadata");
    check::labels(errors, &path.child("labels"), metadata.at("labels"));
    meta::annotations(errors, metadata.at("annotations"), &path.child("annotations"));
    let spec = path.child("spec");
    pod::spec::validate(errors, template.at("spec"), &spec);
    if template.at("spec").filled("ephemeralContainers") {
        let detail = "ephemeral containers not allowed in pod template";
        errors.push(FieldError::forbidden(&spec.child("ephemeralContainers"), detail));
    }
}

/// The selector of a controller: it must be there, be readable, and not select everything.
pub(crate) fn own_selector(errors: &mut Errors, spec: &Value, path: &Path, noun: &str) {
    let own = spec.at("selector");
    if own.is_null() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    selector::labels(errors, own, path);
    if selector::is_empty(own) {
        let detail = format!("empty selector is invalid for {noun}");
        errors.push(FieldError::invalid_raw(path, &print::label_selector(own), &detail));
    }
}

/// The template must make pods that its controller selects.
pub(crate) fn labels_match(errors: &mut Errors, spec: &Value, path: &Path) {
    let labels = spec.at("template").at("metadata").at("labels");
    let own = spec.at("selector");
    // No selector selects nothing, an empty one everything.
    if !own.is_null() && selector::matches(own, labels) {
        return;
    }
    let at = path.child("metadata").child("labels");
    let detail = "`selector` does not match template `labels`";
    errors.push(FieldError::invalid_raw(&at, &labels.to_string(), detail));
}

/// A workload's selector stays as it was made.
pub(super) fn same_selector(errors: &mut Errors, object: &Value, old: &Value) {
    let path = Path::new("spec").child("selector");
    check::immutable(errors, &path, object.at("spec").at("selector"), old.at("spec").at("selector"));
}

/// What a controller that keeps pods running asks of its template.
pub(crate) fn always_restarts(errors: &mut Errors, spec: &Value, path: &Path, noun: &str) {
    let template = spec.at("template").at("spec");
    let at = path.child("spec");
    let policy = template.text("restartPolicy");
    if policy != "Always" {
        errors.push(FieldError::not_supported(&at.child("restartPolicy"), policy, &["Always"]));
    }
    if template.has("activeDeadlineSeconds") {
        let detail = format!("activeDeadlineSeconds in {noun} is not Supported");
        errors.push(FieldError::forbidden(&at.child("activeDeadlineSeconds"), &detail));
    }
}
