//! The `resize` subresource: cpu and memory change in place, within the pod's quality-of-service class.

use cox_objects::{FieldError, Path};
use serde_json::Value;

use super::super::check::Errors;
use super::super::read::{Fill, Read, same};
use super::super::resources;
use super::{ephemeral, is_mirror, qos};

const LISTS: [&str; 2] = ["containers", "initContainers"];

/// Takes nothing from the update but resources and resize policies.
pub(super) fn prepare(object: &mut Value, old: &Value) {
    let mut kept = old.clone();
    ephemeral::keep_write(&mut kept, object);
    for list in LISTS {
        let wanted = object.at("spec").list(list);
        for container in kept.object("spec").items(list) {
            let Some(new) = wanted.iter().find(|c| c.text("name") == container.text("name")) else { continue };
            for field in ["resources", "resizePolicy"] {
                match new.at(field) {
                    Value::Null => container.drop_field(field),
                    value => container.set(field, value.clone()),
                }
            }
        }
    }
    *object = kept;
}

/// The change of resources.
pub(super) fn validate(errors: &mut Errors, object: &Value, old: &Value) {
    let path = Path::new("spec");
    if is_mirror(old) {
        errors.push(FieldError::forbidden(&Path::root(), "static pods cannot be resized"));
        return;
    }
    if old.at("spec").at("os").text("name") == "windows" {
        errors.push(FieldError::forbidden(&Path::root(), "windows pods cannot be resized"));
        return;
    }
    if qos::class(object.at("spec")) != qos::class(old.at("spec")) {
        let class = old.at("status").text("qosClass");
        let detail = "Pod QOS Class may not change as a result of resizing";
        errors.push(FieldError::invalid(&path, class, detail));
    }
    for list in LISTS {
        let (now, before) = (object.at("spec").list(list), old.at("spec").list(list));
        for (i, (new, old)) in now.iter().zip(before).enumerate() {
            let at = path.child(list).index(i).child("resources");
            removed(errors, new, old, &at);
        }
    }
    if !same(&munged(object, old), old.at("spec")) {
        errors.push(FieldError::forbidden(&path, "only cpu and memory resources are mutable"));
    }
}

fn removed(errors: &mut Errors, new: &Value, old: &Value, path: &Path) {
    for (field, noun) in [("requests", "requests"), ("limits", "limits")] {
        let now = new.at("resources").at(field);
        let gone = old.at("resources").entries(field).any(|(name, _)| !now.has(name));
        if gone {
            let detail = format!("resource {noun} cannot be removed");
            errors.push(FieldError::forbidden(&path.child(field), &detail));
        }
    }
}

/// The new spec with the old cpu and memory: equal to the old spec if nothing else changed.
fn munged(object: &Value, old: &Value) -> Value {
    let mut spec = object.at("spec").clone();
    for list in LISTS {
        let before = old.at("spec").list(list);
        for (container, old) in spec.items(list).iter_mut().zip(before) {
            container.set("resizePolicy", old.at("resizePolicy").clone());
            for field in ["requests", "limits"] {
                restore(container.object("resources"), old.at("resources"), field);
            }
        }
    }
    spec
}

fn restore(resources: &mut Value, old: &Value, field: &str) {
    let before = old.at(field);
    if resources::same_list(resources.at(field), before) {
        resources.set(field, before.clone());
        return;
    }
    let list = resources.object(field);
    for name in ["cpu", "memory"] {
        match before.at(name) {
            Value::Null => list.drop_field(name),
            value => list.set(name, value.clone()),
        }
    }
}
