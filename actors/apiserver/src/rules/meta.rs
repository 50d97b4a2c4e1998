//! The rules of `metadata`, the same for every kind.

mod names;

use cox_objects::{FieldError, Kind, Path, name};
use serde_json::Value;

use super::check::{self, Errors, IMMUTABLE};
use super::print;
use super::read::{Fill, Read, same};

/// The most bytes that all annotations of an object may have.
const ANNOTATIONS_LIMIT: usize = 256 * 1024;

/// What every creation does: the server's own fields are not taken from the body.
pub(crate) fn prepare_create(kind: &Kind, object: &mut Value, now: &str) {
    let namespaced = kind.namespaced;
    let metadata = object.object("metadata");
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
        metadata.drop_field(field);
    }
    if !namespaced {
        metadata.drop_field("namespace");
    }
    metadata.set("creationTimestamp", now);
}

/// What every update does: the server's own fields stay as they are.
pub(crate) fn prepare_update(object: &mut Value, old: &Value) {
    let metadata = object.object("metadata");
    let before = old.at("metadata");
    for field in ["creationTimestamp", "generation"] {
        match before.at(field) {
            Value::Null => metadata.drop_field(field),
            value => metadata.set(field, value.clone()),
        }
    }
    metadata.fill("uid", before.at("uid").clone());
    metadata.drop_field("selfLink");
    if before.has("deletionTimestamp") {
        metadata.set("deletionTimestamp", before.at("deletionTimestamp").clone());
    }
    if before.has("deletionGracePeriodSeconds") {
        metadata.fill_unset("deletionGracePeriodSeconds", before.at("deletionGracePeriodSeconds").clone());
    }
}

/// Sets the generation of a new object.
pub(crate) fn first_generation(object: &mut Value) {
    object.object("metadata").set("generation", 1);
}

/// Counts the generation up from the old object's.
pub(crate) fn next_generation(object: &mut Value, old: &Value) {
    let next = old.at("metadata").int("generation").unwrap_or(0) + 1;
    object.object("metadata").set("generation", next);
}

/// The metadata of a new object of this kind.
pub(crate) fn validate(errors: &mut Errors, kind: &Kind, object: &Value) {
    let metadata = object.at("metadata");
    let path = Path::new("metadata");
    let name_texts = names::validator(kind);
    validate_with(errors, metadata, &path, kind.namespaced, name_texts);
    if !path_segment_only(kind) {
        for (i, finalizer) in metadata.texts("finalizers").into_iter().enumerate() {
            standard_finalizer(errors, &path.child("finalizers").index(i), finalizer);
        }
    }
}

/// Kinds whose own validation leaves the metadata alone: only what every object must fulfil is checked.
fn path_segment_only(kind: &Kind) -> bool {
    kind.kind == "Event"
}

fn validate_with(
    errors: &mut Errors,
    metadata: &Value,
    path: &Path,
    namespaced: bool,
    name_texts: fn(&str, bool) -> Vec<String>,
) {
    let generate = metadata.text("generateName");
    if !generate.is_empty() {
        check::texts(errors, &path.child("generateName"), generate, name_texts(generate, true));
    }
    let own = metadata.text("name");
    if own.is_empty() {
        errors.push(FieldError::required(&path.child("name"), "name or generateName is required"));
    } else {
        check::texts(errors, &path.child("name"), own, name_texts(own, false));
    }
    let namespace = metadata.text("namespace");
    let at = path.child("namespace");
    match (namespaced, namespace.is_empty()) {
        (true, true) => errors.push(FieldError::required(&at, "")),
        (true, false) => check::texts(errors, &at, namespace, name::is_dns1123_label(namespace)),
        (false, false) => errors.push(FieldError::forbidden(&at, "not allowed on this type")),
        (false, true) => {}
    }
    check::non_negative(errors, &path.child("generation"), metadata.int("generation"));
    mutable_fields(errors, metadata, path);
    finalizers(errors, metadata, &path.child("finalizers"));
}

fn mutable_fields(errors: &mut Errors, metadata: &Value, path: &Path) {
    check::labels(errors, &path.child("labels"), metadata.at("labels"));
    annotations(errors, metadata.at("annotations"), &path.child("annotations"));
    owner_references(errors, metadata, &path.child("ownerReferences"));
}

/// The keys and the size of annotations; also those of pod templates.
pub(crate) fn annotations(errors: &mut Errors, annotations: &Value, path: &Path) {
    let Some(map) = annotations.as_object() else { return };
    let mut size = 0;
    for (key, value) in map {
        check::texts(errors, path, key, name::is_label_key(&key.to_lowercase()));
        size += key.len() + value.as_str().unwrap_or_default().len();
    }
    if size > ANNOTATIONS_LIMIT {
        errors.push(FieldError::too_long(path, ANNOTATIONS_LIMIT));
    }
}

