//! The spec of a persistent volume claim, in claims and in templates of claims.

use cox_objects::{FieldError, Path, name};
use serde_json::Value;

use super::check::{self, Errors};
use super::read::Read;
use super::{meta, resources, selector};

/// What claims and volumes may ask for.
pub(crate) const ACCESS_MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

/// `volumeClaimTemplate` of an ephemeral volume: labels, annotations and a spec.
pub(crate) fn template(errors: &mut Errors, template: &Value, path: &Path) {
    let metadata = template.at("metadata");
    let at = path.child("metadata");
    check::labels(errors, &at.child("labels"), metadata.at("labels"));
    meta::annotations(errors, metadata.at("annotations"), &at.child("annotations"));
    spec(errors, template.at("spec"), &path.child("spec"));
}

/// The spec of a claim.
pub(crate) fn spec(errors: &mut Errors, spec: &Value, path: &Path) {
    let modes = spec.texts("accessModes");
    let at = path.child("accessModes");
    if modes.is_empty() {
        errors.push(FieldError::required(&at, "at least 1 access mode is required"));
    }
    if spec.has("selector") {
        selector::labels(errors, spec.at("selector"), &path.child("selector"));
    }
    access_modes(errors, &modes, &at);
    storage(errors, spec, path);
    if let Some(class) = spec.at("storageClassName").as_str().filter(|c| !c.is_empty()) {
        check::dns_subdomain(errors, &path.child("storageClassName"), class);
    }
    if spec.has("volumeMode") {
        volume_mode(errors, spec.text("volumeMode"), &path.child("volumeMode"));
    }
    data_source(errors, spec, path);
    if let Some(class) = spec.at("volumeAttributesClassName").as_str().filter(|c| !c.is_empty()) {
        check::dns_subdomain(errors, &path.child("volumeAttributesClassName"), class);
    }
}

/// The access modes of a claim or a volume.
pub(crate) fn access_modes(errors: &mut Errors, modes: &[&str], path: &Path) {
    for mode in modes {
        check::one_of(errors, path, mode, &ACCESS_MODES);
    }
    if modes.len() > 1 && modes.contains(&"ReadWriteOncePod") {
        let detail = "may not use ReadWriteOncePod with other access modes";
        errors.push(FieldError::forbidden(path, detail));
    }
}

/// `Block` or `Filesystem`
pub(crate) fn volume_mode(errors: &mut Errors, mode: &str, path: &Path) {
    check::one_of(errors, path, mode, &["Block", "Filesystem"]);
}

fn storage(errors: &mut Errors, spec: &Value, path: &Path) {
    let at = path.child("resources");
    let requests = spec.at("resources").at("requests");
    match requests.get("storage") {
        None => errors.push(FieldError::required(&at.key("storage"), "")),
        Some(size) => positive(errors, size, &at.key("storage")),
    }
}

/// A size must be above zero.
pub(crate) fn positive(errors: &mut Errors, size: &Value, path: &Path) {
    if !resources::compare(size, &Value::from("0")).is_gt() {
        let shown = size.as_str().unwrap_or_default();
        errors.push(FieldError::invalid(path, shown, "must be greater than zero"));
    }
}

fn data_source(errors: &mut Errors, spec: &Value, path: &Path) {
    for field in ["dataSource", "dataSourceRef"] {
        let source = spec.at(field);
        if source.is_null() {
            continue;
        }
        let at = path.child(field);
        check::required(errors, &at.child("name"), source.text("name"));
        check::required(errors, &at.child("kind"), source.text("kind"));
        let group = source.text("apiGroup");
        if group.is_empty() && source.text("kind") != "PersistentVolumeClaim" {
            let detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
            errors.push(FieldError::invalid(&at, source.text("kind"), detail));
        }
        if !group.is_empty() {
            check::dns_subdomain(errors, &at.child("apiGroup"), group);
        }
    }
}

/// What is wrong with the name of a CSI driver.
pub(crate) fn driver_name(driver: &str) -> Vec<String> {
    let mut found = Vec::new();
    if driver.len() > 63 {
        found.push("must be no more than 63 characters".to_owned());
    }
    found.extend(name::is_dns1123_subdomain(&driver.to_lowercase()));
    found
}
