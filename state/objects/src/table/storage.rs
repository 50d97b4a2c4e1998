//! The rows of what is about storage.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::access::{count, flag, get, list, scalar, text, text_or};
use super::cells::{NONE, UNSET, age, name};

/// The phase, or that it is being deleted.
fn phase(object: &Value) -> &str {
    if text(object, "metadata.deletionTimestamp").is_empty() { text(object, "status.phase") } else { "Terminating" }
}

/// `RWO,RWX` of the access modes at a path.
fn access_modes(object: &Value, path: &str) -> String {
    let modes = list(object, path);
    let known =
        [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    let short: Vec<&str> = known.iter().filter(|(mode, _)| modes.contains(&json!(mode))).map(|(_, s)| *s).collect();
    short.join(",")
}

fn storage_class<'a>(object: &'a Value, path: &str) -> &'a str {
    let older = get(object, "metadata.annotations").get("volume.beta.kubernetes.io/storage-class");
    older.and_then(Value::as_str).unwrap_or_else(|| text(object, path))
}

pub(super) fn volume(volume: &Value, now: Timestamp) -> Vec<Value> {
    let claim = match (text(volume, "spec.claimRef.namespace"), text(volume, "spec.claimRef.name")) {
        ("", "") => String::new(),
        (namespace, name) => format!("{namespace}/{name}"),
    };
    vec![
        json!(name(volume)),
        json!(scalar(volume, "spec.capacity.storage").unwrap_or_else(|| "0".to_owned())),
        json!(access_modes(volume, "spec.accessModes")),
        json!(text(volume, "spec.persistentVolumeReclaimPolicy")),
        json!(phase(volume)),
        json!(claim),
        json!(storage_class(volume, "spec.storageClassName")),
        json!(text_or(volume, "spec.volumeAttributesClassName", UNSET)),
        json!(text(volume, "status.reason")),
        json!(age(volume, now)),
        json!(text_or(volume, "spec.volumeMode", UNSET)),
    ]
}

pub(super) fn claim(claim: &Value, now: Timestamp) -> Vec<Value> {
    let volume = text(claim, "spec.volumeName");
    let (capacity, modes) = match volume {
        "" => (String::new(), String::new()),
        _ => (
            scalar(claim, "status.capacity.storage").unwrap_or_else(|| "0".to_owned()),
            access_modes(claim, "status.accessModes"),
        ),
    };
    vec![
        json!(name(claim)),
        json!(phase(claim)),
        json!(volume),
        json!(capacity),
        json!(modes),
        json!(storage_class(claim, "spec.storageClassName")),
        json!(text_or(claim, "spec.volumeAttributesClassName", UNSET)),
        json!(age(claim, now)),
        json!(text_or(claim, "spec.volumeMode", UNSET)),
    ]
}

pub(super) fn class(class: &Value, now: Timestamp) -> Vec<Value> {
    let annotations = get(class, "metadata.annotations");
    let default = ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
    let default = default.iter().any(|key| annotations.get(key).is_some_and(|value| value == "true"));
    vec![
        json!(if default { format!("{} (default)", name(class)) } else { name(class).to_owned() }),
        json!(text(class, "provisioner")),
        json!(text_or(class, "reclaimPolicy", "Delete")),
        json!(text_or(class, "volumeBindingMode", "Immediate")),
        json!(flag(class, "allowVolumeExpansion")),
        json!(age(class, now)),
    ]
}

pub(super) fn driver(driver: &Value, now: Timestamp) -> Vec<Value> {
    let modes: Vec<&str> = list(driver, "spec.volumeLifecycleModes").iter().filter_map(Value::as_str).collect();
    let tokens = match get(driver, "spec.tokenRequests").as_array() {
        Some(requests) => requests.iter().map(|r| text(r, "audience")).collect::<Vec<_>>().join(","),
        None => UNSET.to_owned(),
    };
    vec![
        json!(name(driver)),
        json!(get(driver, "spec.attachRequired").as_bool().unwrap_or(true)),
        json!(flag(driver, "spec.podInfoOnMount")),
        json!(flag(driver, "spec.storageCapacity")),
        json!(tokens),
        json!(flag(driver, "spec.requiresRepublish")),
        json!(if modes.is_empty() { NONE.to_owned() } else { modes.join(",") }),
        json!(age(driver, now)),
    ]
}

pub(super) fn csi_node(node: &Value, now: Timestamp) -> Vec<Value> {
    vec![json!(name(node)), json!(count(node, "spec.drivers")), json!(age(node, now))]
}

pub(super) fn attachment(attachment: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        json!(name(attachment)),
        json!(text(attachment, "spec.attacher")),
        json!(text(attachment, "spec.source.persistentVolumeName")),
        json!(text(attachment, "spec.nodeName")),
        json!(flag(attachment, "status.attached")),
        json!(age(attachment, now)),
    ]
}

pub(super) fn attributes_class(class: &Value, now: Timestamp) -> Vec<Value> {
    vec![json!(name(class)), json!(text(class, "driverName")), json!(age(class, now))]
}
