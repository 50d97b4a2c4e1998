//! The volumes of a pod.

mod projected;

use std::collections::BTreeMap;

use cox_objects::{FieldError, Path, name};
use serde_json::Value;

use super::super::check::{self, Errors};
use super::super::claim;
use super::super::read::Read;
use super::super::resources;
use super::{containers, env};

const MODE: &str = "must be a number between 0 and 0777 (octal), both inclusive";

/// The sources that Kubernetes knows, in the order in which it looks at them.
const SOURCES: [&str; 29] = [
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "configMap",
    "azureFile",
    "vsphereVolume",
    "cinder",
    "portworxVolume",
    "photonPersistentDisk",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
];

/// Checks the volumes and returns the valid ones by name: only those can be mounted.
pub(super) fn validate<'a>(errors: &mut Errors, volumes: &'a [Value], path: &Path) -> BTreeMap<&'a str, &'a Value> {
    let mut valid = BTreeMap::new();
    for (i, volume) in volumes.iter().enumerate() {
        let at = path.index(i);
        let own = volume.text("name");
        let before = errors.len();
        source(errors, volume, &at);
        if own.is_empty() {
            errors.push(FieldError::required(&at.child("name"), ""));
        } else {
            check::dns_label(errors, &at.child("name"), own);
        }
        if valid.contains_key(own) {
            errors.push(FieldError::duplicate(&at.child("name"), own));
        }
        if errors.len() == before {
            valid.insert(own, volume);
        }
    }
    valid
}

fn source(errors: &mut Errors, volume: &Value, path: &Path) {
    let mut found = 0;
    for field in SOURCES.iter().filter(|f| volume.has(f)) {
        let at = path.child(field);
        if found > 0 {
            errors.push(FieldError::forbidden(&at, "may not specify more than 1 volume type"));
        } else {
            one(errors, field, volume.at(field), &at);
        }
        found += 1;
    }
    if found == 0 {
        errors.push(FieldError::required(path, "must specify a volume type"));
    }
}

/// One source of a volume.
pub(crate) fn one(errors: &mut Errors, kind: &str, source: &Value, path: &Path) {
    match kind {
        "emptyDir" => {
            if resources::is_negative(source.text("sizeLimit")) {
                let detail = "SizeLimit field must be a valid resource quantity";
                errors.push(FieldError::forbidden(&path.child("sizeLimit"), detail));
            }
        }
        "hostPath" => host_path(errors, source, path),
        "secret" => files(errors, source, "secretName", path),
        "configMap" => files(errors, source, "name", path),
        "nfs" => {
            check::required(errors, &path.child("server"), source.text("server"));
            check::required(errors, &path.child("path"), source.text("path"));
            let own = source.text("path");
            if !own.is_empty() && !own.starts_with('/') {
                errors.push(FieldError::invalid(&path.child("path"), own, "must be an absolute path"));
            }
        }
        "downwardAPI" => {
            mode(errors, source.int("defaultMode"), &path.child("defaultMode"));
            for item in source.list("items") {
                downward_file(errors, item, path);
            }
        }
        "projected" => projected::validate(errors, source, path),
        "csi" => {
            match source.text("driver") {
                "" => errors.push(FieldError::required(&path.child("driver"), "")),
                driver => check::texts(errors, &path.child("driver"), driver, claim::driver_name(driver)),
            }
            if source.has("nodePublishSecretRef") && !source.at("nodePublishSecretRef").filled("name") {
                errors.push(FieldError::required(&path.child("nodePublishSecretRef").child("name"), ""));
            }
        }
        "ephemeral" => {
            let template = source.at("volumeClaimTemplate");
            if template.is_null() {
                errors.push(FieldError::required(&path.child("volumeClaimTemplate"), ""));
            } else {
                claim::template(errors, template, &path.child("volumeClaimTemplate"));
            }
        }
        "image" => {
            check::required(errors, &path.child("reference"), source.text("reference"));
            if source.filled("pullPolicy") {
                containers::pull_policy(errors, &path.child("pullPolicy"), source.text("pullPolicy"));
            }
        }
        "iscsi" => iscsi(errors, source, path),
        other => required_fields(errors, other, source, path),
    }
}

/// What the drivers that live on as CSI drivers still ask for.
fn required_fields(errors: &mut Errors, kind: &str, source: &Value, path: &Path) {
    let fields: &[&str] = match kind {
        "gitRepo" => &["repository"],
        "gcePersistentDisk" => &["pdName"],
        "awsElasticBlockStore" | "cinder" | "portworxVolume" => &["volumeID"],
        "persistentVolumeClaim" => &["claimName"],
        "glusterfs" => &["endpoints", "path"],
        "quobyte" => &["registry", "volume"],
        "azureFile" => &["secretName", "shareName"],
        "vsphereVolume" => &["volumePath"],
        "photonPersistentDisk" => &["pdID"],
        "azureDisk" => &["diskName", "diskURI"],
        "scaleIO" => &["gateway", "system", "volumeName"],
        "rbd" | "cephfs" => {
            if !source.filled("monitors") {
                errors.push(FieldError::required(&path.child("monitors"), ""));
            }
            if kind == "rbd" { &["image"] } else { &[] }
        }
        _ => &[],
    };
    for field in fields {
        check::required(errors, &path.child(field), source.text(field));
    }
}

