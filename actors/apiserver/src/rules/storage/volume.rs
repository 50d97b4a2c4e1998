//! PersistentVolumes.

use cox_objects::{FieldError, Path};
use serde_json::{Value, json};

use super::super::check::{self, Errors};
use super::super::pod::{affinity, volumes};
use super::super::read::{Fill, Read, same};
use super::super::{claim, resources};
use super::persistent_claim;

const SOURCES: [&str; 22] = [
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "flocker",
    "nfs",
    "rbd",
    "quobyte",
    "cephfs",
    "iscsi",
    "cinder",
    "fc",
    "flexVolume",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "scaleIO",
    "local",
    "storageos",
    "csi",
];

/// Defaults of policy, mode and sources.
pub(crate) fn defaults(object: &mut Value) {
    let spec = object.object("spec");
    resources::canonical(spec, "capacity");
    spec.fill("persistentVolumeReclaimPolicy", "Retain");
    spec.fill_unset("volumeMode", "Filesystem");
    for (source, field, value) in [
        ("hostPath", "type", json!("")),
        ("azureDisk", "cachingMode", json!("ReadWrite")),
        ("azureDisk", "kind", json!("Shared")),
        ("azureDisk", "fsType", json!("ext4")),
        ("azureDisk", "readOnly", json!(false)),
        ("iscsi", "iscsiInterface", json!("default")),
        ("rbd", "pool", json!("rbd")),
        ("rbd", "user", json!("admin")),
        ("rbd", "keyring", json!("/etc/ceph/keyring")),
        ("scaleIO", "storageMode", json!("ThinProvisioned")),
        ("scaleIO", "fsType", json!("xfs")),
    ] {
        if let Some(source) = spec.inner(source) {
            source.fill_unset(field, value);
        }
    }
}

/// A new volume, after its metadata.
pub(crate) fn validate(errors: &mut Errors, object: &Value) {
    let spec = object.at("spec");
    let path = Path::new("spec");
    let modes = spec.texts("accessModes");
    if modes.is_empty() {
        errors.push(FieldError::required(&path.child("accessModes"), ""));
    }
    claim::access_modes(errors, &modes, &path.child("accessModes"));
    capacity(errors, spec.at("capacity"), &path.child("capacity"));
    let policy = spec.text("persistentVolumeReclaimPolicy");
    let policy_at = path.child("persistentVolumeReclaimPolicy");
    if !policy.is_empty() {
        check::one_of(errors, &policy_at, policy, &["Delete", "Recycle", "Retain"]);
    }
    if spec.has("nodeAffinity") {
        node_affinity(errors, spec.at("nodeAffinity"), &path.child("nodeAffinity"));
    }
    source(errors, spec, &path);
    if spec.at("hostPath").text("path") == "/" && policy == "Recycle" {
        errors.push(FieldError::forbidden(&policy_at, "may not be 'recycle' for a hostPath mount of '/'"));
    }
    let class = spec.text("storageClassName");
    if !class.is_empty() {
        check::dns_subdomain(errors, &path.child("storageClassName"), class);
    }
    if spec.has("volumeMode") {
        claim::volume_mode(errors, spec.text("volumeMode"), &path.child("volumeMode"));
    }
}

fn capacity(errors: &mut Errors, capacity: &Value, path: &Path) {
    let entries: Vec<(&String, &Value)> = capacity.as_object().into_iter().flatten().collect();
    if entries.is_empty() {
        errors.push(FieldError::required(path, ""));
    }
    match entries.as_slice() {
        [(name, size)] if *name == "storage" => {
            let at = path.key("storage");
            resources::value(errors, "storage", size, &at);
            claim::positive(errors, size, &at);
        }
        _ => {
            let mut error = FieldError::not_supported(path, "", &["storage"]);
            let shown = if entries.is_empty() { "null".to_owned() } else { capacity.to_string() };
            error.body = error.body.replacen("\"\"", &shown, 1);
            errors.push(error);
        }
    }
}

fn node_affinity(errors: &mut Errors, own: &Value, path: &Path) {
    if own.has("required") {
        affinity::node_selector(errors, own.at("required"), &path.child("required"));
    } else {
        errors.push(FieldError::required(&path.child("required"), "must specify required node constraints"));
    }
}

fn source(errors: &mut Errors, spec: &Value, path: &Path) {
    let mut found = 0;
    for field in SOURCES.iter().filter(|f| spec.has(f)) {
        let at = path.child(field);
        if found > 0 {
            errors.push(FieldError::forbidden(&at, "may not specify more than 1 volume type"));
        } else {
            one(errors, field, spec, &at, path);
        }
        found += 1;
    }
    if found == 0 {
        errors.push(FieldError::required(path, "must specify a volume type"));
    }
}

fn one(errors: &mut Errors, kind: &str, spec: &Value, path: &Path, root: &Path) {
    let own = spec.at(kind);
    match kind {
        "local" => {
            match own.text("path") {
                "" => errors.push(FieldError::required(&path.child("path"), "")),
                target => volumes::no_backsteps(errors, &path.child("path"), target),
            }
            if !spec.has("nodeAffinity") {
                let detail = "Local volume requires node affinity";
                errors.push(FieldError::required(&root.child("nodeAffinity"), detail));
            }
        }
        "csi" => {
            match own.text("driver") {
                "" => errors.push(FieldError::required(&path.child("driver"), "")),
                driver => check::texts(errors, &path.child("driver"), driver, claim::driver_name(driver)),
            }
            check::required(errors, &path.child("volumeHandle"), own.text("volumeHandle"));
        }
        other => volumes::one(errors, other, own, path),
    }
}

/// An update: the source stays, and so does where the volume can be used.
pub(crate) fn validate_update(errors: &mut Errors, subresource: &str, object: &Value, old: &Value) {
    const FIXED: &str = "spec.persistentvolumesource is immutable after creation\n";
    if subresource == "status" {
        return;
    }
    validate(errors, object);
    let (spec, before) = (object.at("spec"), old.at("spec"));
    let path = Path::new("spec");
    if SOURCES.iter().any(|source| !same(spec.at(source), before.at(source))) {
        errors.push(FieldError::forbidden(&path.child("persistentvolumesource"), FIXED));
    }
    check::immutable(errors, &path.child("volumeMode"), spec.at("volumeMode"), before.at("volumeMode"));
    if before.has("nodeAffinity") && !same(spec.at("nodeAffinity"), before.at("nodeAffinity")) {
        let at = path.child("nodeAffinity");
        check::immutable(errors, &at, spec.at("nodeAffinity"), before.at("nodeAffinity"));
    }
}

/// What is legal in a volume, but should be said otherwise now.
pub(crate) fn warnings(object: &Value) -> Vec<String> {
    let mut found: Vec<String> = persistent_claim::class_warning(object).into_iter().collect();
    if object.at("spec").text("persistentVolumeReclaimPolicy") == "Recycle" {
        found.push(
            "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended \
             approach is to use dynamic provisioning."
                .to_owned(),
        );
    }
    found
}
