//! The pod's operating system, and what pods of the one or the other may not set.

use cox_objects::{FieldError, Path};
use serde_json::Value;

use super::super::check::Errors;
use super::super::read::Read;

/// `spec.os` and the fields that it rules out.
pub(super) fn validate(errors: &mut Errors, spec: &Value, path: &Path) {
    if !spec.has("os") {
        return;
    }
    let at = path.child("os");
    match spec.at("os").text("name") {
        "" => errors.push(FieldError::required(&at.child("name"), "cannot be empty")),
        "linux" => linux(errors, spec, path),
        "windows" => windows(errors, spec, path),
        other => errors.push(FieldError::not_supported(&at, other, &["linux", "windows"])),
    }
}

fn linux(errors: &mut Errors, spec: &Value, path: &Path) {
    const DETAIL: &str = "windows options cannot be set for a linux pod";
    if spec.at("securityContext").has("windowsOptions") {
        errors.push(FieldError::forbidden(&path.child("securityContext").child("windowsOptions"), DETAIL));
    }
    each_context(spec, path, &mut |context, at| {
        if context.has("windowsOptions") {
            errors.push(FieldError::forbidden(&at.child("windowsOptions"), DETAIL));
        }
    });
}

fn windows(errors: &mut Errors, spec: &Value, path: &Path) {
    const DETAIL: &str = "cannot be set for a windows pod";
    let context = spec.at("securityContext");
    let at = path.child("securityContext");
    for field in ["appArmorProfile", "seLinuxOptions"] {
        if context.has(field) {
            errors.push(FieldError::forbidden(&at.child(field), DETAIL));
        }
    }
    for field in ["hostUsers", "hostPID", "hostIPC"] {
        // hostUsers: true is as little possible as false.
        if spec.flag(field) || (field == "hostUsers" && spec.has(field)) {
            errors.push(FieldError::forbidden(&path.child(field), DETAIL));
        }
    }
    let fields = [
        "seccompProfile",
        "fsGroup",
        "fsGroupChangePolicy",
        "seLinuxChangePolicy",
        "sysctls",
        "runAsUser",
        "runAsGroup",
        "supplementalGroups",
        "supplementalGroupsPolicy",
    ];
    if spec.flag("shareProcessNamespace") {
        errors.push(FieldError::forbidden(&path.child("shareProcessNamespace"), DETAIL));
    }
    for field in fields {
        if context.filled(field) {
            errors.push(FieldError::forbidden(&at.child(field), DETAIL));
        }
    }
    each_context(spec, path, &mut |context, at| {
        let fields = [
            "appArmorProfile",
            "seLinuxOptions",
            "seccompProfile",
            "capabilities",
            "readOnlyRootFilesystem",
            "privileged",
            "allowPrivilegeEscalation",
            "procMount",
            "runAsUser",
            "runAsGroup",
        ];
        for field in fields {
            if context.has(field) {
                errors.push(FieldError::forbidden(&at.child(field), DETAIL));
            }
        }
    });
}

fn each_context(spec: &Value, path: &Path, visit: &mut dyn FnMut(&Value, &Path)) {
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for (i, container) in spec.list(list).iter().enumerate() {
            let context = container.at("securityContext");
            if !context.is_null() {
                visit(context, &path.child(list).index(i).child("securityContext"));
            }
        }
    }
}
