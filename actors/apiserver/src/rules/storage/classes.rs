//! StorageClasses and CSIDrivers.

use cox_objects::{FieldError, Path};
use serde_json::{Value, json};

use super::super::check::{self, Errors};
use super::super::claim;
use super::super::read::{Fill, Read};

/// Defaults of a class.
pub(crate) fn defaults(object: &mut Value) {
    object.fill_unset("reclaimPolicy", "Delete");
    object.fill_unset("volumeBindingMode", "Immediate");
}

/// A StorageClass.
pub(crate) fn validate(errors: &mut Errors, object: &Value) {
    let provisioner = object.text("provisioner");
    let at = Path::new("provisioner");
    if provisioner.is_empty() {
        errors.push(FieldError::required(&at, ""));
    } else {
        check::qualified_name(errors, &at, &provisioner.to_lowercase());
    }
    if object.entries("parameters").any(|(key, _)| key.is_empty()) {
        errors.push(FieldError::invalid(&Path::new("parameters"), "", "field can not be empty."));
    }
    if object.has("reclaimPolicy") {
        check::one_of(errors, &Path::new("reclaimPolicy"), object.text("reclaimPolicy"), &["Delete", "Retain"]);
    }
    let modes = ["Immediate", "WaitForFirstConsumer"];
    check::required_one_of(errors, &Path::new("volumeBindingMode"), object.text("volumeBindingMode"), &modes);
    for (i, term) in object.list("allowedTopologies").iter().enumerate() {
        for (j, rule) in term.list("matchLabelExpressions").iter().enumerate() {
            let at = Path::new("allowedTopologies").index(i).child("matchLabelExpressions").index(j);
            if !rule.filled("values") {
                errors.push(FieldError::required(&at.child("values"), ""));
            }
            check::qualified_name(errors, &at.child("key"), rule.text("key"));
        }
    }
}

/// A class keeps what volumes were made by.
pub(crate) fn validate_update(errors: &mut Errors, object: &Value, old: &Value) {
    for field in ["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"] {
        check::immutable(errors, &Path::new(field), object.at(field), old.at(field));
    }
}

/// Defaults of a CSIDriver.
pub(crate) fn driver_defaults(object: &mut Value) {
    let spec = object.object("spec");
    for (field, value) in [
        ("attachRequired", json!(true)),
        ("podInfoOnMount", json!(false)),
        ("storageCapacity", json!(false)),
        ("fsGroupPolicy", json!("ReadWriteOnceWithFSType")),
        ("requiresRepublish", json!(false)),
        ("seLinuxMount", json!(false)),
    ] {
        spec.fill_unset(field, value);
    }
    if !spec.filled("volumeLifecycleModes") {
        spec.set("volumeLifecycleModes", json!(["Persistent"]));
    }
}

/// A CSIDriver, whose name its drivers register under.
pub(crate) fn validate_driver(errors: &mut Errors, object: &Value) {
    let own = object.at("metadata").text("name");
    if own.len() > 63 {
        check::texts(errors, &Path::new("metadata").child("name"), own, claim::driver_name(own));
    }
    let spec = object.at("spec");
    let path = Path::new("spec");
    for field in ["attachRequired", "podInfoOnMount", "storageCapacity"] {
        if !spec.has(field) {
            errors.push(FieldError::required(&path.child(field), ""));
        }
    }
    let policies = ["File", "None", "ReadWriteOnceWithFSType"];
    check::one_of(errors, &path.child("fsGroupPolicy"), spec.text("fsGroupPolicy"), &policies);
    let mut audiences = Vec::new();
    for (i, request) in spec.list("tokenRequests").iter().enumerate() {
        let at = path.child("tokenRequests").index(i);
        let audience = request.text("audience");
        if audiences.contains(&audience) {
            errors.push(FieldError::duplicate(&at.child("audience"), audience));
            continue;
        }
        audiences.push(audience);
        if let Some(seconds) = request.int("expirationSeconds").filter(|s| *s < 600) {
            let detail = "may not specify a duration less than 10 minutes";
            errors.push(FieldError::invalid(&at.child("expirationSeconds"), seconds, detail));
        }
    }
    for mode in spec.texts("volumeLifecycleModes") {
        check::one_of(errors, &path.child("volumeLifecycleModes"), mode, &["Persistent", "Ephemeral"]);
    }
}

/// A CSIDriver keeps what volumes are handled by.
pub(crate) fn validate_driver_update(errors: &mut Errors, object: &Value, old: &Value) {
    let (spec, before) = (object.at("spec"), old.at("spec"));
    let path = Path::new("spec");
    for (field, shown) in [("attachRequired", "attachedRequired"), ("volumeLifecycleModes", "volumeLifecycleModes")] {
        check::immutable(errors, &path.child(shown), spec.at(field), before.at(field));
    }
}

/// Tokens in volume attributes end up in logs.
pub(crate) fn driver_warnings(object: &Value) -> Vec<String> {
    let spec = object.at("spec");
    if !spec.filled("tokenRequests") || spec.has("serviceAccountTokenInSecrets") {
        return Vec::new();
    }
    let text = "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible \
                logging of tokens in volume attributes";
    vec![text.to_owned()]
}
