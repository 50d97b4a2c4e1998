//! Security contexts of pods and containers.

use std::collections::BTreeSet;

use cox_objects::{FieldError, Path};
use serde_json::Value;

use super::super::check::{self, Errors};
use super::super::print;
use super::super::read::Read;
use super::{containers, volumes};

/// The longest AppArmor profile name, in bytes.
const APPARMOR_LIMIT: usize = 4095;

/// `spec.securityContext`, with what depends on the pod's host namespaces.
pub(super) fn pod(errors: &mut Errors, spec: &Value, path: &Path) {
    let context = spec.at("securityContext");
    let at = path.child("securityContext");
    if spec.flag("hostNetwork") {
        containers::host_network_ports(errors, spec, &path.child("containers"));
    }
    for field in ["fsGroup", "runAsUser", "runAsGroup"] {
        id(errors, context.int(field), &at.child(field));
    }
    for (i, group) in context.list("supplementalGroups").iter().enumerate() {
        id(errors, group.as_i64(), &at.child("supplementalGroups").index(i));
    }
    if context.has("supplementalGroupsPolicy") {
        let policy = context.text("supplementalGroupsPolicy");
        check::one_of(errors, &at.child("supplementalGroupsPolicy"), policy, &["Merge", "Strict"]);
    }
    if spec.flag("shareProcessNamespace") && spec.flag("hostPID") {
        let detail = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.push(FieldError::invalid(&at.child("shareProcessNamespace"), true, detail));
    }
    sysctls(errors, spec, context, &at.child("sysctls"));
    if context.has("fsGroupChangePolicy") {
        let policy = context.text("fsGroupChangePolicy");
        check::one_of(errors, &at.child("fsGroupChangePolicy"), policy, &["Always", "OnRootMismatch"]);
    }
    if context.has("seLinuxChangePolicy") {
        let policy = context.text("seLinuxChangePolicy");
        check::one_of(errors, &at.child("seLinuxChangePolicy"), policy, &["MountOption", "Recursive"]);
    }
    seccomp(errors, context, &at.child("seccompProfile"));
    apparmor(errors, context, &at.child("appArmorProfile"));
}

/// `containers[*].securityContext`
pub(super) fn container(errors: &mut Errors, context: &Value, path: &Path) {
    for field in ["runAsUser", "runAsGroup"] {
        id(errors, context.int(field), &path.child(field));
    }
    if context.has("procMount") {
        check::one_of(errors, &path.child("procMount"), context.text("procMount"), &["Default", "Unmasked"]);
    }
    seccomp(errors, context, &path.child("seccompProfile"));
    if context.at("allowPrivilegeEscalation").as_bool() == Some(false) {
        if context.flag("privileged") {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            errors.push(FieldError::invalid_raw(path, &printed(context), detail));
        }
        for _ in context.at("capabilities").texts("add").iter().filter(|c| **c == "CAP_SYS_ADMIN") {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            errors.push(FieldError::invalid_raw(path, &printed(context), detail));
        }
    }
    apparmor(errors, context, &path.child("appArmorProfile"));
}

fn id(errors: &mut Errors, value: Option<i64>, path: &Path) {
    if let Some(value) = value {
        check::in_range(errors, path, value, 0, i64::from(i32::MAX));
    }
}

fn printed(context: &Value) -> String {
    let mut shown = context.clone();
    if let Some(capabilities) = shown.get_mut("capabilities").filter(|c| !c.is_null()) {
        let text = print::internal(capabilities, &[("Add", "add", "null"), ("Drop", "drop", "null")]);
        *capabilities = serde_json::from_str(&text).unwrap_or(Value::Null);
    }
    print::internal(
        &shown,
        &[
            ("Capabilities", "capabilities", "null"),
            ("Privileged", "privileged", "null"),
            ("SELinuxOptions", "seLinuxOptions", "null"),
            ("WindowsOptions", "windowsOptions", "null"),
            ("RunAsUser", "runAsUser", "null"),
            ("RunAsGroup", "runAsGroup", "null"),
            ("RunAsNonRoot", "runAsNonRoot", "null"),
            ("ReadOnlyRootFilesystem", "readOnlyRootFilesystem", "null"),
            ("AllowPrivilegeEscalation", "allowPrivilegeEscalation", "null"),
            ("ProcMount", "procMount", "null"),
            ("SeccompProfile", "seccompProfile", "null"),
            ("AppArmorProfile", "appArmorProfile", "null"),
        ],
    )
}