fn owner_references(errors: &mut Errors, metadata: &Value, path: &Path) {
    let owners = metadata.list("ownerReferences");
    let mut controller: Option<String> = None;
    for owner in owners {
        let (group, version) = group_version(owner.text("apiVersion"));
        let kind = owner.text("kind");
        if version.is_empty() {
            let api_version = owner.text("apiVersion");
            errors.push(FieldError::invalid(&path.child("apiVersion"), api_version, "version must not be empty"));
        }
        for (field, value) in [("kind", kind), ("name", owner.text("name")), ("uid", owner.text("uid"))] {
            if value.is_empty() {
                errors.push(FieldError::invalid(&path.child(field), "", "must not be empty"));
            }
        }
        if (group, version, kind) == ("", "v1", "Event") {
            let detail = format!("{group}/{version}, Kind={kind} is disallowed from being an owner");
            errors.push(FieldError::invalid_raw(path, &print_owner(owner), &detail));
        }
        if owner.flag("controller") {
            let own = format!("{kind}/{}", owner.text("name"));
            match &controller {
                Some(other) => {
                    let detail = format!(
                        "Only one reference can have Controller set to true. Found \"true\" in references for {other} and {own}"
                    );
                    errors.push(FieldError::invalid_raw(path, &print::list(owners.iter().map(print_owner)), &detail));
                }
                None => controller = Some(own),
            }
        }
    }
}

fn print_owner(owner: &Value) -> String {
    print::ordered(owner, &["apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"])
}

/// Group and version of an `apiVersion`; both empty if it has more than one slash.
fn group_version(text: &str) -> (&str, &str) {
    match text.split_once('/') {
        None => ("", text),
        Some((_, version)) if version.contains('/') => ("", ""),
        Some(parts) => parts,
    }
}

fn finalizers(errors: &mut Errors, metadata: &Value, path: &Path) {
    let list = metadata.texts("finalizers");
    for finalizer in &list {
        check::qualified_name(errors, path, finalizer);
    }
    if list.contains(&"orphan") && list.contains(&"foregroundDeletion") {
        let detail = "finalizer orphan and foregroundDeletion cannot be both set";
        errors.push(FieldError::invalid(path, list, detail));
    }
}

/// A finalizer without a domain must be one of Kubernetes' own.
pub(crate) fn standard_finalizer(errors: &mut Errors, path: &Path, finalizer: &str) {
    if !finalizer.contains('/') && !["kubernetes", "orphan", "foregroundDeletion"].contains(&finalizer) {
        let detail = "name is neither a standard finalizer name nor is it fully qualified";
        errors.push(FieldError::invalid(path, finalizer, detail));
    }
}

/// The metadata of an update. Kubernetes checks it for all kinds and again in the kind's own validation, so that a cause comes
/// several times; the message has it once.
pub(crate) fn validate_update(errors: &mut Errors, kind: &Kind, object: &Value, old: &Value) {
    let metadata = object.at("metadata");
    let path = Path::new("metadata");
    validate_with(errors, metadata, &path, kind.namespaced, names::segment);
    let mut found = Vec::new();
    update(&mut found, metadata, old.at("metadata"), &path);
    let again = found.clone();
    errors.extend(found.into_iter().chain(again));
    if checked_whole(kind) {
        validate(errors, kind, object);
    }
}

/// Kinds whose own validation of an update looks at all of the new object's metadata, not only at what changed.
fn checked_whole(kind: &Kind) -> bool {
    match kind.group.as_str() {
        "" => matches!(
            kind.kind.as_str(),
            "ConfigMap"
                | "Secret"
                | "Service"
                | "Pod"
                | "ServiceAccount"
                | "PersistentVolume"
                | "PersistentVolumeClaim"
        ),
        "rbac.authorization.k8s.io" => true,
        _ => false,
    }
}

fn update(errors: &mut Errors, new: &Value, old: &Value, path: &Path) {
    if old.has("deletionTimestamp") {
        let before = old.texts("finalizers");
        let mut added: Vec<&str> = new.texts("finalizers").into_iter().filter(|f| !before.contains(f)).collect();
        added.sort_unstable();
        added.dedup();
        if !added.is_empty() {
            let found = print::go_strings(&added);
            let detail =
                format!("no new finalizers can be added if the object is being deleted, found new finalizers {found}");
            errors.push(FieldError::forbidden(&path.child("finalizers"), &detail));
        }
    }
    if new.int("generation").unwrap_or(0) < old.int("generation").unwrap_or(0) {
        let generation = new.int("generation").unwrap_or(0);
        errors.push(FieldError::invalid(&path.child("generation"), generation, "must not be decremented"));
    }
    for field in ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        if !same(new.at(field), old.at(field)) {
            errors.push(FieldError::invalid(&path.child(field), new.at(field).clone(), IMMUTABLE));
        }
    }
    mutable_fields(errors, new, path);
}

#[cfg(test)]
mod tests;
