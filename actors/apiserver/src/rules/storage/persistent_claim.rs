//! PersistentVolumeClaims.

use cox_objects::{FieldError, Path};
use serde_json::{Value, json};

use super::super::check::{Errors, immutable};
use super::super::claim;
use super::super::pod::defaults::claim_spec;
use super::super::read::{Fill, Read, same};
use super::super::resources;

const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

/// Defaults of the spec.
pub(crate) fn defaults(object: &mut Value) {
    claim_spec(object.object("spec"));
    if let Some(status) = object.inner("status") {
        resources::canonical(status, "capacity");
        resources::canonical(status, "allocatedResources");
    }
}

/// `dataSource` and `dataSourceRef` say the same, where the first can say it; what cannot be a source is dropped.
pub(crate) fn prepare(object: &mut Value) {
    let spec = object.object("spec");
    let known = |source: &Value| {
        let sources = [("", "PersistentVolumeClaim"), ("snapshot.storage.k8s.io", "VolumeSnapshot")];
        sources.contains(&(source.text("apiGroup"), source.text("kind")))
    };
    if spec.has("dataSource") && !known(spec.at("dataSource")) {
        spec.drop_field("dataSource");
    }
    let (source, reference) = (spec.at("dataSource").clone(), spec.at("dataSourceRef").clone());
    match (source.is_null(), reference.is_null()) {
        (false, true) => spec.set("dataSourceRef", source),
        (true, false) if !reference.has("namespace") && known(&reference) => spec.set("dataSource", reference),
        _ => {}
    }
}

/// A new claim, after its metadata.
pub(crate) fn validate(errors: &mut Errors, object: &Value) {
    let spec = object.at("spec");
    claim::spec(errors, spec, &Path::new("spec"));
    if spec.has("dataSource") && spec.has("dataSourceRef") && !spec.at("dataSourceRef").has("namespace") {
        let bare = |source: &Value| json!([source.text("apiGroup"), source.text("kind"), source.text("name")]);
        if bare(spec.at("dataSource")) != bare(spec.at("dataSourceRef")) {
            errors.push(FieldError::invalid(&Path::new("spec"), json!({}), "must match dataSourceRef"));
        }
    }
}

/// An update: the size of a bound claim may grow, and its attributes may change.
pub(crate) fn validate_update(errors: &mut Errors, subresource: &str, object: &Value, old: &Value) {
    const FIXED: &str =
        "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n";
    if subresource == "status" {
        return;
    }
    validate(errors, object);
    let (spec, before) = (object.at("spec"), old.at("spec"));
    let path = Path::new("spec");
    let bound = old.at("status").text("phase") == "Bound";
    let mut now = spec.clone();
    // A claim is bound by naming the volume, once.
    if !before.filled("volumeName") {
        now.set("volumeName", before.at("volumeName").clone());
    }
    if bound {
        now.object("resources").set("requests", before.at("resources").at("requests").clone());
        now.set("volumeAttributesClassName", before.at("volumeAttributesClassName").clone());
    }
    if !same(&now, before) {
        errors.push(FieldError::forbidden(&path, FIXED));
    } else if bound {
        let size = |spec: &Value| spec.at("resources").at("requests").at("storage").clone();
        if resources::compare(&size(spec), &size(before)).is_lt() {
            let at = path.child("resources").child("requests").child("storage");
            errors.push(FieldError::forbidden(&at, "field can not be less than status.capacity"));
        }
    }
    immutable(errors, &Path::new("volumeMode"), spec.at("volumeMode"), before.at("volumeMode"));
}

/// What is legal in a claim, but should be said otherwise now.
pub(crate) fn warnings(object: &Value) -> Vec<String> {
    class_warning(object).into_iter().collect()
}

/// The annotation that came before `storageClassName`.
pub(super) fn class_warning(object: &Value) -> Option<String> {
    let at = Path::new("metadata").child("annotations").key(CLASS_ANNOTATION);
    object
        .at("metadata")
        .at("annotations")
        .has(CLASS_ANNOTATION)
        .then(|| format!("{at}: deprecated since v1.8; use \"storageClassName\" attribute instead"))
}