fn sysctls(errors: &mut Errors, spec: &Value, context: &Value, path: &Path) {
    const SYSCTL: &str = r"must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
    let mut names = BTreeSet::new();
    for (i, sysctl) in context.list("sysctls").iter().enumerate() {
        let at = path.index(i).child("name");
        let own = sysctl.text("name");
        if own.is_empty() {
            errors.push(FieldError::required(&at, ""));
        } else if !is_sysctl(own) {
            errors.push(FieldError::invalid(&at, own, SYSCTL));
        } else if !names.insert(own) {
            errors.push(FieldError::duplicate(&at, own));
        }
        let dotted = own.replace('/', ".");
        let ipc = ["kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue."].iter().any(|p| dotted.starts_with(p));
        if spec.flag("hostNetwork") && dotted.starts_with("net.") {
            errors.push(FieldError::invalid(&at, own, "may not be specified when 'hostNetwork' is true"));
        }
        if spec.flag("hostIPC") && ipc {
            errors.push(FieldError::invalid(&at, own, "may not be specified when 'hostIPC' is true"));
        }
    }
}

/// Segments of lower case letters, digits, `-` and `_` that neither begin nor end with a mark, separated by `.` or `/`.
fn is_sysctl(name: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    name.len() <= 253
        && name
            .split(['.', '/'])
            .all(|part| edge(part.chars().next()) && edge(part.chars().last()) && part.chars().all(inner))
}

fn seccomp(errors: &mut Errors, context: &Value, path: &Path) {
    let profile = context.at("seccompProfile");
    if profile.is_null() {
        return;
    }
    let kind = profile.text("type");
    if kind.is_empty() {
        errors.push(FieldError::required(&path.child("type"), "type is required when seccompProfile is set"));
    } else {
        check::one_of(errors, &path.child("type"), kind, &["Localhost", "RuntimeDefault", "Unconfined"]);
    }
    let at = path.child("localhostProfile");
    match (kind, profile.has("localhostProfile")) {
        ("Localhost", false) => errors.push(FieldError::required(&at, "must be set when seccomp type is Localhost")),
        ("Localhost", true) => volumes::descending_path(errors, &at, profile.text("localhostProfile")),
        (_, true) => {
            let fields = [("Type", "type", "\"\""), ("LocalhostProfile", "localhostProfile", "null")];
            let shown = print::internal(profile, &fields);
            errors.push(FieldError::invalid_raw(&at, &shown, "can only be set when seccomp type is Localhost"));
        }
        (_, false) => {}
    }
}

fn apparmor(errors: &mut Errors, context: &Value, path: &Path) {
    const NEEDED: &str = "must be set when AppArmor type is Localhost";
    let profile = context.at("appArmorProfile");
    if profile.is_null() {
        return;
    }
    let at = path.child("localhostProfile");
    let local = profile.at("localhostProfile").as_str();
    match profile.text("type") {
        "Localhost" => match local {
            None => errors.push(FieldError::required(&at, NEEDED)),
            Some(own) if own.trim() != own => {
                errors.push(FieldError::invalid(&at, own, "must not be padded with whitespace"));
            }
            Some("") => errors.push(FieldError::required(&at, NEEDED)),
            Some(own) if own.len() > APPARMOR_LIMIT => errors.push(FieldError::too_long(&at, APPARMOR_LIMIT)),
            Some(_) => {}
        },
        "RuntimeDefault" | "Unconfined" => {
            if let Some(own) = local {
                errors.push(FieldError::invalid(&at, own, "can only be set when AppArmor type is Localhost"));
            }
        }
        "" => errors.push(FieldError::required(&path.child("type"), "type is required when appArmorProfile is set")),
        other => {
            let supported = ["Localhost", "RuntimeDefault", "Unconfined"];
            errors.push(FieldError::not_supported(&path.child("type"), other, &supported));
        }
    }
}