fn iscsi(errors: &mut Errors, source: &Value, path: &Path) {
    check::required(errors, &path.child("targetPortal"), source.text("targetPortal"));
    let iqn = source.text("iqn");
    if iqn.is_empty() {
        errors.push(FieldError::required(&path.child("iqn"), ""));
    } else if !["iqn", "eui", "naa"].iter().any(|prefix| iqn.starts_with(prefix)) {
        errors.push(FieldError::invalid(
            &path.child("iqn"),
            iqn,
            "must be valid format starting with iqn, eui, or naa",
        ));
    }
    check::in_range(errors, &path.child("lun"), source.int("lun").unwrap_or(0), 0, 255);
    let chap = source.flag("chapAuthDiscovery") || source.flag("chapAuthSession");
    if chap && !source.has("secretRef") {
        errors.push(FieldError::required(&path.child("secretRef"), ""));
    }
}

/// `hostPath` of a pod's or a persistent volume.
pub(crate) fn host_path(errors: &mut Errors, source: &Value, path: &Path) {
    let own = source.text("path");
    if own.is_empty() {
        errors.push(FieldError::required(&path.child("path"), ""));
        return;
    }
    no_backsteps(errors, &path.child("path"), own);
    let kinds = ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
    check::one_of(errors, &path.child("type"), source.text("type"), &kinds);
}

fn files(errors: &mut Errors, source: &Value, name_field: &str, path: &Path) {
    check::required(errors, &path.child(name_field), source.text(name_field));
    mode(errors, source.int("defaultMode"), &path.child("defaultMode"));
    for (i, item) in source.list("items").iter().enumerate() {
        key_to_path(errors, item, &path.child("items").index(i));
    }
}

fn key_to_path(errors: &mut Errors, item: &Value, path: &Path) {
    check::required(errors, &path.child("key"), item.text("key"));
    check::required(errors, &path.child("path"), item.text("path"));
    local_path(errors, &path.child("path"), item.text("path"));
    mode(errors, item.int("mode"), &path.child("mode"));
}

fn mode(errors: &mut Errors, mode: Option<i64>, path: &Path) {
    if let Some(mode) = mode.filter(|m| !(0..=0o777).contains(m)) {
        errors.push(FieldError::invalid(path, mode, MODE));
    }
}

/// A file of the downward API. Kubernetes reports it at the volume, without the item's index.
fn downward_file(errors: &mut Errors, item: &Value, path: &Path) {
    check::required(errors, &path.child("path"), item.text("path"));
    local_path(errors, &path.child("path"), item.text("path"));
    if item.has("fieldRef") {
        env::field_ref(errors, item.at("fieldRef"), &env::FILE_FIELDS, &path.child("fieldRef"));
        if item.has("resourceFieldRef") {
            let detail = "fieldRef and resourceFieldRef can not be specified simultaneously";
            errors.push(FieldError::invalid(path, "resource", detail));
        }
    } else if item.has("resourceFieldRef") {
        env::resource_ref(errors, item.at("resourceFieldRef"), &path.child("resourceFieldRef"), true);
    } else {
        errors.push(FieldError::required(path, "one of fieldRef and resourceFieldRef is required"));
    }
    mode(errors, item.int("mode"), &path.child("mode"));
}

/// A relative path that does not leave its place.
pub(super) fn descending_path(errors: &mut Errors, path: &Path, target: &str) {
    if target.starts_with('/') {
        errors.push(FieldError::invalid(path, target, "must be a relative path"));
    }
    no_backsteps(errors, path, target);
}

/// A relative path that does not leave its place, nor takes the names that the volume itself uses.
pub(super) fn local_path(errors: &mut Errors, path: &Path, target: &str) {
    descending_path(errors, path, target);
    if target.starts_with("..") && !target.starts_with("../") {
        errors.push(FieldError::invalid(path, target, "must not start with '..'"));
    }
}

/// A path that never leads upwards.
pub(crate) fn no_backsteps(errors: &mut Errors, path: &Path, target: &str) {
    if target.split('/').any(|part| part == "..") {
        errors.push(FieldError::invalid(path, target, "must not contain '..'"));
    }
}

/// The name of a signer: a qualified domain and a path.
fn signer_name(errors: &mut Errors, path: &Path, value: &str) {
    let (domain, rest) = value.split_once('/').unwrap_or((value, ""));
    if rest.is_empty() || !name::is_dns1123_subdomain(domain).is_empty() {
        errors.push(FieldError::invalid(
            path,
            value,
            "must be a fully qualified domain and path of the form 'example.com/signer-name'",
        ));
    }
}
