//! Certificate signing requests: who asks is who the request is for, and what was asked for stays.

use cox_objects::{FieldError, Path};
use serde_json::{Value, json};

use crate::context::Context;
use crate::value::{fields, list, map, text};

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

/// Keeps the spec, and of the status what this subresource may not write; gives conditions the times that they leave out.
pub(super) fn keep(ctx: &Context<'_>, request: &mut Value, old: &Value) {
    if let Some(spec) = old.get("spec") {
        fields(request).insert("spec".into(), spec.clone());
    }
    match ctx.request.subresource.as_str() {
        "approval" => {
            let certificate = old.pointer("/status/certificate").cloned();
            let status = map(request, "status");
            match certificate {
                Some(certificate) => status.insert("certificate".into(), certificate),
                None => status.remove("certificate"),
            };
        }
        "status" => keep_decisions(request, old),
        _ => {}
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

/// A signer does not decide: approvals and denials stay as they are.
fn keep_decisions(request: &mut Value, old: &Value) {
    let decision = |c: &Value| matches!(text(c, "/type"), "Approved" | "Denied");
    let decided: Vec<Value> = list(old, "/status/conditions").iter().filter(|c| decision(c)).cloned().collect();
    let others = list(request, "/status/conditions").iter().filter(|c| !decision(c)).cloned();
    let conditions: Vec<Value> = decided.into_iter().chain(others).collect();
    if conditions.is_empty() {
        map(request, "status").remove("conditions");
    } else {
        map(request, "status").insert("conditions".into(), conditions.into());
    }
}

/// What was approved, denied or failed stays so.
pub(super) fn removed(request: &Value, old: &Value) -> Vec<FieldError> {
    let has = |object: &Value, kind: &str| list(object, "/status/conditions").iter().any(|c| text(c, "/type") == kind);
    let path = Path::new("status").child("conditions");
    let gone = ["Approved", "Denied", "Failed"].into_iter().filter(|kind| has(old, kind) && !has(request, kind));
    gone.map(|kind| FieldError::forbidden(&path, &format!("updates may not remove a condition of type {kind:?}")))
        .collect()
}
