//! How volumes get to nodes: CSINodes, VolumeAttachments and CSIStorageCapacities.

use cox_objects::{FieldError, Path, Quantity};
use serde_json::Value;

use super::super::check::{self, Errors};
use super::super::read::{Read, same};
use super::super::{claim, print, selector};

/// The longest id of a node that a CSI driver may choose, in bytes.
const NODE_ID_LIMIT: usize = 256;

/// The drivers of a node.
pub(crate) fn validate_node(errors: &mut Errors, object: &Value) {
    let path = Path::new("spec").child("drivers");
    let mut seen: Vec<&str> = Vec::new();
    for (i, driver) in object.at("spec").list("drivers").iter().enumerate() {
        let at = path.index(i);
        let name = driver.text("name");
        driver_name(errors, name, &at.child("name"));
        let id = driver.text("nodeID");
        if id.is_empty() {
            errors.push(FieldError::required(&at.child("nodeID"), ""));
        } else if id.len() > NODE_ID_LIMIT {
            errors.push(FieldError::invalid(&at.child("nodeID"), id, "must be 256 characters or less"));
        }
        if let Some(count) = driver.at("allocatable").int("count") {
            check::non_negative(errors, &at.child("allocatable").child("count"), Some(count));
        }
        let mut keys: Vec<&str> = Vec::new();
        for key in driver.texts("topologyKeys") {
            if key.is_empty() {
                errors.push(FieldError::required(&at.child("topologyKeys"), ""));
            }
            if keys.contains(&key) {
                errors.push(FieldError::duplicate(&at.child("topologyKeys"), key));
            }
            keys.push(key);
            check::qualified_name(errors, &at, key);
        }
        if seen.contains(&name) {
            errors.push(FieldError::duplicate(&at.child("name"), name));
        }
        seen.push(name);
    }
}

fn driver_name(errors: &mut Errors, name: &str, path: &Path) {
    if name.is_empty() {
        errors.push(FieldError::required(path, ""));
    } else {
        check::texts(errors, path, name, claim::driver_name(name));
    }
}

/// A node's drivers come and go, but stay what they are.
pub(crate) fn validate_node_update(errors: &mut Errors, object: &Value, old: &Value) {
    validate_node(errors, object);
    let path = Path::new("spec").child("drivers");
    let before = old.at("spec").list("drivers");
    for driver in object.at("spec").list("drivers") {
        let Some(was) = before.iter().find(|b| b.text("name") == driver.text("name")) else { continue };
        let kept = ["nodeID", "topologyKeys"].iter().all(|field| same(driver.at(field), was.at(field)));
        if !kept {
            let fields = [
                ("Name", "name", "\"\""),
                ("NodeID", "nodeID", "\"\""),
                ("TopologyKeys", "topologyKeys", "null"),
                ("Allocatable", "allocatable", "null"),
            ];
            errors.push(FieldError::invalid_raw(&path, &print::internal(driver, &fields), check::IMMUTABLE));
        }
    }
}

/// Who attaches what to which node.
pub(crate) fn validate_attachment(errors: &mut Errors, object: &Value) {
    let spec = object.at("spec");
    let path = Path::new("spec");
    let attacher = spec.text("attacher");
    driver_name(errors, attacher, &path.child("attacher"));
    let source = spec.at("source");
    let at = path.child("source");
    let (inline, named) = (source.has("inlineVolumeSpec"), source.has("persistentVolumeName"));
    if !inline && !named {
        let detail = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
        errors.push(FieldError::required(&at, detail));
    } else if inline && named {
        let detail = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
        errors.push(FieldError::forbidden(&at, detail));
    } else if named && source.text("persistentVolumeName").is_empty() {
        errors.push(FieldError::required(
            &at.child("persistentVolumeName"),
            "must specify non empty persistentVolumeName",
        ));
    }
    check::dns_subdomain(errors, &path.child("nodeName"), spec.text("nodeName"));
}

/// An attachment is made for one volume and one node.
pub(crate) fn validate_attachment_update(errors: &mut Errors, object: &Value, old: &Value) {
    if !same(object.at("spec"), old.at("spec")) {
        let fields = [("Attacher", "attacher", "\"\""), ("Source", "source", "{}"), ("NodeName", "nodeName", "\"\"")];
        let shown = print::internal(object.at("spec"), &fields);
        errors.push(FieldError::invalid_raw(&Path::new("spec"), &shown, check::IMMUTABLE));
    }
}

/// How much of a class there is room for, and where.
pub(crate) fn validate_capacity(errors: &mut Errors, object: &Value) {
    check::dns_subdomain(errors, &Path::new("storageClassName"), object.text("storageClassName"));
    selector::labels(errors, object.at("nodeTopology"), &Path::new("nodeTopology"));
    let capacity = object.text("capacity");
    if capacity.parse::<Quantity>().is_ok_and(|q| q < Quantity::ZERO) {
        errors.push(FieldError::invalid(&Path::new("capacity"), capacity, "must be greater than or equal to 0"));
    }
}

/// A capacity keeps what it counts.
pub(crate) fn validate_capacity_update(errors: &mut Errors, object: &Value, old: &Value) {
    validate_capacity(errors, object);
    check::immutable(errors, &Path::new("storageClassName"), object.at("storageClassName"), old.at("storageClassName"));
    let topology = object.at("nodeTopology");
    if !same(topology, old.at("nodeTopology")) {
        let shown = if topology.is_null() { "null".to_owned() } else { print::label_selector(topology) };
        errors.push(FieldError::invalid_raw(&Path::new("nodeTopology"), &shown, check::IMMUTABLE));
    }
}
