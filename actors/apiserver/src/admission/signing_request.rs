//! Certificate signing requests: who asks is who the request is for, and what was asked for stays.

use serde_json::{Value, json};

use crate::context::Context;
use crate::value::{fields, map};

/// The resource.
pub(super) const RESOURCE: &str = "certificatesigningrequests.certificates.k8s.io";

/// Notes who asks; what the body says of that is void.
pub(super) fn new(ctx: &Context<'_>, request: &mut Value) {
    let spec = map(request, "spec");
    for name in ["username", "uid", "groups", "extra"] {
        spec.remove(name);
    }
    let user = ctx.user;
    spec.insert("username".into(), user.name.as_str().into());
    if !user.uid.is_empty() {
        spec.insert("uid".into(), user.uid.as_str().into());
    }
    if !user.groups.is_empty() {
        spec.insert("groups".into(), user.groups.clone().into());
    }
    if !user.extra.is_empty() {
        spec.insert("extra".into(), json!(user.extra));
    }
}

/// Keeps the spec; and gives conditions the times that they leave out.
pub(super) fn keep(ctx: &Context<'_>, request: &mut Value, old: &Value) {
    if let Some(spec) = old.get("spec") {
        fields(request).insert("spec".into(), spec.clone());
    }
    let Some(conditions) = request.pointer_mut("/status/conditions").and_then(Value::as_array_mut) else { return };
    for condition in conditions {
        for name in ["lastUpdateTime", "lastTransitionTime"] {
            let time = fields(condition).entry(name).or_insert(Value::Null);
            if time.is_null() {
                *time = ctx.time().into();
            }
        }
    }
}
