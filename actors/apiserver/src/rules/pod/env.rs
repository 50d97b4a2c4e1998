//! Environment variables and where they come from; also the field references that volumes use.

use cox_objects::{FieldError, Path, name};
use serde_json::Value;

use super::super::check::{self, Errors};
use super::super::read::Read;
use super::super::resources;

const TWO_SOURCES: &str = "may not have more than one field specified at a time";

/// The fields of a pod that an environment variable may hold.
pub(super) const ENV_FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// The fields of a pod that a file may hold.
pub(super) const FILE_FIELDS: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

const KNOWN_FIELDS: [&str; 14] = [
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.serviceAccountName",
    "spec.schedulerName",
    "status.phase",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// `env`
pub(super) fn variables(errors: &mut Errors, container: &Value, path: &Path) {
    for (i, variable) in container.list("env").iter().enumerate() {
        let at = path.index(i);
        let own = variable.text("name");
        if own.is_empty() {
            errors.push(FieldError::required(&at.child("name"), ""));
        } else {
            check::texts(errors, &at.child("name"), own, name::is_env_var_name_relaxed(own));
        }
        if variable.has("valueFrom") {
            value_from(errors, variable, &at.child("valueFrom"));
        }
    }
}

fn value_from(errors: &mut Errors, variable: &Value, path: &Path) {
    let source = variable.at("valueFrom");
    let mut sources = 0;
    if source.has("fieldRef") {
        sources += 1;
        field_ref(errors, source.at("fieldRef"), &ENV_FIELDS, &path.child("fieldRef"));
    }
    if source.has("resourceFieldRef") {
        sources += 1;
        resource_ref(errors, source.at("resourceFieldRef"), &path.child("resourceFieldRef"), false);
    }
    for field in ["configMapKeyRef", "secretKeyRef"] {
        if source.has(field) {
            sources += 1;
            key_ref(errors, source.at(field), &path.child(field));
        }
    }
    if source.has("fileKeyRef") {
        sources += 1;
        file_ref(errors, source.at("fileKeyRef"), &path.child("fileKeyRef"));
    }
    if sources == 0 {
        let detail =
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`";
        errors.push(FieldError::invalid(path, "", detail));
    }
    if variable.filled("value") {
        if sources != 0 {
            errors.push(FieldError::invalid(path, "", "may not be specified when `value` is not empty"));
        }
    } else if sources > 1 {
        errors.push(FieldError::invalid(path, "", TWO_SOURCES));
    }
}

/// A reference to a field of the pod, out of those that `supported` lists.
pub(super) fn field_ref(errors: &mut Errors, reference: &Value, supported: &[&str], path: &Path) {
    let version = reference.text("apiVersion");
    let field = reference.text("fieldPath");
    if version.is_empty() {
        errors.push(FieldError::required(&path.child("apiVersion"), ""));
        return;
    }
    let at = path.child("fieldPath");
    if field.is_empty() {
        errors.push(FieldError::required(&at, ""));
        return;
    }
    let invalid = |why: String| FieldError::invalid(&at, field, &format!("error converting fieldPath: {why}"));
    if version != "v1" {
        errors.push(invalid(format!("unsupported pod version: {version}")));
        return;
    }
    if let Some((map, key)) = subscript(field) {
        match map {
            "metadata.annotations" => check::texts(errors, path, key, name::is_label_key(&key.to_lowercase())),
            "metadata.labels" => check::texts(errors, path, key, name::is_label_key(key)),
            _ => errors.push(invalid(format!("field label does not support subscript: {field}"))),
        }
        return;
    }
    let field = if field == "spec.host" { "spec.nodeName" } else { field };
    if !KNOWN_FIELDS.contains(&field) {
        errors.push(invalid(format!("field label not supported: {field}")));
    } else if !supported.contains(&field) {
        errors.push(FieldError::not_supported(&at, field, supported));
    }
}

/// The parts of `metadata.labels['key']`.
fn subscript(field: &str) -> Option<(&str, &str)> {
    let (map, rest) = field.split_once("['")?;
    Some((map, rest.strip_suffix("']")?))
}

/// A reference to a container's resource; a volume must say which container's.
pub(super) fn resource_ref(errors: &mut Errors, reference: &Value, path: &Path, volume: bool) {
    const SUPPORTED: [&str; 6] = [
        "limits.cpu",
        "limits.ephemeral-storage",
        "limits.memory",
        "requests.cpu",
        "requests.ephemeral-storage",
        "requests.memory",
    ];
    let resource = reference.text("resource");
    if volume && !reference.filled("containerName") {
        errors.push(FieldError::required(&path.child("containerName"), ""));
    } else if resource.is_empty() {
        errors.push(FieldError::required(&path.child("resource"), ""));
    } else {
        let huge = resource.starts_with("limits.hugepages-") || resource.starts_with("requests.hugepages-");
        if !huge && !SUPPORTED.contains(&resource) {
            errors.push(FieldError::not_supported(&path.child("resource"), resource, &SUPPORTED));
        }
    }
    divisor(errors, resource, reference.text("divisor"), path);
}

fn divisor(errors: &mut Errors, resource: &str, divisor: &str, path: &Path) {
    const BYTES: [&str; 13] = ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];
    if divisor.is_empty() || resources::is_zero(divisor) {
        return;
    }
    let kind = resource.split_once('.').map_or("", |(_, kind)| kind);
    let (allowed, what): (&[&str], &str) = match kind {
        "cpu" => (&["1m", "1"], "cpu resource"),
        "memory" => (&BYTES, "memory resource"),
        "ephemeral-storage" => (&BYTES, "local ephemeral storage resource"),
        kind if kind.starts_with("hugepages-") => (&BYTES, "hugepages resource"),
        _ => return,
    };
    if !allowed.contains(&divisor) {
        let list = if kind == "cpu" { "1m and 1".to_owned() } else { allowed.join(", ") };
        let detail = format!("only divisor's values {list} are supported with the {what}");
        errors.push(FieldError::invalid(&path.child("divisor"), resource, &detail));
    }
}

fn key_ref(errors: &mut Errors, reference: &Value, path: &Path) {
    check::dns_subdomain(errors, &path.child("name"), reference.text("name"));
    let key = reference.text("key");
    if key.is_empty() {
        errors.push(FieldError::required(&path.child("key"), ""));
    } else {
        check::texts(errors, &path.child("key"), key, name::is_config_key(key));
    }
}

fn file_ref(errors: &mut Errors, reference: &Value, path: &Path) {
    let key = reference.text("key");
    if key.is_empty() {
        errors.push(FieldError::required(&path.child("key"), ""));
    } else {
        check::texts(errors, &path.child("key"), key, name::is_env_var_name_relaxed(key));
    }
    check::required(errors, &path.child("volumeName"), reference.text("volumeName"));
    check::required(errors, &path.child("path"), reference.text("path"));
    if reference.filled("path") {
        super::volumes::local_path(errors, &path.child("path"), reference.text("path"));
    }
}

/// `envFrom`
pub(super) fn sources(errors: &mut Errors, container: &Value, path: &Path) {
    for (i, source) in container.list("envFrom").iter().enumerate() {
        let at = path.index(i);
        let prefix = source.text("prefix");
        if !prefix.is_empty() {
            check::texts(errors, &at.child("prefix"), prefix, name::is_env_var_name_relaxed(prefix));
        }
        let mut sources = 0;
        for field in ["configMapRef", "secretRef"] {
            if !source.has(field) {
                continue;
            }
            sources += 1;
            let name_at = at.child(field).child("name");
            match source.at(field).text("name") {
                "" => errors.push(FieldError::required(&name_at, "")),
                own => check::dns_subdomain(errors, &name_at, own),
            }
        }
        match sources {
            0 => errors.push(FieldError::invalid(path, "", "must specify one of: `configMapRef` or `secretRef`")),
            1 => {}
            _ => errors.push(FieldError::invalid(path, "", TWO_SOURCES)),
        }
    }
}
