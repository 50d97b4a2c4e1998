//! DefaultStorageClass: a claim that names no class gets the cluster's default one, if there is one.

use cox_objects::Resource;
use serde_json::Value;

use crate::context::Context;
use crate::value::{map, text};

const CLASSES: Resource = Resource::from_static("storageclasses.storage.k8s.io");
const OLD_CLASS: &str = "volume.beta.kubernetes.io/storage-class";
const DEFAULT: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];

/// Names the class of a new claim. Of several defaults the newest counts, and of those made in one second the first by name. An
/// empty name is a name: it asks for volumes without a class.
pub(super) fn choose(ctx: &Context<'_>, claim: &mut Value) {
    let named = claim.pointer("/spec/storageClassName").is_some_and(|class| !class.is_null());
    if named || claim.pointer("/metadata/annotations").is_some_and(|all| all.get(OLD_CLASS).is_some()) {
        return;
    }
    let classes = ctx.state.list(&CLASSES, "");
    let defaults = classes.iter().map(|(_, object)| object.value()).filter(is_default);
    let newest = defaults.reduce(|best, other| if made(&other) > made(&best) { other } else { best });
    if let Some(class) = newest {
        map(claim, "spec").insert("storageClassName".into(), text(&class, "/metadata/name").into());
    }
}

fn is_default(class: &Value) -> bool {
    let annotations = class.pointer("/metadata/annotations").unwrap_or(&Value::Null);
    DEFAULT.iter().any(|key| annotations.get(key).and_then(Value::as_str) == Some("true"))
}

/// RFC 3339 times in UTC sort as texts.
fn made(class: &Value) -> &str {
    text(class, "/metadata/creationTimestamp")
}
