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

/// What is wrong with an update: a certificate that is none or takes another's place, a decision that is taken back.
pub(super) fn faults(ctx: &Context<'_>, request: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let path = Path::new("status").child("certificate");
    let (now, before) = (text(request, "/status/certificate"), text(old, "/status/certificate"));
    if ctx.request.subresource == "status"
        && let Err(fault) = certificate(now)
    {
        errors.push(FieldError::invalid(&path, "<certificate data>", &fault));
    }
    errors.extend(removed(request, old));
    if now != before && !before.is_empty() {
        errors.push(FieldError::forbidden(&path, "updates may not modify existing certificate content"));
    }
    errors
}

/// Whether base64 text is PEM with certificates and nothing else; nothing at all is fine, too.
fn certificate(encoded: &str) -> Result<(), String> {
    use base64::Engine;
    if encoded.is_empty() {
        return Ok(());
    }
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).unwrap_or_default();
    let pem = String::from_utf8_lossy(&bytes);
    let mut blocks = 0;
    for begin in pem.lines().filter_map(|line| line.trim_end().strip_prefix("-----BEGIN ")?.strip_suffix("-----")) {
        // A block without an end is none.
        if !pem.contains(&format!("-----END {begin}-----")) {
            continue;
        }
        if begin != "CERTIFICATE" {
            return Err(format!("only CERTIFICATE PEM blocks are allowed, found {begin:?}"));
        }
        blocks += 1;
    }
    if blocks == 0 { Err("must contain at least one CERTIFICATE PEM block".to_owned()) } else { Ok(()) }
}

/// What was approved, denied or failed stays so.
fn removed(request: &Value, old: &Value) -> Vec<FieldError> {
    let has = |object: &Value, kind: &str| list(object, "/status/conditions").iter().any(|c| text(c, "/type") == kind);
    let path = Path::new("status").child("conditions");
    let gone = ["Approved", "Denied", "Failed"].into_iter().filter(|kind| has(old, kind) && !has(request, kind));
    gone.map(|kind| FieldError::forbidden(&path, &format!("updates may not remove a condition of type {kind:?}")))
        .collect()
}
